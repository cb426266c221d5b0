"""The progress of preparing a data set."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from typing_extensions import Self

from pointlora_cli.console.screen import Screen
from pointlora_cli.datasets.progress import DataProgress

_LINE_EVERY = 10.0  # seconds between lines off a terminal


class DataBar:
    """A live bar on a terminal, a line now and then elsewhere. All on stderr."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=screen.err,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told = 0.0

    def show(self, progress: DataProgress) -> None:
        """Show how far a preparation is."""
        if not self._screen.err.is_terminal:
            now = time.monotonic()
            if now - self._told >= _LINE_EVERY:
                self._told = now
                self._screen.note(f"{progress.what}: {progress.done:,} of {progress.total:,}")
            return
        if progress.what not in self._tasks:
            self._bar.start()
            self._tasks[progress.what] = self._bar.add_task(progress.what, total=progress.total)
        self._bar.update(self._tasks[progress.what], completed=progress.done, total=progress.total)

    def __enter__(self) -> Self:
        """The live display starts with the first event."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live display down, also after an error."""
        self.close()

    def close(self) -> None:
        """Take the live display down."""
        if self._tasks:  # one that never ran would still write an empty line
            self._bar.stop()
