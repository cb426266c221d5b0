"""A server and a folder to fetch into, for every test of the catalogue that wants them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalog.transfers import Fetching
from faulty_server import FaultyServer


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A server on this machine."""
    with FaultyServer() as running:
        yield running


@pytest.fixture
def fetching(tmp_path: Path) -> Fetching:
    """A folder of the test, and what is told while fetching into it."""
    return Fetching(tmp_path)
