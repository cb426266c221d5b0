"""Everything a run needs before its first step, checked in the order in which it can fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.build import check_data, load_data, load_part_data
from pointlora_cli.datasets.part_segmentation import PartClouds, PartSegmentationData
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.errors import DataError, PointLoRAError, combined
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.base_weights import BaseWeights, load_base
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder
from pointlora_cli.models.segmenter import Segmenter
from pointlora_cli.services.held_out import held_out, require_clouds
from pointlora_cli.services.pretrained_base import require_base
from pointlora_cli.services.pretraining_data import load_pretraining_data
from pointlora_cli.services.prior_bank import fill_bank
from pointlora_cli.services.runs import check_output
from pointlora_cli.specs.data import (
    AnyClassificationData,
    AnyPartData,
    SegmentationFolderData,
    ShapeNet55Data,
    ShapeNetPartData,
    UnlabelledFolderData,
)
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import TrainSpec
from pointlora_cli.training.adapter_file import CategoryRecord
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.compilation import prepare_passes, require_compiler
from pointlora_cli.training.devices import resolve_device, resolve_precision
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import Listener, Notice
from pointlora_cli.training.masked_modelling import MaskedModellingTask
from pointlora_cli.training.part_segmentation import PartSegmentationTask
from pointlora_cli.training.task import Splits, Task


@dataclass(frozen=True)
class Prepared:
    """A run that can start."""

    spec: RunSpec
    task: Task
    base: BaseWeights
    classes: tuple[str, ...]  # or parts
    categories: tuple[CategoryRecord, ...] = ()  # of clouds, in part segmentation
    distribution: Distribution = ALONE  # this process among those of the run


def find_problems(spec: RunSpec) -> list[PointLoRAError]:
    """What keeps a run from starting, as far as can be seen without reading all the data."""
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_data(spec.data),
        lambda: require_base(spec.backbone),
        lambda: _require_arithmetic(spec.train),
        lambda: check_output(spec.output.dir),
    )
    problems: list[PointLoRAError] = []
    for check in checks:
        try:
            check()
        except PointLoRAError as error:
            problems.append(error)
    return problems


def _require_arithmetic(train: TrainSpec) -> None:
    """Raise where there is no such device, or it lacks the precision or what compiles for it."""
    device = resolve_device(train.device)
    resolve_precision(train.precision, device)
    require_compiler(train.compile, device)


def prepare(spec: RunSpec, listen: Listener, distribution: Distribution = ALONE) -> Prepared:
    """Check everything, read the data, and put the base weights into the model.

    Raises:
        PointLoRAError: all that is missing or wrong, in one message.
        DataError: another process of the run has other data.
    """
    problems = find_problems(spec)
    if problems:
        raise combined(problems, f"the run cannot start; {len(problems)} things are missing or wrong:")
    device = resolve_device(spec.train.device)
    dtype = resolve_precision(spec.train.precision, device)
    if spec.task == "pretraining":
        prepared = _prepare_pretraining(spec, device, dtype, listen)
    elif isinstance(spec.data, ShapeNetPartData | SegmentationFolderData):
        prepared = _prepare_part_segmentation(spec, spec.data, device, dtype, listen)
    else:
        assert not isinstance(spec.data, UnlabelledFolderData | ShapeNet55Data)  # the task asks for classes
        prepared = _prepare_classification(spec, spec.data, device, dtype, listen)
    prepare_passes(prepared.task.model, spec.train)
    if spec.train.clouds_on == "auto" and prepared.task.clouds.is_on_host:
        listen(Notice("the training clouds are too many for the device's memory: they are sent step by step"))
    return _among_others(prepared, distribution)


def _among_others(prepared: Prepared, distribution: Distribution) -> Prepared:
    """The same as one process of several, all of which have the same data and now the same weights."""
    facts = f"{prepared.task.fingerprint} {prepared.base.weights_sha256} {' '.join(prepared.classes)}"
    digests = distribution.texts(hashlib.sha256(facts.encode()).hexdigest())
    others = [str(rank) for rank, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise DataError(
            f"process 0 has other data, or other base weights, than process {', '.join(others)}",
            remedy="Give all machines of the run the same files.",
        )
    if distribution.size > max(1, prepared.task.fewest_clouds):
        raise DataError(
            f"{prepared.task.fewest_clouds} clouds to evaluate on are too few for {distribution.size} processes",
            remedy="Use fewer devices, or add clouds.",
        )
    model = prepared.task.model
    if prepared.spec.train.sync_batch_norm:
        distribution.synchronize_batch_norm(model)
    distribution.equalize(model)
    return replace(prepared, distribution=distribution)


def _prepare_classification(
    spec: RunSpec,
    data_spec: AnyClassificationData,
    device: torch.device,
    dtype: torch.dtype,
    listen: Listener,
) -> Prepared:
    data = load_data(data_spec, listen)
    _tell(data.notices, listen)
    splits = _splits(spec, data)
    model, base = _model(spec, Outputs(len(data.classes)), device, listen)
    assert isinstance(model, Classifier)  # as the task asks
    if isinstance(model.adaptation, PointPEFT):
        fill_bank(model.adaptation, splits.train.points, spec.data, device, listen)
    task = ClassificationTask(model, spec, splits, device=device, dtype=dtype)
    return Prepared(spec, task, base, data.classes)


def _prepare_part_segmentation(
    spec: RunSpec, data_spec: AnyPartData, device: torch.device, dtype: torch.dtype, listen: Listener
) -> Prepared:
    data = load_part_data(data_spec, listen)
    _tell(data.notices, listen)
    splits = _part_splits(spec, data)
    model, base = _model(spec, Outputs(len(data.part_names), len(data.categories)), device, listen)
    assert isinstance(model, Segmenter)  # as the task asks
    task = PartSegmentationTask(model, spec, data_spec, splits, data.parts, device=device, dtype=dtype)
    return Prepared(spec, task, base, data.part_names, category_records(data))


def _prepare_pretraining(
    spec: RunSpec, device: torch.device, dtype: torch.dtype, listen: Listener
) -> Prepared:
    data = load_pretraining_data(spec, listen)
    model, base = _model(spec, Outputs(0), device, listen)
    assert isinstance(model, MaskedAutoencoder)  # as the task asks
    task = MaskedModellingTask(
        model, spec, spec.masking, data.splits, probe=data.probe, device=device, dtype=dtype
    )
    return Prepared(spec, task, base, ())


def category_records(data: PartSegmentationData) -> tuple[CategoryRecord, ...]:
    """The categories of a data set and their parts, as an adapter records them."""
    return tuple(
        CategoryRecord(name=name, first=parts.start, parts=len(parts))
        for name, parts in zip(data.categories, data.parts, strict=True)
    )


def _tell(notices: tuple[str, ...], listen: Listener) -> None:
    for notice in notices:
        listen(Notice(notice))


def _model(
    spec: RunSpec, outputs: Outputs, device: torch.device, listen: Listener
) -> tuple[AdaptedModel, BaseWeights]:
    """The model of a run on its device, with its base weights."""
    model = build_initialized_model(spec, outputs)
    base = load_base(model, spec.backbone, spec.train.seed)
    if spec.backbone.init == "random" and spec.task != "pretraining":
        listen(
            Notice(
                "the backbone starts from random weights, not from pre-trained ones (backbone.init: random)"
            )
        )
    return model.to(device), base


def _splits(spec: RunSpec, data: ClassificationData) -> Splits[LabelledClouds]:
    train, evaluated = data.train, data.test
    if spec.train.selection == "best-val":
        rest, chosen = held_out(spec.train, train.labels, "class")
        train, evaluated = train.subset(rest), _as_tested(spec, train.subset(chosen))
    require_clouds(len(train), len(evaluated), _remedy("class"))
    return Splits(train, evaluated, data.test)


def _part_splits(spec: RunSpec, data: PartSegmentationData) -> Splits[PartClouds]:
    train, evaluated = data.trainval, data.test
    if spec.train.selection == "best-val":
        rest, chosen = held_out(spec.train, train.category, "category")
        train, evaluated = train.subset(rest), train.subset(chosen)
    require_clouds(len(train), len(evaluated), _remedy("category"))
    return Splits(train, evaluated, data.test)


def _remedy(kind: str) -> str:
    return f"Add clouds: each {kind} needs at least 2."


def _as_tested(spec: RunSpec, clouds: LabelledClouds) -> LabelledClouds:
    """Training clouds, which may be stored with more points, with the points that test clouds have."""
    if clouds.points.shape[1] == spec.data.points:
        return clouds
    points = thin(clouds.points, spec.data.points, skip_near_origin=spec.data.skips_near_origin)
    return LabelledClouds(points, clouds.labels)
