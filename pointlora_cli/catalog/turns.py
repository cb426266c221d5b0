"""Politeness between processes that want the same file: one downloads, the others wait and take the result.

Nothing depends on it: where locks do nothing, every process downloads by itself, and the file is still right.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pointlora_cli.catalog.partials import Partials
from pointlora_cli.catalog.reporting import Reporter
from pointlora_cli.catalog.retrying import Patience

if TYPE_CHECKING:
    from filelock import FileLock

_LOOK = 0.2  # seconds between two looks at what the other process does


@contextlib.contextmanager
def own_turn(partials: Partials, destination: Path, patience: Patience, reporter: Reporter) -> Iterator[bool]:
    """Wait while another process downloads the file; yields whether it has arrived meanwhile."""
    from filelock import FileLock

    lock = FileLock(partials.lock)
    try:
        yield _wait(lock, partials, destination, patience, reporter)
    finally:
        with contextlib.suppress(OSError):
            if lock.is_locked:
                partials.lock.unlink(missing_ok=True)
            lock.release()


def _wait(
    lock: FileLock, partials: Partials, destination: Path, patience: Patience, reporter: Reporter
) -> bool:
    before = _stamp(destination)
    if not _is_another_at_it(lock):
        return False
    reporter.remark("another process is downloading it; waiting")
    present, since = partials.present(), time.monotonic()
    while time.monotonic() - since < patience.others:
        reporter.wait(_LOOK)
        is_free = not _is_another_at_it(lock)
        now = _stamp(destination)
        if now is not None and now != before:
            return True
        if is_free:
            return False
        if partials.present() != present:
            present, since = partials.present(), time.monotonic()
    reporter.remark("the other process gets no further; going on without it")
    return False


def _is_another_at_it(lock: FileLock) -> bool:
    """Take the lock if it is free; where it cannot be taken at all, nobody is waited for."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError, RuntimeError):
        return False
    return False


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
