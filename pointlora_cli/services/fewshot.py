"""The few-shot protocol: one run for each fold, mean and deviation over them; what is finished stands."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pydantic

from pointlora_cli import __version__
from pointlora_cli.errors import PointLoRAError, UsageError, combined
from pointlora_cli.files import write_text
from pointlora_cli.services.finetune import finetune
from pointlora_cli.services.preparation import find_problems
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.data import FewShotData
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.events import EpochDone, Event, Listener

SETTINGS = ((5, 10), (5, 20), (10, 10), (10, 20))
"""Way and shot of the four columns that the field reports."""

_DIGITS = 12  # of the digest in a folder's name


class FoldRecord(Spec):
    """What is kept of a finished fold."""

    fold: int = pydantic.Field(ge=0)
    run: str  # name of the run directory, beside the folder of records
    accuracy: float = pydantic.Field(ge=0, le=1)  # of the kept weights, on the test clouds
    best: float | None = pydantic.Field(
        ge=0, le=1
    )  # of all evaluated epochs; None: they saw validation clouds
    last: float | None = pydantic.Field(ge=0, le=1)  # after the last epoch; None: likewise
    clouds: int = pydantic.Field(ge=1)  # test clouds
    kept_epoch: int = pydantic.Field(ge=1)
    epochs: int = pydantic.Field(ge=1)
    seconds: float = pydantic.Field(ge=0)


@dataclass(frozen=True)
class FewShotResult:
    """All folds of one way and shot."""

    spec: RunSpec  # of fold 0
    folder: Path  # of the records
    folds: tuple[FoldRecord, ...]
    trained: frozenset[int]  # folds that this call trained; the others were finished before

    @property
    def way(self) -> int:
        """Classes of an episode."""
        return _episode(self.spec).way

    @property
    def shot(self) -> int:
        """Training clouds of a class."""
        return _episode(self.spec).shot

    @property
    def name(self) -> str:
        """As the papers head their columns: 5w10s."""
        return setting_name(self.spec)


@dataclass(frozen=True)
class Spread:
    """Mean and deviation of the folds' accuracies."""

    mean: float
    population: float  # divided by n, as numpy's default
    sample: float | None  # divided by n - 1; None for one fold


Watch = Callable[[RunSpec], AbstractContextManager[Listener]]
"""Gives the listener of one fold's run, for as long as it lasts."""


def setting_name(spec: RunSpec) -> str:
    """Way and shot of a spec, as the papers head their columns: 5w10s.

    Raises:
        UsageError: its data are no few-shot episode.
    """
    episode = _episode(spec)
    return f"{episode.way}w{episode.shot}s"


def fold_number(spec: RunSpec) -> int:
    """The fold of a spec, from 0.

    Raises:
        UsageError: its data are no few-shot episode.
    """
    return _episode(spec).fold


def records_folder(spec: RunSpec) -> Path:
    """Where the folds of a spec are recorded: another folder for another spec, or another pointlora.

    Neither the fold nor the folder of runs makes a spec another one.
    """
    values = spec.model_dump(mode="json", exclude={"output": True, "data": {"fold"}})
    text = json.dumps([__version__, values], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
    return Path(spec.output.dir).expanduser() / f"fewshot-{spec.name}-{digest}"


def run_fewshot(
    specs: Sequence[RunSpec], folds: int, watch: Watch, tell: Callable[[str], None]
) -> list[FewShotResult]:
    """Run the folds 0 to `folds` - 1 of each spec one after the other; those that are recorded are not repeated.

    All folds of all specs are checked before the first one runs.

    Args:
        specs: one for each way and shot; their fold is disregarded.
        folds: how many of each.
        watch: called for each fold that runs.
        tell: told, in words, of folds that are finished already and of damaged records.

    Raises:
        UsageError: a spec's data are no few-shot episode, or a record cannot be written.
        PointLoRAError: as `finetune`; finished folds stand.
        InterruptedRunError: likewise.
    """
    every = [[_fold_of(spec, fold) for fold in range(folds)] for spec in specs]
    _check([spec for setting in every for spec in setting if _finished(spec) is None])
    results = []
    for setting in every:
        records, trained = [], set()
        for fold, spec in enumerate(setting):
            record = _finished(spec)
            if record is None:
                if _path(spec).exists():
                    tell(f"{_path(spec)} is damaged: the fold is run again")
                with watch(spec) as follow:
                    record = _run(spec, follow)
                trained.add(fold)
            else:
                tell(f"{setting_name(spec)} fold {fold} is finished already: {record.run}")
            records.append(record)
        folder = records_folder(setting[0])
        results.append(FewShotResult(setting[0], folder, tuple(records), frozenset(trained)))
    return results


def finished_folds(specs: Sequence[RunSpec], folds: int) -> int:
    """How many folds of these specs are recorded."""
    return sum(_finished(_fold_of(spec, fold)) is not None for spec in specs for fold in range(folds))


def spread(accuracies: Sequence[float]) -> Spread:
    """Mean and deviation of at least one accuracy."""
    sample = statistics.stdev(accuracies) if len(accuracies) > 1 else None
    return Spread(statistics.fmean(accuracies), statistics.pstdev(accuracies), sample)


class _Accuracies:
    """Passes a run's events on, and keeps what its epochs reached on the test clouds."""

    def __init__(self, spec: RunSpec, listen: Listener) -> None:
        self.found: list[float] = []
        self._sees_test = spec.train.selection != "best-val"
        self._listen = listen

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochDone) and event.evaluation is not None and self._sees_test:
            self.found.append(event.evaluation.accuracy)
        self._listen(event)


def _run(spec: RunSpec, listen: Listener) -> FoldRecord:
    accuracies = _Accuracies(spec, listen)
    result = finetune(spec, accuracies)
    record = FoldRecord(
        fold=_episode(spec).fold,
        run=result.run.name,
        accuracy=result.test.accuracy,
        best=max(accuracies.found, default=None),
        last=accuracies.found[-1] if accuracies.found else None,
        clouds=result.test.count,
        kept_epoch=result.kept_epoch,
        epochs=spec.train.epochs,
        seconds=result.seconds,
    )
    path = _path(spec)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, record.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise UsageError(
            f"{error.filename or path}: the finished fold cannot be recorded: "
            f"{(error.strerror or str(error)).lower()}; its run stands in {result.run}",
            remedy="Make room, or choose another folder with --output DIR.",
        ) from error
    return record


def _finished(spec: RunSpec) -> FoldRecord | None:
    """The record of the spec's fold, where there is a whole one."""
    try:
        record = FoldRecord.model_validate_json(_path(spec).read_bytes())
    except (OSError, ValueError):
        return None
    return record if record.fold == _episode(spec).fold else None


def _check(specs: Sequence[RunSpec]) -> None:
    """Raise what would keep any of these runs from starting, each reason once."""
    found: dict[str, PointLoRAError] = {}
    for spec in specs:
        for problem in find_problems(spec):
            found.setdefault(problem.message, problem)
    if found:
        summary = f"the folds cannot all run; {len(found)} things are missing or wrong:"
        raise combined(list(found.values()), summary)


def _path(spec: RunSpec) -> Path:
    return records_folder(spec) / f"fold-{_episode(spec).fold}.json"


def _fold_of(spec: RunSpec, fold: int) -> RunSpec:
    return spec.model_copy(update={"data": _episode(spec).model_copy(update={"fold": fold})})


def _episode(spec: RunSpec) -> FewShotData:
    if not isinstance(spec.data, FewShotData):
        raise UsageError(
            f"data.source is '{spec.data.source}', and few-shot folds are of 'modelnet40-fewshot'",
            remedy="Use --preset modelnet40-fewshot, or set data.source in your spec.",
        )
    return spec.data
