"""Every method on every backbone for every task that methods differ in: how much trains, or why it cannot."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.build import Outputs, build_model, rebuild
from pointlora_cli.models.counting import ParameterCounts, count_parameters
from pointlora_cli.specs.compatibility import BACKBONES, METHODS, Obstacle, obstacle
from pointlora_cli.specs.needs import Task
from pointlora_cli.specs.recipes import with_method
from pointlora_cli.specs.run import RunSpec

OUTPUTS: dict[Task, Outputs] = {"classification": Outputs(15), "part-segmentation": Outputs(50, 16)}
"""Those of ScanObjectNN and of ShapeNetPart."""

_DATA: dict[Task, dict[str, str]] = {
    "classification": {"source": "scanobjectnn"},
    "part-segmentation": {"source": "shapenetpart"},
}


@dataclass(frozen=True)
class Cell:
    """A method on a backbone for a task, all in their published sizes."""

    task: Task
    backbone: str
    method: str
    counts: ParameterCounts | None  # None where it cannot run
    obstacle: Obstacle | None


def matrix() -> list[Cell]:
    """All cells, by task, backbone and method; the models are counted without memory for their weights."""
    return [cell for task in OUTPUTS for backbone in BACKBONES for cell in _column(task, backbone)]


def _column(task: Task, backbone: str) -> list[Cell]:
    cells = []
    model: AdaptedModel | None = None
    for method in METHODS:
        found, counts = obstacle(backbone, method, task), None
        if found is None:
            spec = _spec(task, backbone, method)
            with torch.device("meta"):
                model = rebuild(model, spec, OUTPUTS[task]) if model else build_model(spec, OUTPUTS[task])
            counts = count_parameters(model)
        cells.append(Cell(task, backbone, method, counts, found))
    return cells


def _spec(task: Task, backbone: str, method: str) -> RunSpec:
    plain = RunSpec.model_validate(
        {
            "task": task,
            "data": _DATA[task],
            "backbone": {"name": backbone},
            "tokenizer": {"centers": 128, "neighbors": 32},
            "method": {"name": "full"},
        }
    )
    return with_method(plain, method)
