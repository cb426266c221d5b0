"""Everything a run needs before its first step, checked in the order in which it can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.build import check_data, load_data
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.errors import DataError, PointLoRAError, combined
from pointlora_cli.models.base_weights import BaseWeights, load_base, require_weights
from pointlora_cli.models.build import build_initialized_classifier
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.services.prior_bank import fill_bank
from pointlora_cli.services.runs import check_output
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.devices import resolve_device, resolve_precision
from pointlora_cli.training.events import Listener, Notice


@dataclass(frozen=True)
class Prepared:
    """A run that can start."""

    spec: RunSpec
    data: ClassificationData
    train: LabelledClouds  # what it learns from
    evaluated: LabelledClouds  # what each epoch is evaluated on
    model: Classifier
    base: BaseWeights
    device: torch.device
    dtype: torch.dtype


def find_problems(spec: RunSpec) -> list[PointLoRAError]:
    """What keeps a run from starting, as far as can be seen without reading the data."""
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
    data = load_data(spec.data, listen)
    for notice in data.notices:
        listen(Notice(notice))
    train, evaluated = _splits(spec, data)
    model = build_initialized_classifier(spec, len(data.classes))
    base = load_base(model, spec.backbone, spec.train.seed)
    if spec.backbone.init == "random":
        listen(
            Notice(
                "the backbone starts from random weights, not from pre-trained ones (backbone.init: random)"
            )
        )
    model.to(device)
    if isinstance(model.adaptation, PointPEFT):
        fill_bank(model.adaptation, train.points, spec.data, device, listen)
    return Prepared(spec, data, train, evaluated, model, base, device, dtype)


def _splits(spec: RunSpec, data: ClassificationData) -> tuple[LabelledClouds, LabelledClouds]:
    train, evaluated = data.train, data.test
    if spec.train.selection == "best-val":
        if np.bincount(train.labels).max() < 2:
            raise DataError(
                "train.selection is 'best-val', but no class has 2 training clouds to hold one out",
                remedy="Use train.selection=last.",
            )
        rest, held_out = stratified_split(train.labels, spec.train.val_fraction, spec.train.seed)
        train, evaluated = train.subset(rest), _as_tested(spec, train.subset(held_out))
    if len(evaluated) == 0:
        raise DataError("no cloud is left to evaluate on", remedy="Add clouds: each class needs at least 2.")
    if len(train) < 2:
        raise DataError("only one cloud to train on: batch norm needs at least 2", remedy="Add clouds.")
    return train, evaluated


def _as_tested(spec: RunSpec, clouds: LabelledClouds) -> LabelledClouds:
    """Training clouds, which may be stored with more points, with the points that test clouds have."""
    if clouds.points.shape[1] == spec.data.points:
        return clouds
    points = thin(clouds.points, spec.data.points, skip_near_origin=spec.data.skips_near_origin)
    return LabelledClouds(points, clouds.labels)
