"""Evaluate a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.build import load_data
from pointlora_cli.datasets.folder import load_labelled_folder
from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.services.evaluate_parts import evaluate_segmenter
from pointlora_cli.services.trained_model import TrainedModel, load_trained_model
from pointlora_cli.specs.data import (
    AnyClassificationData,
    AnyPartData,
    AnyUnlabelledData,
    DataSpec,
    FolderData,
)
from pointlora_cli.training.adapter_file import AdapterRecord
from pointlora_cli.training.classification import evaluate as evaluate_clouds
from pointlora_cli.training.devices import memory_guard
from pointlora_cli.training.events import Listener, Notice
from pointlora_cli.training.metrics import AnyMetrics, Metrics
from pointlora_cli.training.voting import Voting, vote


@dataclass(frozen=True)
class EvaluationResult:
    """How a trained model does on a set of clouds."""

    adapter: Path
    record: AdapterRecord
    data: str  # what it was evaluated on
    metrics: AnyMetrics
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

    Of a part-segmentation model, the clouds of a folder need a label at each point.

    With `voting`, the logits of several passes are averaged; each draws its points from as many farthest points
    of the stored cloud as a training step, or from the resampled cloud of a folder.

    Raises:
        PointLoRAError: adapter, base or data are missing, or do not belong together.
        UsageError: votes are asked of a part-segmentation model.
    """
    trained = load_trained_model(folder, base=base, device=device)
    metrics: AnyMetrics
    if trained.record.task == "part-segmentation":
        if voting is not None:
            raise UsageError(
                "--vote is for classification: part segmentation is published without voting",
                remedy="Leave out --vote.",
            )
        name, metrics = evaluate_segmenter(trained, data, listen)
    else:
        name, metrics = _evaluate_classifier(trained, data, listen, voting)
    return EvaluationResult(folder, trained.record, name, metrics, str(trained.device), voting)


def _evaluate_classifier(
    trained: TrainedModel, data: Path | None, listen: Listener, voting: Voting | None
) -> tuple[str, Metrics]:
    name, clouds = _clouds(trained, data, listen, voting)
    spec = trained.record.spec
    batch_size, target, dtype = spec.train.eval_batch_size, trained.device, trained.dtype
    with memory_guard("Run on the CPU with --device cpu, or free memory."):
        if voting is None:
            metrics = evaluate_clouds(
                trained.classifier, clouds, batch_size=batch_size, device=target, dtype=dtype
            )
        else:
            metrics = vote(
                trained.classifier,
                clouds,
                voting,
                data=DataSpec(points=trained.record.resampling.points) if data else spec.data,
                augmentation=spec.augmentation,
                batch_size=batch_size,
                device=target,
                dtype=dtype,
            )
    return name, metrics


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
        own_spec = record.spec.data
        assert not isinstance(own_spec, AnyPartData | AnyUnlabelledData)  # as the task says
        own = load_data(_candidates(own_spec) if voting else own_spec, listen)
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


def _candidates(spec: AnyClassificationData) -> AnyClassificationData:
    """The data set whose test clouds hold all farthest points of which a training step draws."""
    return spec.model_copy(update={"points": spec.drawn_from})


def _same_place(one: Path, other: str) -> bool:
    return one.expanduser().resolve() == Path(other).expanduser().resolve()
