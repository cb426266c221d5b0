"""The progress of a grid of runs."""

from __future__ import annotations

import time
from types import TracebackType

from typing_extensions import Self

from pointlora_cli.console.progress import TrainingProgress
from pointlora_cli.console.screen import Screen
from pointlora_cli.console.tables import percent
from pointlora_cli.console.wording import literal
from pointlora_cli.datasets.progress import DataProgress
from pointlora_cli.training.events import EpochDone, Event, Notice, TrainingStarted

_PAUSE = 5.0  # seconds between two lines of one cell


class GridProgress:
    """Tells on stderr how a grid goes on.

    Where one cell runs at a time, as `TrainingProgress` does; where several do, with a line for each thing that
    happens, and one for an epoch of each cell every few seconds. What every cell says is said once.
    """

    def __init__(self, screen: Screen, *, evaluated: str, live: bool) -> None:
        self._screen = screen
        self._evaluated = evaluated
        self._is_live = live
        self._training: TrainingProgress | None = None
        self._said: set[str] = set()
        self._epochs: dict[str, int] = {}
        self._shown: dict[str, float] = {}  # when the last epoch of a cell was

    def __enter__(self) -> Self:
        """A live display starts with the training of each cell."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take a live display down, also after an error."""
        self._close()

    def told(self, message: str) -> None:
        """Show a notice."""
        self._screen.note(message)

    def started(self, cell: str, number: int, of: int) -> None:
        """Say which cell begins."""
        self._screen.note(f"{cell} ({number} of {of})")
        if self._is_live:
            self._training = TrainingProgress(self._screen, evaluated=self._evaluated)

    def heard(self, cell: str, event: Event) -> None:
        """Show an event of a cell."""
        match event:
            case Notice(message):
                self._say_once(message)
            case _ if self._training is not None:
                self._training(event)
            case DataProgress():
                self._say_once(event.what)
            case TrainingStarted():
                self._epochs[cell] = event.epochs
            case EpochDone():
                self._show_epoch(cell, event)

    def finished(self, cell: str, score: float, score_name: str, seconds: float) -> None:
        """Say what a cell came to."""
        self._close()
        self._screen.note(f"{cell} is finished: {score_name} {percent(score)} % in {seconds:,.1f} s")

    def failed(self, cell: str, message: str) -> None:
        """Say that a cell failed, and that the others go on."""
        self._close()
        self._screen.err.print(f"[bold red]failed:[/] {literal(cell)}: {literal(message)}", soft_wrap=True)

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            self._screen.note(message)

    def _show_epoch(self, cell: str, event: EpochDone) -> None:
        now = time.monotonic()
        if now - self._shown.get(cell, -_PAUSE) < _PAUSE:
            return
        self._shown[cell] = now
        line = f"{literal(cell)}: epoch {event.epoch + 1}/{self._epochs[cell]}  loss {event.loss:.4f}"
        if event.evaluation is not None:
            line += f"  {self._evaluated} {percent(event.evaluation.score)} %"
        self._screen.err.print(line, soft_wrap=True)

    def _close(self) -> None:
        if self._training is not None:
            self._training.__exit__(None, None, None)
            self._training = None
