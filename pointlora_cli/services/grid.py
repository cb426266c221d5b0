"""A grid of runs: checked before the first one starts, recorded one by one; what is finished is not repeated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.errors import ExitCode, InterruptedRunError, PointLoRAError, combined
from pointlora_cli.services.grid_records import (
    Cell,
    CellRecord,
    examine_record,
    read_record,
    run_cell,
    run_directory,
)
from pointlora_cli.services.grid_watch import GridWatch
from pointlora_cli.services.grid_workers import CellFailure, run_in_workers
from pointlora_cli.services.preparation import find_problems
from pointlora_cli.training.events import Event

_ONE_BY_ONE = 3  # things of one remedy that are named each


@dataclass(frozen=True)
class GridResult:
    """All cells of a grid, in their order."""

    records: tuple[CellRecord, ...]
    trained: frozenset[int]  # those that this call ran; the others were finished before


class GridError(PointLoRAError):
    """Some cells failed; exit code and kind are those of the first that did."""

    def __init__(self, failures: Sequence[CellFailure], standing: str) -> None:
        first = failures[0]
        if len(failures) == 1:
            super().__init__(f"{first.cell} failed: {first.message}; {standing}", first.remedy)
        else:
            lines = [f"{len(failures)} runs failed; {standing}:"]
            for failure in failures:
                lines.append(f"  - {failure.cell}: {failure.message}")
                lines += [f"    {failure.remedy}"] if failure.remedy else []
            super().__init__("\n".join(lines))
        self.failures = tuple(failures)
        self.exit_code, self.kind = ExitCode(first.exit_code), first.kind

    def details(self) -> dict[str, object]:
        """Each failed cell by itself."""
        return {"failures": [vars(failure) for failure in self.failures]}


def run_grid(cells: Sequence[Cell], jobs: int, watch: GridWatch) -> GridResult:
    """Run the cells that are not recorded yet.

    All of them are checked before the first one starts. Where one fails, the others are run all the same.

    Args:
        cells: the runs, each with a record of its own.
        jobs: 1: one after the other, in this process. More: that many processes at once, which share the
            threads. 0: the first cell alone, then as many as fit into the free memory with half as much again
            as the largest cell has held so far, but no more than there are cores.
        watch: told how it goes on.

    Raises:
        PointLoRAError: something that the cells need is missing or wrong; nothing was run.
        GridError: cells failed; the others are finished and stand.
        InterruptedRunError, KeyboardInterrupt: Ctrl-C or SIGTERM; finished cells stand.
    """
    examined = [examine_record(cell) for cell in cells]
    found = [one if isinstance(one, CellRecord) else None for one in examined]
    pending = [index for index, record in enumerate(found) if record is None]
    check_cells([cells[index] for index in pending])
    for cell, one in zip(cells, examined, strict=True):
        if isinstance(one, CellRecord):
            gone = "" if run_directory(Path(cell.spec.output.dir).expanduser(), one) else ", and was removed"
            watch.told(f"{cell.name} is finished already: {one.run}{gone}")
        elif one is not None:
            watch.told(f"{cell.record} is {one}: the run is repeated")
    numbered = [(index + 1, cells[index]) for index in pending]
    if jobs == 1:
        failures = _run_here(numbered, len(cells), watch)
    else:
        peaks = [record.peak_memory for record in found if record is not None]
        failures = run_in_workers(numbered, len(cells), jobs, peaks, watch)
    if failures:
        raise GridError(failures, standing_words(cells))
    records = tuple(record for record in map(read_record, cells) if record is not None)
    assert len(records) == len(cells)  # each was recorded, or failed
    return GridResult(records, frozenset(pending))


def check_cells(cells: Sequence[Cell]) -> None:
    """Raise what would keep any of these cells from starting, each reason once; many of one remedy as one.

    Raises:
        PointLoRAError: all that is missing or wrong.
    """
    found: dict[str, PointLoRAError] = {}
    for cell in cells:
        for problem in find_problems(cell.spec):
            found.setdefault(problem.message, problem)
    if found:
        summary = f"the runs cannot all start; {len(found)} things are missing or wrong:"
        raise combined(_grouped(found.values()), summary)


def _grouped(problems: Iterable[PointLoRAError]) -> list[PointLoRAError]:
    """The problems, where more than a few of a kind have the same remedy as one that tells their number."""
    groups: dict[tuple[type[PointLoRAError], str | None], list[PointLoRAError]] = {}
    for problem in problems:
        groups.setdefault((type(problem), problem.remedy), []).append(problem)
    grouped: list[PointLoRAError] = []
    for (kind, remedy), members in groups.items():
        if remedy is None or len(members) <= _ONE_BY_ONE:
            grouped += members
        else:
            grouped.append(kind(f"{len(members)} alike, the first: {members[0].message}", remedy))
    return grouped


def standing_words(cells: Sequence[Cell], what: str = "runs") -> str:
    """How much is done, in words: "2 of 8 runs are finished and stand"."""
    done = sum(read_record(cell) is not None for cell in cells)
    return f"{done} of {len(cells)} {what} are finished and stand"


def _run_here(cells: Sequence[tuple[int, Cell]], total: int, watch: GridWatch) -> list[CellFailure]:
    failures = []
    for number, cell in cells:
        watch.started(cell.name, number, total)

        def listen(event: Event, name: str = cell.name) -> None:
            watch.heard(name, event)

        try:
            record = run_cell(cell, 1, listen)
        except InterruptedRunError:
            raise
        except PointLoRAError as error:
            failures.append(CellFailure.of(cell, error))
            watch.failed(cell.name, error.message)
        else:
            watch.finished(cell.name, record.score, record.score_name, record.seconds)
    return failures
