"""Fold what is linear of a trained method into its backbone."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pointlora_cli.adaptation.base import Folded
from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.files import sync_folder
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.base_weights import NO_BASE
from pointlora_cli.models.build import Outputs, build_model
from pointlora_cli.models.counting import ParameterCounts, count_parameters
from pointlora_cli.services.runs import ADAPTER
from pointlora_cli.services.trained_model import TrainedModel, load_trained_model
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import AdapterRecord, MergeRecord, read_adapter, save_adapter
from pointlora_cli.training.devices import memory_guard

TOLERANCE = 1e-5
"""How far a logit may move; of logits larger than 1, relative to the largest."""

_CLOUDS = 4  # on which the two models are compared
_MERGED = "merged"
_OTHER_FOLDER = "Choose another folder with --output DIR."


@dataclass(frozen=True)
class MergeResult:
    """A merged model, and the adapter that it was made of."""

    adapter: Path
    merged: Path
    record: AdapterRecord  # of the merged model
    before: ParameterCounts
    after: ParameterCounts
    difference: float  # the largest of any logit, on random clouds


def merge(adapter: Path, *, output: Path | None = None, base: Path | None = None) -> MergeResult:
    """Write the model of the adapter in `adapter` as one that needs no base, and has fewer parts.

    Args:
        adapter: the adapter's folder; it is not touched.
        output: a new folder; None: `merged` beside the adapter.
        base: the base checkpoint; None: where it was when the adapter was trained.

    Raises:
        UsageError: the method has nothing to fold, or `output` exists or cannot be written.
        DataError: adapter or base are missing, or do not belong together, or the weights are not finite.
        IntegrityError: the adapter's file was changed.
    """
    output = output or _beside(adapter)
    _require_new(output)
    record, _ = read_adapter(adapter)
    _require_something_to_fold(record, adapter)
    with memory_guard("Free memory."):
        trained = load_trained_model(adapter, base=base, device="cpu")
        clouds = _random_clouds(record.resampling.points)
        before, expected = count_parameters(trained.model), _logits(trained.model, clouds)
        folded = trained.model.adaptation.fold(trained.model)
        assert folded is not None  # it was asked before
        spec = record.spec.model_copy(update={"method": folded.left})
        model = _without_folded_parts(trained.model, spec, record.outputs)
        difference = _require_equal(expected, _logits(model, clouds), adapter)
    written = _write(output, model, spec, trained, folded)
    return MergeResult(adapter, output, written, before, count_parameters(model), difference)


def _beside(adapter: Path) -> Path:
    if adapter.name in {"", ".."}:
        adapter = adapter.resolve()
    return adapter.with_name(_MERGED if adapter.name == ADAPTER else f"{adapter.name}-{_MERGED}")


def _require_new(output: Path) -> None:
    if output.exists() or output.is_symlink():
        raise UsageError(f"{output}: exists already, and nothing is overwritten", remedy=_OTHER_FOLDER)


def _require_something_to_fold(record: AdapterRecord, adapter: Path) -> None:
    """Ask the method on a model without memory: the base need not be there for a refusal."""
    if record.merged is not None:
        raise UsageError(f"{adapter}: a merged model already; it is used as it is")
    with torch.device("meta"):
        model = build_model(record.spec, record.outputs)
    if model.adaptation.fold(model) is None:
        raise UsageError(
            f"{adapter}: nothing to merge: method {record.spec.method.name} {model.adaptation.unfolded}",
            remedy="Use the adapter as it is; low-rank terms (methods lora and pointlora) can be merged.",
        )


def _random_clouds(points: int) -> Tensor:
    return 2 * torch.rand(_CLOUDS, points, 3, generator=torch.Generator().manual_seed(0)) - 1


@torch.inference_mode()
def _logits(model: AdaptedModel, clouds: Tensor) -> Tensor:
    """Of clouds (n, P, 3), or of their points, as if all were of the first category."""
    category = [] if model.task == "classification" else [torch.zeros(1, dtype=torch.int64)]
    model.eval()
    return torch.cat([model(cloud, *category).logits for cloud in torch.split(clouds, 1)])


def _without_folded_parts(model: AdaptedModel, spec: RunSpec, outputs: Outputs) -> AdaptedModel:
    """The model of what is left, with the weights that it shares with the folded one."""
    left, weights = build_model(spec, outputs), model.state_dict()
    left.load_state_dict({name: weights[name] for name in left.state_dict()})
    return left


def _require_equal(expected: Tensor, found: Tensor, adapter: Path) -> float:
    difference = (expected - found).abs().max().item()
    if not difference <= TOLERANCE * max(1.0, expected.abs().max().item()):  # NaN is no equality
        raise DataError(
            f"{adapter}: the merged model is not equal: its logits differ by {difference:.1e}, more than "
            f"rounding explains; nothing was written",
            remedy="Its weights are huge or not finite: look at the run's losses.",
        )
    return difference


def _write(
    output: Path, model: AdaptedModel, spec: RunSpec, trained: TrainedModel, folded: Folded
) -> AdapterRecord:
    """Write the folder under another name beside, then give it its own."""
    record = trained.record
    merged = MergeRecord(
        method=record.spec.method,
        base=record.base,
        adapter_sha256=record.weights.sha256,
        folded=folded.terms,
        kept=folded.kept,
    )
    temporary = output.with_name(f".{secrets.token_hex(8)}.part")
    try:
        written = save_adapter(
            temporary, model, NO_BASE, spec, record.classes, record.result, merged, record.categories
        )
        temporary.rename(output)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"{output}: cannot be written: {reason}", remedy=_OTHER_FOLDER) from error
        raise
    sync_folder(output.parent)
    return written
