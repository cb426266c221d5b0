"""Everything a run needs before its first step, checked in the order in which it can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.build import check_data, load_data, load_part_data
from pointlora_cli.datasets.part_segmentation import PartClouds, PartSegmentationData
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.errors import DataError, PointLoRAError, combined
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.base_weights import BaseWeights, load_base, require_weights
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.segmenter import Segmenter
from pointlora_cli.services.prior_bank import fill_bank
from pointlora_cli.services.runs import check_output
from pointlora_cli.specs.data import (
    AnyClassificationData,
    AnyPartData,
    SegmentationFolderData,
    ShapeNetPartData,
)
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import CategoryRecord
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.devices import resolve_device, resolve_precision
from pointlora_cli.training.events import Listener, Notice
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


def find_problems(spec: RunSpec) -> list[PointLoRAError]:
    """What keeps a run from starting, as far as can be seen without reading all the data."""
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_data(spec.data),
        lambda: spec.backbone.init == "random" or require_weights(spec.backbone),
        lambda: resolve_precision(spec.train.precision, resolve_device(spec.train.device)),
        lambda: check_output(spec.output.dir),
    )
    problems: list[PointLoRAError] = []
    for check in checks:
        try:
            check()
        except PointLoRAError as error:
            problems.append(error)
    return problems


def prepare(spec: RunSpec, listen: Listener) -> Prepared:
    """Check everything, read the data, and put the base weights into the model.

    Raises:
        PointLoRAError: all that is missing or wrong, in one message.
    """
    problems = find_problems(spec)
    if problems:
        raise combined(problems, f"the run cannot start; {len(problems)} things are missing or wrong:")
    device = resolve_device(spec.train.device)
    dtype = resolve_precision(spec.train.precision, device)
    if isinstance(spec.data, ShapeNetPartData | SegmentationFolderData):
        return _prepare_part_segmentation(spec, spec.data, device, dtype, listen)
    return _prepare_classification(spec, spec.data, device, dtype, listen)


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
    if spec.backbone.init == "random":
        listen(
            Notice(
                "the backbone starts from random weights, not from pre-trained ones (backbone.init: random)"
            )
        )
    return model.to(device), base


def _splits(spec: RunSpec, data: ClassificationData) -> Splits[LabelledClouds]:
    train, evaluated = data.train, data.test
    if spec.train.selection == "best-val":
        rest, held_out = _held_out(spec, train.labels, "class")
        train, evaluated = train.subset(rest), _as_tested(spec, train.subset(held_out))
    _require_clouds(len(train), len(evaluated), "class")
    return Splits(train, evaluated, data.test)


def _part_splits(spec: RunSpec, data: PartSegmentationData) -> Splits[PartClouds]:
    train, evaluated = data.trainval, data.test
    if spec.train.selection == "best-val":
        rest, held_out = _held_out(spec, train.category, "category")
        train, evaluated = train.subset(rest), train.subset(held_out)
    _require_clouds(len(train), len(evaluated), "category")
    return Splits(train, evaluated, data.test)


def _held_out(
    spec: RunSpec, labels: NDArray[np.int64], kind: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training clouds that stay, and of those that choose the epoch."""
    if np.bincount(labels).max() < 2:
        raise DataError(
            f"train.selection is 'best-val', but no {kind} has 2 training clouds to hold one out",
            remedy="Use train.selection=last.",
        )
    return stratified_split(labels, spec.train.val_fraction, spec.train.seed)


def _require_clouds(train: int, evaluated: int, kind: str) -> None:
    if evaluated == 0:
        raise DataError(
            "no cloud is left to evaluate on", remedy=f"Add clouds: each {kind} needs at least 2."
        )
    if train < 2:
        raise DataError("only one cloud to train on: batch norm needs at least 2", remedy="Add clouds.")


def _as_tested(spec: RunSpec, clouds: LabelledClouds) -> LabelledClouds:
    """Training clouds, which may be stored with more points, with the points that test clouds have."""
    if clouds.points.shape[1] == spec.data.points:
        return clouds
    points = thin(clouds.points, spec.data.points, skip_near_origin=spec.data.skips_near_origin)
    return LabelledClouds(points, clouds.labels)
