"""The progress of predicting many files."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from typing_extensions import Self

from pointlora_cli.console.screen import Screen

_LINE_EVERY = 10.0  # seconds between lines off a terminal


class PredictProgress:
    """How many files are done, how fast, how long the others will take, and how many could not be read.

    A live bar on a terminal, a line now and then elsewhere. All on stderr.
    """

    def __init__(self, screen: Screen, files: int) -> None:
        self._screen = screen
        self._files = files
        self._done = self._unreadable = 0
        self._is_live = screen.err.is_terminal and files > 1
        self._bar = Progress(
            BarColumn(bar_width=16), TextColumn("{task.description}"), console=screen.err, transient=True
        )
        self._task: TaskID | None = None
        self._told = self._first = 0.0

    def __enter__(self) -> Self:
        """The live display starts."""
        self._told = time.monotonic()
        if self._is_live:
            self._bar.start()
            self._task = self._bar.add_task(f"0 of {self._files:,} files", total=self._files)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live display down, also after an error."""
        if self._is_live:
            self._bar.stop()

    def count(self, *, unreadable: bool) -> None:
        """One more file is done."""
        self._done += 1
        self._unreadable += unreadable
        now = time.monotonic()
        if self._done == 1:
            self._first = now  # before it, processes were started
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, description=self._line(now))
        elif now - self._told >= _LINE_EVERY:
            self._told = now
            self._screen.note(self._line(now))

    def _line(self, now: float) -> str:
        line = f"{self._done:,} of {self._files:,} files"
        if self._done > 1:
            each = (now - self._first) / (self._done - 1)
            left = round((self._files - self._done) * each)
            line += f"  {1 / max(each, 1e-6):,.1f}/s  {left // 60}:{left % 60:02} left"
        return f"{line}  {self._unreadable:,} unreadable" if self._unreadable else line
