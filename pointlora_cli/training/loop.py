"""The one training loop, whatever the task."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pointlora_cli.errors import DivergedError
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import OptimizerSpec
from pointlora_cli.training.events import EpochDone, Listener, StepDone, TrainingStarted
from pointlora_cli.training.metrics import AnyMetrics
from pointlora_cli.training.optimizer import build_optimizer, set_rates
from pointlora_cli.training.schedule import build_schedule
from pointlora_cli.training.task import Task

_TELL_EVERY = 0.1  # seconds between steps that are told: on a GPU each telling waits for the device


@dataclass(frozen=True)
class _Training:
    """What stays the same through a run."""

    task: Task
    spec: RunSpec
    sizes: list[int]  # of an epoch's batches
    optimizer: torch.optim.Optimizer
    listen: Listener


def train(task: Task, spec: RunSpec, *, listen: Listener, keep: Callable[[EpochDone], None]) -> EpochDone:
    """Train the task's model in place; tell `listen`, and call `keep` while the weights of a kept epoch stand.

    The kept epoch is the last evaluated one, or the one with the best score (the first of equals), as
    `spec.train.selection` says.

    Returns:
        the epoch that was kept.

    Raises:
        DivergedError: the loss is not finite.
    """
    options = spec.train
    torch.manual_seed(options.seed)  # dropout and drop path draw from the default generator
    order = torch.Generator().manual_seed(options.seed)
    sizes = batch_sizes(task.train_clouds, options.batch_size, drop_last=options.drop_last)
    training = _Training(task, spec, sizes, build_optimizer(task.model, spec.optimizer), listen)
    schedule = build_schedule(spec.schedule, base_lr=spec.optimizer.lr, epochs=options.epochs)
    listen(TrainingStarted(options.epochs, len(sizes), max(sizes)))
    kept: EpochDone | None = None
    for epoch in range(options.epochs):
        lr = set_rates(training.optimizer, schedule, epoch)
        chosen = torch.randperm(task.train_clouds, generator=order).to(task.device)
        loss, accuracy = _train_epoch(training, epoch, chosen)
        evaluation = None
        if (epoch + 1) % options.eval_every == 0 or epoch == options.epochs - 1:
            evaluation = task.evaluate()
            if not math.isfinite(evaluation.loss):  # the last step of an epoch may break the weights
                raise _diverged(f"the loss is {evaluation.loss} in the evaluation after epoch {epoch + 1}")
        done = EpochDone(epoch, lr, loss, accuracy, evaluation, _is_kept(spec, evaluation, kept))
        if done.kept:
            kept = done
            keep(done)
        listen(done)
    assert kept is not None  # the last epoch is always evaluated, so at least that one was kept
    return kept


def _train_epoch(training: _Training, epoch: int, chosen: Tensor) -> tuple[float, float]:
    """One pass over the clouds in the order of `chosen` (n,): mean loss, and accuracy while training."""
    task, optimizer, device = training.task, training.optimizer, training.task.device
    loss_sum, correct, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
    mean = math.nan
    task.model.train()
    began = told = time.monotonic()
    for step, size in enumerate(training.sizes, start=1):
        optimizer.zero_grad(set_to_none=True)
        output = task.step(chosen[seen : seen + size])
        update(optimizer, training.spec.optimizer)
        loss_sum += output.loss
        correct += output.correct
        seen += size
        now = time.monotonic()
        is_told = now - told >= _TELL_EVERY or step == len(training.sizes)
        if is_told or device.type == "cpu":
            mean = loss_sum.item() / seen
            if not math.isfinite(mean):
                raise _diverged(f"the loss is {mean} in epoch {epoch + 1}, step {step}")
        if is_told:
            told, rate = now, seen / max(now - began, 1e-9)
            training.listen(StepDone(epoch, step, mean, correct.item() / seen, rate))
    return mean, correct.item() / seen


def update(optimizer: torch.optim.Optimizer, spec: OptimizerSpec) -> None:
    """Clip the gradients and step; with `double_step`, step with the unclipped ones first."""
    if spec.double_step:
        optimizer.step()
    if spec.clip_norm is not None:
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        clip_grad_norm_(trained, spec.clip_norm)
    optimizer.step()


def batch_sizes(count: int, batch_size: int, *, drop_last: bool) -> list[int]:
    """Sizes of an epoch's batches; none of a single cloud, which batch norm cannot take.

    A set smaller than one batch is one batch, whole.
    """
    sizes = [batch_size] * (count // batch_size)
    rest = count % batch_size
    if rest > 1 and (not drop_last or not sizes):
        sizes.append(rest)
    return sizes


def _diverged(what: str) -> DivergedError:
    return DivergedError(
        f"training diverged: {what}",
        remedy="Lower optimizer.lr, or set optimizer.clip_norm.",
    )


def _is_kept(spec: RunSpec, evaluation: AnyMetrics | None, kept: EpochDone | None) -> bool:
    if evaluation is None:  # nothing says that its weights are any good
        return False
    if spec.train.selection == "last" or kept is None or kept.evaluation is None:
        return True
    return evaluation.score > kept.evaluation.score
