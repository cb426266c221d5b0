"""Count what trains, without weights and without data."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pointlora_cli.datasets.build import class_names
from pointlora_cli.errors import DataError
from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.counting import LayerRow, ParameterCounts, count_parameters, list_layers
from pointlora_cli.specs.run import RunSpec


@dataclass(frozen=True)
class Inspection:
    """The model of a spec."""

    spec: RunSpec
    classes: int
    counts: ParameterCounts
    layers: list[LayerRow]


def inspect(spec: RunSpec, classes: int | None = None) -> Inspection:
    """Build the model of a spec without allocating it, and count.

    Args:
        spec: the run.
        classes: the number of classes; None: as many as the data set has.

    Raises:
        DataError: the number of classes is not given and the data folder cannot be listed.
    """
    if classes is None:
        try:
            classes = len(class_names(spec.data))
        except DataError as error:
            remedy = f"{error.remedy or ''} Or give the number of classes with --classes N.".strip()
            raise DataError(error.message, remedy) from error
    with torch.device("meta"):
        model = build_classifier(spec, classes)
    return Inspection(spec, classes, count_parameters(model), list_layers(model))
