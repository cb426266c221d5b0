"""Work on many files at once, in processes that load no torch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

from pointlora_cli.errors import DataError
from pointlora_cli.process_map import Lost, map_in_processes
from pointlora_cli.processes import cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW = 64  # items of a process below which starting it costs more than it gives
_AHEAD = 16  # results of a process that may wait for a slow one
_REMEDY = "Close other programs, and start again."


def map_in_workers(
    function: Callable[[Item], Result], items: Sequence[Item], *, few: int = _FEW
) -> Generator[Result, None, None]:
    """`function` of each item, in order, as they come.

    A caller that may stop early closes the generator (`contextlib.closing`), which ends the processes at once;
    Ctrl-C does so too.

    Args:
        function: a module's top-level function, in a module that is quick to import; it runs in fresh processes.
        items: what it is called with.
        few: items that are not worth a process of their own; less than by default where one takes long.

    Raises:
        DataError: a process died.
        PointLoRAError: whatever `function` raises of this kind; any other exception, where it runs elsewhere, as
            a bug.
    """
    workers = min(cores(), len(items) // few)
    if workers < 2:
        yield from map(function, items)
        return
    make = partial(_itself, function)
    with closing(
        map_in_processes(make, items, processes=workers, ahead=_AHEAD * workers, remedy=_REMEDY)
    ) as results:
        for result in results:
            if isinstance(result, Lost):
                raise DataError(
                    f"each process that was at work on one file of a data set {result.how}", remedy=_REMEDY
                )
            yield result


def _itself(function: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """What each process makes: the function."""
    return function
