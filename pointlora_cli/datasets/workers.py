"""Work on many files at once, in processes that load no torch."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from pointlora_cli.errors import DataError
from pointlora_cli.processes import cores, end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW = 64  # items of a process below which starting it costs more than it gives
_CHUNK = 4  # items given to a process at a time; those at work are finished even after Ctrl-C


def map_in_workers(
    function: Callable[[Item], Result], items: Sequence[Item], *, few: int = _FEW
) -> Generator[Result, None, None]:
    """`function` of each item, in order, as they come.

    A caller that may stop early closes the generator (`contextlib.closing`), which drops the work that has
    not begun; on Ctrl-C too.

    Args:
        function: a module's top-level function, in a module that is quick to import; it runs in fresh processes.
        items: what it is called with.
        few: items that are not worth a process of their own; less than by default where one takes long.

    Raises:
        DataError: a process died.
        Exception: whatever `function` raises.
    """
    workers = min(cores(), len(items) // few)
    if workers < 2:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_parent
    )
    try:
        yield from pool.map(function, items, chunksize=min(_CHUNK, len(items) // workers))
    except BrokenProcessPool:
        raise DataError(
            "a process that helped to convert a data set died, perhaps for lack of memory",
            remedy="Close other programs, and start again.",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """Ctrl-C goes to the whole group, and the parent alone answers it; when it is killed, end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
