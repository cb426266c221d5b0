"""The progress of downloads."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Column
from typing_extensions import Self

from pointlora_cli.catalog.events import CatalogEvent, Remark, TransferProgress, WorkProgress
from pointlora_cli.console.screen import Screen
from pointlora_cli.console.wording import file_size, literal

_LINE_EVERY = 10.0  # seconds between lines of one file off a terminal
_OVER = float("inf")
_LONGEST_NAME = 28


class TransferBars:
    """Listens to downloads: a live bar for each file on a terminal, lines elsewhere. All on stderr."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._live = screen.err.is_terminal
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}
        self._bars = Progress(
            TextColumn(
                "{task.fields[name]}",
                table_column=Column(max_width=_LONGEST_NAME, no_wrap=True, overflow="ellipsis"),
            ),
            TextColumn("{task.fields[what]}"),
            BarColumn(bar_width=14),
            DownloadColumn(binary_units=False),
            TransferSpeedColumn(),
            console=screen.err,
        )

    def __enter__(self) -> Self:
        """The live display starts with the first event."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live display down, also after an error."""
        if self._tasks:  # one that never ran would still write an empty line
            self._bars.stop()

    def __call__(self, event: CatalogEvent) -> None:
        """Show an event; it may come from any thread."""
        with self._lock:
            match event:
                case Remark(name, message):
                    self._screen.note(f"{name}: {message}")
                case TransferProgress(name, done, total):
                    self._show(name, "", done, total)
                case WorkProgress(name, what, done, total):
                    self._show(name, what, done, total)

    def _show(self, name: str, what: str, done: int, total: int | None) -> None:
        if not self._live:
            self._tell(name, what, done, total)
            return
        if name not in self._tasks:
            self._bars.start()
            self._tasks[name] = self._bars.add_task("", name=literal(name), what=what, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total, what=what)

    def _tell(self, name: str, what: str, done: int, total: int | None) -> None:
        """A line at the end of a download, and one now and then."""
        key, now = f"{name} {what}", time.monotonic()
        told = self._told.setdefault(key, now)
        is_end = done == total and not what
        if told == _OVER or (now - told < _LINE_EVERY and not is_end):
            return
        self._told[key] = _OVER if is_end else now
        of_all = f" of {file_size(total)}" if total is not None else ""
        self._screen.err.print(
            f"{literal(name)}: {what or 'received'} {file_size(done)}{of_all}", soft_wrap=True
        )
