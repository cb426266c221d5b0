"""The cells of a grid several at once, in processes of their own."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

import torch

from pointlora_cli import __version__
from pointlora_cli.errors import ExitCode, PointLoRAError, Terminated
from pointlora_cli.processes import cores, end_with_parent, let_signals_through, signals_held_back
from pointlora_cli.services.gpu_turns import free_turn, gpu_of, shared_gpus
from pointlora_cli.services.grid_records import Cell, CellRecord, run_cell
from pointlora_cli.services.grid_watch import GridWatch
from pointlora_cli.services.peak_memory import free_memory
from pointlora_cli.training.devices import resolve_device
from pointlora_cli.training.events import Event, Listener, StepDone, TrainingStarted

_MARGIN = 1.5  # room for a cell, as a multiple of the largest peak seen
_CONTEXT = 2**30  # bytes of a GPU that a process takes before its first tensor, generously
_PATIENCE = 5.0  # seconds that a cell has to keep what it learned when it is told to stop


@dataclass(frozen=True)
class CellFailure:
    """Why a cell has no record."""

    cell: str
    kind: str
    exit_code: int
    message: str
    remedy: str | None

    @classmethod
    def of(cls, cell: Cell, error: PointLoRAError) -> CellFailure:
        """The failure that an expected error is."""
        return cls(cell.name, error.kind, int(error.exit_code), error.message, error.remedy)


@dataclass
class _Worker:
    """A process that runs one cell after another."""

    process: SpawnProcess
    messages: Connection
    turn: int  # no other process has the same
    cell: Cell | None = None  # the one at work
    trains: bool = False  # the cell may have something to keep


class _Room:
    """How many cells may be at work at once."""

    def __init__(self, jobs: int, device: torch.device, peaks: Sequence[int | None], gpus: int) -> None:
        self.peaks = list(peaks)
        self.gpus = gpus  # that the cells share; 0: none, or the one that they name
        self._device = device
        self._limit = jobs or None

    @property
    def is_known(self) -> bool:
        """Whether the number stays as it is."""
        return self._limit is not None

    def limit(self) -> int:
        """The number; 1 until there is a peak to reckon with."""
        if self._limit is None and self.peaks:
            beside = _CONTEXT if self._device.type == "cuda" else 0
            free = free_memory(self._device)
            self._limit = how_many_fit(free, self.peaks, beside=beside, devices=max(1, self.gpus))
        return self._limit or 1


class _Crew:
    """The processes, and the cells that wait for one."""

    def __init__(self, cells: Sequence[tuple[int, Cell]], total: int, room: _Room, watch: GridWatch) -> None:
        self.failures: list[CellFailure] = []
        self._waiting = deque(cells)
        self._total = total
        self._room = room
        self._watch = watch
        self._workers: dict[Connection, _Worker] = {}

    def run(self) -> None:
        """Run all cells."""
        while self._waiting or self._workers:
            while self._waiting and len(self._workers) < self._room.limit():
                with signals_held_back():  # a process is born so, and heeds signals once it is ready
                    turn = free_turn([one.turn for one in self._workers.values()])
                    worker = _start(turn, gpu_of(turn, self._room.gpus))
                    self._workers[worker.messages] = worker
                self._give(worker)
            for messages in wait(list(self._workers)):
                assert isinstance(messages, Connection)
                self._take_in(self._workers[messages])

    def end(self) -> None:
        """Stop processes: those that train may say in their log what they kept."""
        for worker in self._workers.values():
            if worker.trains:
                worker.process.terminate()
            else:
                worker.process.kill()
        deadline = time.monotonic() + _PATIENCE
        for worker in self._workers.values():
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.messages.close()

    def _give(self, worker: _Worker) -> None:
        """Give a worker the next cell."""
        number, worker.cell = self._waiting.popleft()
        worker.trains = False
        others = sum(one.cell is not None for one in self._workers.values())
        together = min(self._room.limit(), others + len(self._waiting))
        self._watch.started(worker.cell.name, number, self._total)
        with contextlib.suppress(OSError):  # it died; its end is met next
            worker.messages.send((worker.cell, together, max(1, torch.get_num_threads() // together)))

    def _take_in(self, worker: _Worker) -> None:
        """Take in one message of a worker, or its end."""
        try:
            message = worker.messages.recv()
        except (EOFError, OSError):  # perhaps in the middle of a message
            self._dismiss(worker)
            if worker.cell is not None:
                self._lose(_untold(worker.cell, worker.process.exitcode))
            return
        assert worker.cell is not None  # only then it speaks
        if not isinstance(message, CellRecord | CellFailure):
            worker.trains = worker.trains or isinstance(message, TrainingStarted)
            self._watch.heard(worker.cell.name, message)
            return
        was_known = self._room.is_known
        if isinstance(message, CellFailure):
            self._lose(message)
        else:
            self._room.peaks.append(message.peak_memory)
            self._watch.finished(worker.cell.name, message.score, message.score_name, message.seconds)
        worker.cell = None
        is_spent = isinstance(message, CellFailure) and message.exit_code == ExitCode.BUG
        if self._waiting and was_known and not is_spent:
            self._give(worker)
        else:  # also where its memory must be free to reckon how many fit
            self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        del self._workers[worker.messages]
        worker.messages.close()  # it ends when nothing more can come
        worker.process.join()

    def _lose(self, failure: CellFailure) -> None:
        self.failures.append(failure)
        self._watch.failed(failure.cell, failure.message)


def run_in_workers(
    cells: Sequence[tuple[int, Cell]],
    total: int,
    jobs: int,
    peaks: Sequence[int | None],
    watch: GridWatch,
) -> list[CellFailure]:
    """Run cells in processes of their own, up to `jobs` at once; the failures, in the order they came.

    Args:
        cells: what to run, each with its number in the whole grid.
        total: cells of the whole grid.
        jobs: how many at once; 0: as many as fit, by the rule of `run_grid`.
        peaks: bytes that finished cells held, which that rule starts from.
        watch: told how it goes on.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the processes have ended, and finished cells stand.
    """
    if not cells:
        return []
    name = cells[0][1].spec.train.device
    device = resolve_device(name)
    gpus = shared_gpus(name, torch.cuda.device_count() if device.type == "cuda" else 0)
    room = _Room(jobs, device, peaks, gpus)
    crew = _Crew(cells, total, room, watch)
    try:
        crew.run()
    finally:
        crew.end()
    return crew.failures


def how_many_fit(free: int | None, peaks: Sequence[int | None], *, beside: int = 0, devices: int = 1) -> int:
    """How many cells fit at once, reckoned from the largest so far with half as much again: 1 to the cores.

    Args:
        free: bytes that are free; None, where the system does not tell: 1.
        peaks: bytes that cells held, as far as they are known.
        beside: bytes that each process takes besides.
        devices: how many there are, with as much room each.
    """
    known = [peak for peak in peaks if peak is not None]
    if free is None or not known:
        return 1
    return max(1, min(cores(), devices * int(free // (_MARGIN * max(known) + beside))))


def _start(turn: int, gpu: int | None) -> _Worker:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(there, gpu))
    process.start()
    there.close()
    return _Worker(process, here, turn)


def _untold(cell: Cell, code: int | None) -> CellFailure:
    """Why a cell has no outcome, from the exit code of its process."""
    if code == -signal.SIGKILL:
        return CellFailure(
            cell.name,
            "usage",
            int(ExitCode.USAGE),
            "its process was killed by the system (SIGKILL), most likely for lack of memory",
            "Run fewer at once (--jobs), or with a smaller batch (--set train.batch_size=N).",
        )
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    return CellFailure(cell.name, "error", int(ExitCode.BUG), f"its process ended by itself with {how}", None)


def _work(messages: Connection, gpu: int | None) -> None:
    """Run the cells that come, on a GPU; their events but for the steps, and then their outcomes, go back."""

    def listen(event: Event) -> None:
        if not isinstance(event, StepDone):
            messages.send(event)

    with contextlib.suppress(KeyboardInterrupt, OSError, EOFError):  # told to end, or nothing more can come
        _heed_parent()
        if gpu is not None:
            torch.cuda.set_device(gpu)  # it is the one that "cuda" means from now on
        while True:
            cell, together, threads = messages.recv()
            torch.set_num_threads(threads)
            messages.send(_attempt(cell, together, listen))


def _attempt(cell: Cell, together: int, listen: Listener) -> CellRecord | CellFailure:
    try:
        return run_cell(cell, together, listen)
    except PointLoRAError as error:
        return CellFailure.of(cell, error)
    except BrokenPipeError:
        raise
    except Exception as error:
        message = f"a bug in pointlora {__version__}: {type(error).__name__}: {error}"
        remedy = "Run again with --jobs 1 and POINTLORA_DEBUG=1 for the traceback, and please report it."
        return CellFailure(cell.name, "error", int(ExitCode.BUG), message, remedy)


def _heed_parent() -> None:
    """Ctrl-C goes to the whole group, and the parent alone answers it; SIGTERM comes from the parent."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    let_signals_through()
    end_with_parent()
