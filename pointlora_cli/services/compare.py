"""Methods compared: the same run with each of them and several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.catalog.results import PublishedResult
from pointlora_cli.errors import PointLoRAError, UsageError, combined
from pointlora_cli.files import write_text
from pointlora_cli.services.grid_inputs import Inputs, InputsFinder
from pointlora_cli.services.grid_records import Cell, CellRecord, read_record, spec_digest
from pointlora_cli.services.published import shown_beside
from pointlora_cli.services.spread import Spread, spread
from pointlora_cli.specs.compatibility import METHODS, refusal
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.wording import did_you_mean, names, near_match, shown

SCRATCH = "scratch"
"""The name for full fine-tuning from random weights."""

NAMES = (*METHODS, SCRATCH)
"""What can be compared."""

_FROM_RANDOM = ("backbone.init=random", "backbone.weights=null")
_LONGEST_NAME = 64  # of a run

Load = Callable[[str, Sequence[str]], RunSpec]
"""Gives the run with a method of that name, in its own settings, and further changes as `--set` takes them."""


@dataclass(frozen=True)
class Contender:
    """One method of a comparison."""

    name: str
    spec: RunSpec  # of the first seed
    cells: tuple[Cell, ...]  # one for each seed


@dataclass(frozen=True)
class Comparison:
    """What is compared, and where it is recorded."""

    spec: RunSpec  # what all have in common, but for the method
    folder: Path
    seeds: tuple[int, ...]
    contenders: tuple[Contender, ...]

    @property
    def cells(self) -> list[Cell]:
        """All runs, seed by seed, so that an early end leaves something of each method."""
        return [contender.cells[place] for place in range(len(self.seeds)) for contender in self.contenders]


@dataclass(frozen=True)
class Standing:
    """What a method has come to."""

    contender: Contender
    records: tuple[CellRecord | None, ...]  # one for each seed; None: not finished

    @property
    def finished(self) -> list[CellRecord]:
        """The records that there are."""
        return [record for record in self.records if record is not None]

    @property
    def score(self) -> Spread | None:
        """Mean and deviation over the finished seeds; None: there is none."""
        return spread([record.score for record in self.finished]) if self.finished else None

    @property
    def published(self) -> list[PublishedResult]:
        """What is published for this method under the run's protocol, in the same measure; the surest first."""
        measures = {record.score_name for record in self.finished}
        return [result for result in shown_beside(self.contender.spec) if result.metric in measures]

    @property
    def seconds(self) -> float | None:
        """Mean time of training."""
        found = [record.seconds for record in self.finished]
        return sum(found) / len(found) if found else None

    @property
    def peak_memory(self) -> int | None:
        """The most bytes that a run held; None: not known."""
        known = [record.peak_memory for record in self.finished if record.peak_memory is not None]
        return max(known, default=None)


def plan_comparison(
    methods: Sequence[str], seeds: Sequence[int], load: Load, changes: Sequence[str] = ()
) -> Comparison:
    """The runs of a comparison: each method in its own settings for the data, with each seed.

    Args:
        methods: names out of `NAMES`.
        seeds: what `train.seed` is set to.
        load: gives the runs.
        changes: `key=value` texts for the options of the one method.

    Raises:
        UsageError: a method does not exist, cannot run, or is another one under another name; all of them at once.
        PointLoRAError: the run itself is wrong.
    """
    methods, seeds = tuple(dict.fromkeys(methods)), tuple(dict.fromkeys(seeds))
    _require_names(methods)
    base = load("full", ())
    _require_distinct(methods, base)
    values = base.model_dump(mode="json", exclude={"output": True, "method": True, "train": {"seed"}})
    digest = spec_digest([values, list(changes)])
    folder = Path(base.output.dir).expanduser() / f"compare-{base.name}-{digest}"
    finder = InputsFinder()
    contenders: list[Contender] = []
    problems: list[PointLoRAError] = []
    for method in methods:
        try:
            spec = _spec_of(method, base, load, changes)
        except PointLoRAError as error:
            problems.append(error)
        else:
            contenders.append(Contender(method, spec, _cells(method, spec, seeds, folder, finder.find(spec))))
    if problems:
        raise combined(problems, f"{len(problems)} methods cannot be compared here:")
    return Comparison(base, folder, seeds, tuple(contenders))


def standings(comparison: Comparison) -> list[Standing]:
    """What is recorded of each method so far."""
    return [
        Standing(contender, tuple(read_record(cell) for cell in contender.cells))
        for contender in comparison.contenders
    ]


def keep_results(comparison: Comparison, markdown: str, document: str) -> None:
    """Write the table and the document beside the records.

    Raises:
        UsageError: they cannot be written.
    """
    try:
        comparison.folder.mkdir(parents=True, exist_ok=True)
        write_text(comparison.folder / "table.md", markdown)
        write_text(comparison.folder / "results.json", document)
    except OSError as error:
        raise UsageError(
            f"{error.filename or comparison.folder}: the results cannot be written: "
            f"{(error.strerror or str(error)).lower()}; the finished runs stand",
            remedy="Make room, and give the same command again.",
        ) from error


def _require_names(methods: Sequence[str]) -> None:
    unknown = [method for method in methods if method not in NAMES]
    if unknown:
        questions = [did_you_mean(near_match(method, NAMES)) for method in unknown]
        meant = "; ".join(dict.fromkeys(question for question in questions if question))
        raise UsageError(
            f"there is no method {' or '.join(map(shown, unknown))}" + (f"; {meant}" if meant else ""),
            remedy=f"The methods are {names(NAMES)}.",
        )


def _require_distinct(methods: Sequence[str], base: RunSpec) -> None:
    if SCRATCH in methods and "full" in methods and base.backbone.init == "random":
        raise UsageError(
            "'full' and 'scratch' are the same here: the backbone starts from random weights (backbone.init)",
            remedy="Leave out one of them, or set backbone.init=checkpoint.",
        )


def _spec_of(method: str, base: RunSpec, load: Load, changes: Sequence[str]) -> RunSpec:
    if method == SCRATCH:
        return load("full", (*_FROM_RANDOM, *changes))
    if reason := refusal(base.backbone.name, method, base.task):
        raise UsageError(reason)
    try:
        return load(method, changes)
    except UsageError as error:
        raise UsageError(f"{method}: {error.message}", error.remedy) from error


def _cells(
    method: str, spec: RunSpec, seeds: Sequence[int], folder: Path, inputs: Inputs
) -> tuple[Cell, ...]:
    def cell(seed: int) -> Cell:
        end = f"-{method}-seed-{seed}"
        train = spec.train.model_copy(update={"seed": seed})
        named = {"name": spec.name[: _LONGEST_NAME - len(end)] + end, "train": train}
        record = folder / f"{end[1:]}.json"
        return Cell(f"{method} seed {seed}", spec.model_copy(update=named), record, inputs)

    return tuple(cell(seed) for seed in seeds)
