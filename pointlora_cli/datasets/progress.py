"""How far the preparation of a data set is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class DataProgress:
    """Some of a long preparation is done; it happens once, and is kept."""

    what: str  # e.g. "converting ModelNet40 (train)"
    done: int
    total: int


DataListener = Callable[[DataProgress], None]


def unheard(progress: DataProgress) -> None:
    """Listen to nothing."""
