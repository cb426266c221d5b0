"""The interpreter of kernels, started once for the tests of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from interpreted_kernels import interpreter


@pytest.fixture(scope="session")
def process() -> Iterator[ProcessPoolExecutor]:
    """A process of its own that interprets Triton kernels."""
    with interpreter() as started:
        yield started
