"""A function of many items, in processes of their own: in order, never far ahead, and whatever dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar

from pointlora_cli import __version__
from pointlora_cli.errors import DataError, PointLoRAError
from pointlora_cli.processes import follow_parent, signals_held_back

Item = TypeVar("Item")
Result = TypeVar("Result")

_TRIES = 2  # of an item at which a process died: it may have been another's memory that was short
_DEATHS = 3  # of each process, with no result in between, after which the items are not to blame


@dataclass(frozen=True)
class Lost:
    """In place of a result: each process that was at work on the item ended by itself."""

    how: str


class _ElsewhereError(Exception):
    """The traceback of an error in another process."""


@dataclass(frozen=True)
class _Answer:
    """What a process says."""

    index: int | None  # of the item; None: it is ready to begin
    result: object = None
    error: PointLoRAError | None = None
    trace: str = ""  # of the error


@dataclass
class _Worker:
    process: SpawnProcess
    messages: Connection
    given: deque[int] = field(default_factory=deque)  # items that it has not answered, in order
    is_ready: bool = False


def map_in_processes(
    make: Callable[[], Callable[[Item], Result]],
    items: Sequence[Item],
    *,
    processes: int,
    ahead: int,
    remedy: str,
    in_hand: int = 1,
) -> Generator[Result | Lost, None, None]:
    """The result of each item, in order, as they come; closing the generator ends the processes at once.

    Args:
        make: called once in each process; gives the function. Both must be such that they can be sent there.
        items: what the function is called with.
        processes: how many, at least 1.
        ahead: how many results may wait for an earlier one, or to be taken.
        remedy: what to do where a process cannot begin.
        in_hand: items that a process is given before it answers, so that it need not wait for the next. Above 1
            only for small ones: while it sends a large result, it cannot take in a large item.

    Raises:
        PointLoRAError: whatever `make` or the function raises of this kind; any other exception as a bug.
        DataError: a process ended by itself before it was ready, or one after the other.
    """
    crew: _Crew[Item, Result] = _Crew(make, items, in_hand, remedy, _DEATHS * processes)
    try:
        for wanted in range(len(items)):
            while wanted not in crew.results:
                crew.start(min(processes, len(items) - wanted))
                crew.give(wanted + ahead)
                crew.take_in()
            yield crew.results.pop(wanted)
    finally:
        crew.end()


class _Crew(Generic[Item, Result]):
    """The processes, the items that wait for one, and the results that wait to be taken."""

    def __init__(
        self,
        make: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        in_hand: int,
        remedy: str,
        most_deaths: int,
    ) -> None:
        self.results: dict[int, Result | Lost] = {}
        self._make = make
        self._items = items
        self._in_hand = in_hand
        self._remedy = remedy
        self._most_deaths = most_deaths
        self._deaths_in_row = 0  # since the last result
        self._next = 0
        self._again: deque[int] = deque()  # given to a process that died
        self._deaths: Counter[int] = Counter()
        self._workers: dict[Connection, _Worker] = {}

    def start(self, processes: int) -> None:
        """Start processes, until there are so many."""
        while len(self._workers) < processes:
            with signals_held_back():
                here, there = multiprocessing.Pipe()
                process = multiprocessing.get_context("spawn").Process(target=_work, args=(there, self._make))
                process.start()
                there.close()
                self._workers[here] = _Worker(process, here)

    def give(self, limit: int) -> None:
        """Give items before `limit` to the processes that have the fewest."""
        for filled in range(self._in_hand):
            for worker in self._workers.values():
                if len(worker.given) > filled:
                    continue
                index = self._following(limit)
                if index is None:
                    return
                worker.given.append(index)
                with contextlib.suppress(OSError):  # it died; its end is met next
                    worker.messages.send((index, self._items[index]))

    def take_in(self) -> None:
        """Wait for messages, and take in one of each process that has any."""
        for messages in wait(list(self._workers)):
            assert isinstance(messages, Connection)
            worker = self._workers[messages]
            try:
                answer = messages.recv()
            except (EOFError, OSError):  # perhaps in the middle of a message
                self._bury(worker)
                continue
            if answer.error is not None:
                raise answer.error from _ElsewhereError(answer.trace)
            worker.is_ready = True
            if answer.index is not None:
                self._deaths_in_row = 0
                worker.given.remove(answer.index)
                self.results[answer.index] = answer.result

    def end(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.join()
            worker.messages.close()

    def _following(self, limit: int) -> int | None:
        if self._again:
            return self._again.popleft()
        if self._next >= min(limit, len(self._items)):
            return None
        self._next += 1
        return self._next - 1

    def _bury(self, worker: _Worker) -> None:
        """Give what a dead process had to others, unless it is what processes die of."""
        del self._workers[worker.messages]
        worker.messages.close()
        worker.process.join()
        how = _ending(worker.process.exitcode)
        self._deaths_in_row += 1
        if not worker.is_ready or self._deaths_in_row == self._most_deaths:
            before = f", as {self._deaths_in_row - 1} before it" if self._deaths_in_row > 1 else ""
            raise DataError(f"a process that was started to help {how}{before}", self._remedy)
        if worker.given:
            self._deaths[worker.given[0]] += 1
            if self._deaths[worker.given[0]] == _TRIES:
                self.results[worker.given.popleft()] = Lost(how)
        self._again.extendleft(reversed(worker.given))


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended by itself with exit code {code}"
    name = signal.Signals(-code).name
    why = ", perhaps for lack of memory" if -code == signal.SIGKILL else ""
    return f"was killed ({name}{why})"


def _work(messages: Connection, make: Callable[[], Callable[[object], object]]) -> None:
    """Answer each item that comes."""
    with contextlib.suppress(KeyboardInterrupt, OSError, EOFError):  # nothing more can come or go
        follow_parent()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may go to the whole group: the parent answers it
        try:
            function = make()
        except Exception as error:
            messages.send(_failure(None, error))
            return
        messages.send(_Answer(None))
        while True:
            index, item = messages.recv()
            messages.send(_attempt(function, index, item))


def _attempt(function: Callable[[object], object], index: int, item: object) -> _Answer:
    try:
        return _Answer(index, function(item))
    except Exception as error:
        return _failure(index, error)


def _failure(index: int | None, error: Exception) -> _Answer:
    """The error as one that can be sent: its kind, exit code and words."""
    trace = "".join(traceback.format_exception(error))
    if not isinstance(error, PointLoRAError):
        error = PointLoRAError(
            f"a bug in pointlora {__version__}: {type(error).__name__}: {error}",
            remedy="Run again with POINTLORA_DEBUG=1 for the traceback, and please report it.",
        )
    return _Answer(index, error=error, trace=trace)
