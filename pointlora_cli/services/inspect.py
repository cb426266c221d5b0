"""Count what trains, without weights and without data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pointlora_cli.datasets.build import output_counts
from pointlora_cli.errors import DataError
from pointlora_cli.models.build import Outputs, build_model
from pointlora_cli.models.counting import (
    LayerRow,
    ParameterCounts,
    count_parameters,
    list_layers,
    sum_by_part,
)
from pointlora_cli.models.matrix import Cell, matrix
from pointlora_cli.services.runs import find_adapter
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import read_adapter


@dataclass(frozen=True)
class Inspection:
    """The model of a spec."""

    spec: RunSpec
    outputs: Outputs
    counts: ParameterCounts
    layers: list[LayerRow]
    parts: dict[str, tuple[int, int]]  # all and trained parameters of each part


def inspect(spec: RunSpec, classes: int | None = None, categories: int | None = None) -> Inspection:
    """Build the model of a spec without allocating it, and count.

    Args:
        spec: the run.
        classes: the number of classes, or parts in part segmentation; None: as many as the data set has.
        categories: likewise of categories of clouds, in part segmentation; None: one, where `classes` is given.

    Raises:
        DataError: the number of classes is not given and the data folder cannot be listed.
    """
    if classes is not None:
        outputs = Outputs(classes, (categories or 1) if spec.task == "part-segmentation" else 0)
    else:
        try:
            outputs = Outputs(*output_counts(spec.data))
        except DataError as error:
            kind = "parts" if spec.task == "part-segmentation" else "classes"
            remedy = f"{error.remedy or ''} Or give the number of {kind} with --classes N.".strip()
            raise DataError(error.message, remedy) from error
    with torch.device("meta"):
        model = build_model(spec, outputs)
    layers = list_layers(model)
    return Inspection(spec, outputs, count_parameters(model), layers, sum_by_part(layers))


def inspect_run(where: Path) -> Inspection:
    """The model of a run directory or an adapter.

    Raises:
        DataError: there is no adapter.
        IntegrityError: the adapter's file was changed.
    """
    record, _ = read_adapter(find_adapter(where, where))
    return inspect(record.spec, *record.outputs)


def inspect_matrix() -> list[Cell]:
    """Every method on every backbone for every task that methods differ in: how much trains, or why it cannot run."""
    return matrix()
