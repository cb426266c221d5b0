"""Evaluate a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.build import load_data
from pointlora_cli.datasets.folder import load_labelled_folder
from pointlora_cli.errors import DataError
from pointlora_cli.services.trained_model import TrainedModel, load_trained_model
from pointlora_cli.specs.data import AnyData, DataSpec, FolderData
from pointlora_cli.training.adapter_file import AdapterRecord
from pointlora_cli.training.devices import memory_guard
from pointlora_cli.training.events import Listener, Notice
from pointlora_cli.training.loop import evaluate as evaluate_clouds
from pointlora_cli.training.metrics import Metrics
from pointlora_cli.training.voting import Voting, vote


@dataclass(frozen=True)
class EvaluationResult:
    """How a trained model does on a set of clouds."""

    adapter: Path
    record: AdapterRecord
    data: str  # what it was evaluated on
    metrics: Metrics
    device: str
    voting: Voting | None = None  # None: one plain pass


def evaluate(
    folder: Path,
    listen: Listener,
    *,
    data: Path | None = None,
    base: Path | None = None,
    device: str | None = None,
    voting: Voting | None = None,
) -> EvaluationResult:
    """Evaluate the adapter in `folder` on its own test set, or on a folder of clouds.

    With `voting`, the logits of several passes are averaged; each draws its points from as many farthest points
    of the stored cloud as a training step, or from the resampled cloud of a folder.

    Raises:
        PointLoRAError: adapter, base or data are missing, or do not belong together.
    """
    trained = load_trained_model(folder, base=base, device=device)
    name, clouds = _clouds(trained, data, listen, voting)
    spec = trained.record.spec
    batch_size, target, dtype = spec.train.eval_batch_size, trained.device, trained.dtype
    with memory_guard("Run on the CPU with --device cpu, or free memory."):
        if voting is None:
            metrics = evaluate_clouds(
                trained.model, clouds, batch_size=batch_size, device=target, dtype=dtype
            )
        else:
            metrics = vote(
                trained.model,
                clouds,
                voting,
                data=DataSpec(points=trained.record.resampling.points) if data else spec.data,
                augmentation=spec.augmentation,
                batch_size=batch_size,
                device=target,
                dtype=dtype,
            )
    return EvaluationResult(folder, trained.record, name, metrics, str(trained.device), voting)


def _clouds(
    trained: TrainedModel, root: Path | None, listen: Listener, voting: Voting | None
) -> tuple[str, LabelledClouds]:
    record = trained.record
    if root is not None:
        resampling = record.resampling
        spec = FolderData(root=str(root), points=resampling.points, normalize=resampling.normalize)
        clouds, notices = load_labelled_folder(spec, record.classes)
        name = str(root)
        trained_on = record.spec.data
        if isinstance(trained_on, FolderData) and _same_place(root, trained_on.root):
            listen(
                Notice(
                    f"{root} is the folder that the model was trained on; clouds it has seen may be among these"
                )
            )
    else:
        own = load_data(_candidates(record.spec.data) if voting else record.spec.data, listen)
        if own.classes != record.classes:
            raise DataError(
                f"the data set now holds other classes than the model was trained on: {', '.join(own.classes)} "
                f"instead of {', '.join(record.classes)}",
                remedy="Give a folder to evaluate on with --data DIR.",
            )
        clouds, notices, name = own.test, own.notices, f"{record.spec.data.source} test set"
    for notice in notices:
        listen(Notice(notice))
    if len(clouds) == 0:
        raise DataError(f"{name}: no cloud to evaluate on")
    return name, clouds


def _candidates(spec: AnyData) -> AnyData:
    """The data set whose test clouds hold all farthest points of which a training step draws."""
    return spec.model_copy(update={"points": spec.drawn_from})


def _same_place(one: Path, other: str) -> bool:
    return one.expanduser().resolve() == Path(other).expanduser().resolve()
