"""A dry run: every check, and one real step."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from pointlora_cli.models.counting import ParameterCounts, count_parameters
from pointlora_cli.services.batch_memory import batch_memory_guard
from pointlora_cli.services.preparation import Prepared, prepare
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.batches import epoch_batches, epoch_updates
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import Listener
from pointlora_cli.training.loop import gradients, update
from pointlora_cli.training.optimizer import build_optimizer


@dataclass(frozen=True)
class Rehearsal:
    """What a dry run found: everything is in place and one step works."""

    spec: RunSpec
    classes: tuple[str, ...]  # or parts
    train_clouds: int
    evaluated_clouds: int
    steps_per_epoch: int
    parameters: ParameterCounts
    loss: float
    step_seconds: float
    device: str
    precision: str


def rehearse(spec: RunSpec, listen: Listener, distribution: Distribution = ALONE) -> Rehearsal:
    """Make every check of a run and one real optimiser step; write nothing. All its processes call this.

    Raises:
        PointLoRAError: as `finetune`.
    """
    with batch_memory_guard(spec):
        return _rehearse(prepare(spec, listen, distribution))


def _rehearse(prepared: Prepared) -> Rehearsal:
    spec, task, distribution = prepared.spec, prepared.task, prepared.distribution
    updates = epoch_updates(task.train_clouds, spec.train, distribution.size)
    torch.manual_seed(spec.train.seed)
    optimizer = build_optimizer(task.model, spec.optimizer)
    task.model.train()
    began = time.monotonic()
    chosen = torch.arange(task.train_clouds, device=task.clouds.numbers_on)
    sums = gradients(task, epoch_batches(chosen, updates, distribution)[0], None)
    loss_sum, _ = distribution.sum_gradients(task.model, sums)
    update(optimizer, spec.optimizer)
    loss = loss_sum.item() / sum(updates[0])
    return Rehearsal(
        spec=spec,
        classes=prepared.classes,
        train_clouds=task.train_clouds,
        evaluated_clouds=task.evaluated_clouds,
        steps_per_epoch=len(updates),
        parameters=count_parameters(task.model),
        loss=loss,
        step_seconds=time.monotonic() - began,
        device=str(task.device),
        precision=task.precision,
    )
