"""What is kept of a finished cell of a grid: one small file, trusted only if whole and of the same spec and data."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from pointlora_cli import __version__
from pointlora_cli.errors import DataError, IntegrityError, UsageError
from pointlora_cli.files import write_text
from pointlora_cli.services.finetune import FinetuneResult, finetune, resume
from pointlora_cli.services.grid_inputs import Inputs
from pointlora_cli.services.runs import RunDirectory
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.problems import SpecError
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.events import Listener, Notice

_DIGITS = 12  # of the digest in a folder's name
_DAMAGED = "damaged, or of another spec"


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    name: str  # as a person calls it: "5w10s fold 3"
    spec: RunSpec
    record: Path  # where it is recorded
    inputs: Inputs


class CellRecord(Spec):
    """What is kept of a finished cell."""

    run: str  # name of the run directory, in the folder of runs
    score: float = pydantic.Field(ge=0, le=1)  # of the kept weights, on the test clouds
    score_name: str
    best: float | None = pydantic.Field(
        ge=0, le=1
    )  # of all evaluated epochs; None: they saw validation clouds
    last: float | None = pydantic.Field(ge=0, le=1)  # after the last epoch; None: likewise
    clouds: int = pydantic.Field(ge=1)  # test clouds
    kept_epoch: int = pydantic.Field(ge=1)
    epochs: int = pydantic.Field(ge=1)
    seconds: float = pydantic.Field(ge=0)
    trained: int = pydantic.Field(ge=0)  # parameters
    total: int = pydantic.Field(ge=1)  # parameters
    device: str
    peak_memory: int | None = pydantic.Field(ge=0)  # bytes; None: the system does not tell
    together: int = pydantic.Field(ge=1)  # cells that were at work at the same time, at most


def spec_digest(values: Any) -> str:
    """A short name for what decides the outcome of a grid: `values`, as JSON, under this version."""
    return _digest(values)[:_DIGITS]


def run_cell(cell: Cell, together: int, listen: Listener) -> CellRecord:
    """Run a cell and record it; one that was stopped goes on where it was.

    Args:
        cell: what to run.
        together: how many cells are at work at the same time.
        listen: told how the run goes on.

    Raises:
        UsageError: the record cannot be written.
        PointLoRAError: as `finetune`.
    """
    result = _run_on(cell, listen) or finetune(cell.spec, listen, begun=lambda run: _note_run(cell, run))
    record = _record_of(result, together)
    try:
        cell.record.parent.mkdir(parents=True, exist_ok=True)
        write_text(cell.record, json.dumps(_sealed(cell, record), indent=2) + "\n")
    except OSError as error:
        raise UsageError(
            f"{error.filename or cell.record}: a finished run cannot be recorded: "
            f"{(error.strerror or str(error)).lower()}; it stands in {result.run}",
            remedy="Make room, or choose another folder with --output DIR.",
        ) from error
    _note(cell).unlink(missing_ok=True)
    RunDirectory(result.run).drop_checkpoints()  # a grid has many runs, and this one is never gone on with
    return record


def read_record(cell: Cell) -> CellRecord | None:
    """The record of a cell; None where there is none that counts."""
    found = examine_record(cell)
    return found if isinstance(found, CellRecord) else None


def examine_record(cell: Cell) -> CellRecord | str | None:
    """The record of a cell, or why it does not count; None where there is none.

    It must be whole, of this spec and this version, and of the data and base weights that are there now.
    """
    try:
        values = json.loads(cell.record.read_bytes())
        record = CellRecord.model_validate(values.pop("record"))
        inputs = Inputs.model_validate(values.pop("inputs"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return _DAMAGED
    if values != {"seal": _seal(cell.spec, inputs, record)}:
        return _DAMAGED
    others = cell.inputs.other_than(inputs)
    return f"of other {' and '.join(others)}" if others else record


def run_directory(runs: Path, record: CellRecord) -> Path | None:
    """Where a recorded run is in the folder of runs; None where it was removed, though what is recorded counts."""
    path = runs / Path(record.run).name
    return path if path.is_dir() else None


def _run_on(cell: Cell, listen: Listener) -> FinetuneResult | None:
    """Go on with the run of a cell that was stopped; None where there is none that can be gone on with."""
    try:
        name = _note(cell).read_text(encoding="utf-8")
        run = RunDirectory.find(Path(cell.spec.output.dir).expanduser() / Path(name).name)
    except (OSError, ValueError, DataError):
        return None
    try:
        return resume(run.path, listen, asked=cell.spec, finished_too=True)  # it may not be recorded yet
    except (SpecError, DataError, IntegrityError) as error:
        listen(Notice(f"{cell.name} starts anew: {error.message}"))
        return None


def _note_run(cell: Cell, run: Path) -> None:
    """Note which run is a cell's, for when it is stopped; without the note it would start anew."""
    with contextlib.suppress(OSError):
        cell.record.parent.mkdir(parents=True, exist_ok=True)
        write_text(_note(cell), run.name)


def _note(cell: Cell) -> Path:
    return cell.record.with_suffix(".run")


def _record_of(result: FinetuneResult, together: int) -> CellRecord:
    scores = () if result.spec.train.selection == "best-val" else result.scores  # of test clouds
    return CellRecord(
        run=result.run.name,
        score=result.test.score,
        score_name=result.test.score_name,
        best=max(scores, default=None),
        last=scores[-1] if scores else None,
        clouds=result.test.count,
        kept_epoch=result.kept_epoch,
        epochs=result.spec.train.epochs,
        seconds=result.seconds,
        trained=result.parameters.trained,
        total=result.parameters.total,
        device=result.device,
        peak_memory=result.peak_memory,
        together=together,
    )


def _sealed(cell: Cell, record: CellRecord) -> dict[str, object]:
    return {
        "record": record.model_dump(mode="json"),
        "inputs": cell.inputs.model_dump(mode="json"),
        "seal": _seal(cell.spec, cell.inputs, record),
    }


def _seal(spec: RunSpec, inputs: Inputs, record: CellRecord) -> str:
    """Changes with any number of the record, its inputs, the spec but for its folder of runs, and the version."""
    parts = (inputs.model_dump(mode="json"), record.model_dump(mode="json"))
    return _digest([spec.model_dump(mode="json", exclude={"output"}), *parts])


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps([__version__, values], sort_keys=True).encode()).hexdigest()
