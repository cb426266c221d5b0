"""Who is told how a grid of runs goes on."""

from __future__ import annotations

from typing import Protocol

from pointlora_cli.training.events import Event


class GridWatch(Protocol):
    """Told, in words and plain numbers, how a grid goes on."""

    def told(self, message: str) -> None:
        """Something a person should know."""

    def started(self, cell: str, number: int, of: int) -> None:
        """A cell begins: the `number`-th of all, from 1."""

    def heard(self, cell: str, event: Event) -> None:
        """An event of a cell's run."""

    def finished(self, cell: str, score: float, score_name: str, seconds: float) -> None:
        """A cell is recorded."""

    def failed(self, cell: str, message: str) -> None:
        """A cell ended without a record; the others go on."""
