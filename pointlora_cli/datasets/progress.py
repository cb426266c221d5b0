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
_EVENTS = 200  # at most so many reports of one preparation


def unheard(progress: DataProgress) -> None:
    """Listen to nothing."""


def reporter(what: str, total: int, listen: DataListener) -> Callable[[int], None]:
    """Takes how many of `total` are done, after each, and passes on some of these numbers, and the last."""
    step = max(1, total // _EVENTS)

    def report(done: int) -> None:
        if done % step == 0 or done == total:
            listen(DataProgress(what, done, total))

    return report
