"""Telling what a transfer does, not too often."""

from __future__ import annotations

import time

from pointlora_cli.catalog.events import CatalogListener, Remark, TransferProgress

_INTERVAL = 0.1


class Reporter:
    """Speaks for one file to a listener, which may raise to stop the transfer."""

    def __init__(self, name: str, listen: CatalogListener) -> None:
        self._name = name
        self._listen = listen
        self._done = 0
        self._total: int | None = None
        self._told_at = -_INTERVAL

    def progress(self, done: int, total: int | None, *, always: bool = False) -> None:
        """Tell that `done` bytes are here, unless that was told a moment ago."""
        self._done, self._total = done, total
        now = time.monotonic()
        if always or now - self._told_at >= _INTERVAL:
            self._told_at = now
            self._listen(TransferProgress(self._name, done, total))

    def remark(self, message: str) -> None:
        """Tell something a person should know."""
        self._listen(Remark(self._name, message))

    def wait(self, seconds: float) -> None:
        """Sleep, and go on telling meanwhile, so that the listener can stop it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _INTERVAL))
            self.progress(self._done, self._total)
