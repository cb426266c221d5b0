"""The few-shot protocol: one run for each fold, mean and deviation over them; what is finished stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.catalog.results import PublishedResult
from pointlora_cli.errors import UsageError
from pointlora_cli.services.grid import run_grid
from pointlora_cli.services.grid_inputs import InputsFinder
from pointlora_cli.services.grid_records import Cell, CellRecord, spec_digest
from pointlora_cli.services.grid_watch import GridWatch
from pointlora_cli.services.published import shown_beside
from pointlora_cli.specs.data import FewShotData
from pointlora_cli.specs.run import RunSpec

SETTINGS = ((5, 10), (5, 20), (10, 10), (10, 20))
"""Way and shot of the four columns that the field reports."""


@dataclass(frozen=True)
class FewShotResult:
    """All folds of one way and shot."""

    spec: RunSpec  # of fold 0
    folder: Path  # of the records
    folds: tuple[CellRecord, ...]
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

    @property
    def published(self) -> list[PublishedResult]:
        """What is published for this method under the run's protocol; the surest first."""
        return shown_beside(self.spec, len(self.folds))


def setting_name(spec: RunSpec) -> str:
    """Way and shot of a spec, as the papers head their columns: 5w10s.

    Raises:
        UsageError: its data are no few-shot episode.
    """
    episode = _episode(spec)
    return f"{episode.way}w{episode.shot}s"


def records_folder(spec: RunSpec) -> Path:
    """Where the folds of a spec are recorded: another folder for another spec, or another pointlora.

    Neither the fold nor the folder of runs makes a spec another one.
    """
    digest = spec_digest(spec.model_dump(mode="json", exclude={"output": True, "data": {"fold"}}))
    return Path(spec.output.dir).expanduser() / f"fewshot-{spec.name}-{digest}"


def fold_cells(specs: Sequence[RunSpec], folds: int) -> list[Cell]:
    """The runs of these specs: the folds 0 to `folds` - 1 of each, one spec after the other.

    Raises:
        UsageError: a spec's data are no few-shot episode.
    """
    finder = InputsFinder()
    return [_cell(spec, fold, finder) for spec in specs for fold in range(folds)]


def run_fewshot(specs: Sequence[RunSpec], folds: int, jobs: int, watch: GridWatch) -> list[FewShotResult]:
    """Run the folds 0 to `folds` - 1 of each spec; those that are recorded are not repeated.

    Args:
        specs: one for each way and shot; their fold is disregarded.
        folds: how many of each.
        jobs: how many at once, as `run_grid` takes it.
        watch: told how it goes on.

    Raises:
        UsageError: a spec's data are no few-shot episode.
        PointLoRAError: as `run_grid`; finished folds stand.
        InterruptedRunError, KeyboardInterrupt: likewise.
    """
    cells = fold_cells(specs, folds)
    grid = run_grid(cells, jobs, watch)
    results = []
    for first in range(0, len(cells), folds):
        places = range(first, first + folds)
        records = tuple(grid.records[place] for place in places)
        trained = frozenset(place - first for place in places if place in grid.trained)
        results.append(
            FewShotResult(cells[first].spec, cells[first].record.parent, records, trained),
        )
    return results


def _cell(spec: RunSpec, fold: int, finder: InputsFinder) -> Cell:
    spec = spec.model_copy(update={"data": _episode(spec).model_copy(update={"fold": fold})})
    record = records_folder(spec) / f"fold-{fold}.json"
    return Cell(f"{setting_name(spec)} fold {fold}", spec, record, finder.find(spec))


def _episode(spec: RunSpec) -> FewShotData:
    if not isinstance(spec.data, FewShotData):
        raise UsageError(
            f"data.source is '{spec.data.source}', and few-shot folds are of 'modelnet40-fewshot'",
            remedy="Use --preset modelnet40-fewshot, or set data.source in your spec.",
        )
    return spec.data
