"""Predictions of many files, in order: in this process, or in as many as pay."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from pointlora_cli.clouds.files import cloud_error
from pointlora_cli.errors import CloudError, DataError
from pointlora_cli.process_map import Lost, map_in_processes
from pointlora_cli.processes import cores
from pointlora_cli.services.peak_memory import free_memory
from pointlora_cli.services.predictor import Prediction, Predictor, Prepared, Unreadable
from pointlora_cli.services.trained_model import TrainedModel, load_trained_model

_TRIAL = 1.0  # seconds after which it is known how long a file takes
_LEAST_SAVED = 8.0  # seconds that other processes must save: each takes some to load its libraries
_LIBRARIES = 400 * 2**20  # bytes that a process takes before its first cloud
_AHEAD = 32  # small results of a process that may wait for one large cloud
_IN_HAND = 2  # files named to a process: the one at work, and the next
_REMEDY = "Start fewer with --workers N; with 1, this process predicts alone."


def predictions(
    predictor: Predictor[Prepared, Prediction],
    paths: Sequence[Path],
    *,
    base: Path | None = None,
    workers: int | None = None,
) -> Generator[Prediction | Unreadable, None, None]:
    """Predict each file, in order; a broken one is reported and does not stop the rest.

    On a CPU each process has the whole model and a share of the cores. With a GPU the model stays in this
    process, and others read the files. Closing the generator ends them. Memory does not grow with the files.

    Args:
        predictor: what is asked.
        paths: the files.
        base: the base checkpoint that the model was put together with, where it was named.
        workers: processes; 1: only this one; None: this one, and as soon as it is clear that they save time, one
            for each core as far as memory allows.

    Raises:
        PointLoRAError: whatever ends a prediction, other than a file that cannot be read.
    """
    done = 0
    if workers is None:
        first = _here_until_others_pay(predictor, paths)
        with closing(first):
            for outcome in first:
                done += 1
                yield outcome if isinstance(outcome, Unreadable) else predictor.settle(outcome)
        workers = how_many(predictor.trained)
    left = paths[done:]
    processes = min(workers, len(left))
    rest = _by(processes, predictor, left, base)
    with closing(rest):
        for outcome in rest:
            yield outcome if isinstance(outcome, Unreadable) else predictor.settle(outcome)


def predictions_read_elsewhere(
    predictor: Predictor[Prepared, Prediction], paths: Sequence[Path], processes: int
) -> Generator[Prediction | Unreadable, None, None]:
    """Predict in this process what others read; nothing is settled."""
    make = partial(_reader, predictor.prepare, _threads(processes))
    ahead = 2 * processes + predictor.batch
    with closing(_elsewhere(make, paths, processes, ahead=ahead)) as prepared:
        yield from _in_batches(predictor, prepared)


def how_many(trained: TrainedModel) -> int:
    """How many processes the cores and the memory allow, to predict or to read; at least 1: this one."""
    count = cores()
    free = free_memory(torch.device("cpu"))
    if free is not None:
        model = sum(value.nbytes for value in trained.model.state_dict().values())
        copies = 2 if trained.device.type == "cpu" else 0  # while it is put together, there are two
        count = min(count, free // (_LIBRARIES + copies * model))
    return max(1, count)


def _here_until_others_pay(
    predictor: Predictor[Prepared, Prediction], paths: Sequence[Path]
) -> Generator[Prediction | Unreadable, None, None]:
    """Predict in this process, all files or until other processes would save more time than they take to start."""
    processes = how_many(predictor.trained)
    began = time.monotonic()
    found = _here(predictor, paths)
    with closing(found):
        for done, outcome in enumerate(found, start=1):
            yield outcome
            seconds = time.monotonic() - began
            saved = seconds / done * (len(paths) - done) * (1 - 1 / processes)
            if seconds > _TRIAL and saved > _LEAST_SAVED:
                return


def _by(
    processes: int, predictor: Predictor[Prepared, Prediction], paths: Sequence[Path], base: Path | None
) -> Generator[Prediction | Unreadable, None, None]:
    """Predict in so many processes; less than 2: in this one alone. Nothing is settled."""
    trained = predictor.trained
    if processes < 2:
        yield from _here(predictor, paths)
    elif trained.device.type == "cpu":
        sha256 = trained.record.weights.sha256
        make = partial(_whole, predictor.again, trained.folder, base, sha256, _threads(processes))
        yield from _elsewhere(make, paths, processes, ahead=_AHEAD * processes)
    else:
        yield from predictions_read_elsewhere(predictor, paths, processes)


def _here(
    predictor: Predictor[Prepared, Prediction], paths: Sequence[Path]
) -> Generator[Prediction | Unreadable, None, None]:
    return _in_batches(predictor, (_prepared(predictor.prepare, path) for path in paths))


def _elsewhere(
    make: Callable[[], Callable[[Path], Prediction | Unreadable]],
    paths: Sequence[Path],
    processes: int,
    *,
    ahead: int,
) -> Generator[Prediction | Unreadable, None, None]:
    found = map_in_processes(make, paths, processes=processes, ahead=ahead, remedy=_REMEDY, in_hand=_IN_HAND)
    with closing(found):
        for path, outcome in zip(paths, found, strict=True):
            if isinstance(outcome, Lost):
                problem = f"each process that was at work on it {outcome.how}"
                yield Unreadable(path, cloud_error(path, problem, "leave it out, or export it again"))
            else:
                yield outcome


def _whole(
    again: Callable[[TrainedModel], Predictor[Prepared, Prediction]],
    folder: Path,
    base: Path | None,
    sha256: str,
    threads: int,
) -> Callable[[Path], Prediction | Unreadable]:
    """Put the model together once more, in a process of its own."""
    torch.set_num_threads(threads)
    trained = load_trained_model(folder, base=base, device="cpu")
    if trained.record.weights.sha256 != sha256:
        raise DataError(f"{folder}: another adapter was put here meanwhile", remedy="Start again.")
    return partial(_answer, again(trained))


def _answer(predictor: Predictor[Prepared, Prediction], path: Path) -> Prediction | Unreadable:
    prepared = _prepared(predictor.prepare, path)
    return prepared if isinstance(prepared, Unreadable) else predictor.finish([prepared])[0]


def _threads(processes: int) -> int:
    """Threads of torch in each process: together no more than there are cores."""
    return max(1, cores() // processes)


def _reader(prepare: Callable[[Path], Prepared], threads: int) -> Callable[[Path], Prepared | Unreadable]:
    torch.set_num_threads(threads)
    return partial(_prepared, prepare)


def _in_batches(
    predictor: Predictor[Prepared, Prediction], outcomes: Iterable[Prepared | Unreadable]
) -> Generator[Prediction | Unreadable, None, None]:
    """What the model says of prepared clouds, in their order, with the unreadable ones among them."""
    waiting: list[Prepared | Unreadable] = []
    ready: list[Prepared] = []
    for outcome in outcomes:
        waiting.append(outcome)
        if not isinstance(outcome, Unreadable):
            ready.append(outcome)
        if len(ready) == predictor.batch or not ready:
            yield from _flushed(predictor, waiting, ready)
            waiting, ready = [], []
    yield from _flushed(predictor, waiting, ready)


def _flushed(
    predictor: Predictor[Prepared, Prediction], waiting: list[Prepared | Unreadable], ready: list[Prepared]
) -> Generator[Prediction | Unreadable, None, None]:
    found = iter(predictor.finish(ready) if ready else ())
    for outcome in waiting:
        yield outcome if isinstance(outcome, Unreadable) else next(found)


def _prepared(prepare: Callable[[Path], Prepared], path: Path) -> Prepared | Unreadable:
    try:
        return prepare(path)
    except CloudError as error:
        return Unreadable(path, error)
