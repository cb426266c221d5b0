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
from pointlora_cli.training.batches import Batch, epoch_batches, epoch_updates
from pointlora_cli.training.checkpoints import Checkpoint, Checkpoints
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import EpochDone, Listener, StepDone, TrainingStarted
from pointlora_cli.training.interruption import SIGNALS, Interruption
from pointlora_cli.training.metrics import AnyMetrics
from pointlora_cli.training.optimizer import set_rates
from pointlora_cli.training.readings import Readings, StepNumbers
from pointlora_cli.training.schedule import build_schedule
from pointlora_cli.training.state import TrainingState
from pointlora_cli.training.task import StepOutput, Task

_TELL_EVERY = 0.1  # seconds between steps that are told


@dataclass(frozen=True)
class _Training:
    """What stays the same through a run."""

    task: Task
    spec: RunSpec
    updates: list[list[int]]  # of an epoch: the sizes of their batches
    listen: Listener
    checkpoints: Checkpoints | None
    distribution: Distribution
    interruption: Interruption


def train(
    task: Task,
    spec: RunSpec,
    *,
    listen: Listener,
    keep: Callable[[EpochDone], None],
    checkpoints: Checkpoints | None = None,
    start: Checkpoint | None = None,
    distribution: Distribution = ALONE,
) -> EpochDone:
    """Train the task's model in place; tell `listen`, and call `keep` while the weights of a kept epoch stand.

    The kept epoch is the last evaluated one, or the one with the best score (the first of equals), as
    `spec.train.selection` says. Ctrl-C and SIGTERM wait for the end of the step, and the state is saved then; a
    second one ends the process. Several processes call this with equal models, and stop together.

    Args:
        task: at its start; it goes on where `start` says.
        spec: of the run.
        listen: told what happens.
        keep: makes the weights last; where a run goes on, it may be called again for the epoch it was called for.
        checkpoints: where the state is saved; None: nowhere.
        start: one of `checkpoints` to go on from; None: from the beginning.
        distribution: this process among those of the run.

    Returns:
        the epoch that was kept.

    Raises:
        DivergedError: the loss or a weight is not finite; the checkpoints are of before.
        DataError: `start` does not fit, or the clouds are too few for so many processes.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the state is saved.
    """
    updates = epoch_updates(task.train_clouds, spec.train, distribution.size)
    state = TrainingState(task, spec, len(updates), distribution)
    if checkpoints is not None and start is not None:
        checkpoints.continue_from(start, state)
        _keep_again(state, keep)
    listen(TrainingStarted(spec.train.epochs, len(updates), max(map(sum, updates))))
    try:
        with Interruption() as interruption:
            training = _Training(task, spec, updates, listen, checkpoints, distribution, interruption)
            while state.progress.epoch < spec.train.epochs:
                _run_epoch(training, state, keep)
    except KeyboardInterrupt:
        if checkpoints is not None and state.is_whole:
            checkpoints.save(state)
        raise
    assert (
        state.progress.kept is not None
    )  # the last epoch is always evaluated, so at least that one was kept
    return state.progress.kept


def _run_epoch(training: _Training, state: TrainingState, keep: Callable[[EpochDone], None]) -> None:
    """What is left of an epoch: its steps, its evaluation, and what is kept of it."""
    spec, epoch = training.spec, state.progress.epoch
    schedule = build_schedule(spec.schedule, base_lr=spec.optimizer.lr, epochs=spec.train.epochs)
    lr = set_rates(state.optimizer, schedule, epoch)
    loss, accuracy = _train_epoch(training, state)
    evaluation = None
    if (epoch + 1) % spec.train.eval_every == 0 or epoch == spec.train.epochs - 1:
        with training.interruption.let_through(training.distribution) as pause:
            evaluation = training.task.evaluate(training.distribution, pause)
        if not math.isfinite(evaluation.loss):  # the last step of an epoch may break the weights
            raise _diverged(f"the loss is {evaluation.loss} in the evaluation after epoch {epoch + 1}")
    done = EpochDone(epoch, lr, loss, accuracy, evaluation, _is_kept(spec, evaluation, state.progress.kept))
    state.close_epoch(done)
    training.listen(done)  # first, so that what is written of an epoch is there once a checkpoint counts it
    if training.checkpoints is not None:
        training.checkpoints.save(state)
    if done.kept:
        keep(done)


def _train_epoch(training: _Training, state: TrainingState) -> tuple[float, float]:
    """The updates of an epoch that are left: mean loss, and accuracy while training, over all of them."""
    task, updates, checkpoints = training.task, training.updates, training.checkpoints
    plan = epoch_batches(state.begin_epoch(), updates, training.distribution)
    first = seen = sum(map(sum, updates[: state.progress.step]))
    readings, watch = Readings(task.device), _Watch(training, state, first)
    task.model.train()
    for index in range(state.progress.step, len(updates)):
        following = plan[index + 1][0] if index + 1 < len(plan) else None
        with state.changing():
            state.optimizer.zero_grad(set_to_none=True)
            own = torch.cat([gradients(task, plan[index], following), watch.flags()])
            summed = training.distribution.sum_gradients(task.model, own)
            update(state.optimizer, training.spec.optimizer)
            state.count_step(StepOutput(*summed[:2]))
        seen += sum(updates[index])
        numbers = torch.cat([torch.stack([state.loss_sum, state.correct]), summed[2:]])
        watch.heed(readings.add(state.progress.step, seen, numbers))
        if checkpoints is not None and checkpoints.is_due(state.progress.step):
            checkpoints.save(state)
    watch.heed(readings.rest())
    return state.loss_sum.item() / seen, state.correct.item() / seen


class _Watch:
    """Takes in what the steps of an epoch have come to, at the same step in every process: tells and heeds it."""

    def __init__(self, training: _Training, state: TrainingState, first: int) -> None:
        """Args: the run; its state; clouds of the epoch that were seen before."""
        self._training = training
        self._state = state
        self._first = first
        self._began = self._told = time.monotonic()

    def flags(self) -> Tensor:
        """(3,) on the device: signals that this process holds back, and whether it asks for a checkpoint."""
        checkpoints = self._training.checkpoints
        asks = checkpoints is not None and checkpoints.ask_if_old()
        flags = torch.zeros(len(SIGNALS) + 1, device=self._training.task.device)
        for index, is_raised in enumerate((*self._training.interruption.flags, asks)):
            if is_raised:
                flags[index] = 1
        return flags

    def heed(self, readings: list[StepNumbers]) -> None:
        """Take steps in: the sums of loss and of correct clouds in the epoch so far, and all processes' flags.

        Raises:
            DivergedError: a loss is not finite.
            KeyboardInterrupt: a process was told to stop.
        """
        training, epoch = self._training, self._state.progress.epoch
        for step, seen, (loss_sum, correct, *signals, is_old) in readings:
            mean = loss_sum / seen
            if not math.isfinite(mean):
                raise _diverged(f"the loss is {mean} in epoch {epoch + 1}, step {step}")
            if is_old and training.checkpoints is not None:
                training.checkpoints.save(self._state)
            now = time.monotonic()
            if now - self._told >= _TELL_EVERY or step == len(training.updates):
                self._told, rate = now, (seen - self._first) / max(now - self._began, 1e-9)
                training.listen(StepDone(epoch, step, mean, correct / seen, rate))
            for number, is_held in zip(SIGNALS, signals, strict=True):
                if is_held:
                    training.interruption.obey(number)


def gradients(task: Task, batches: list[Batch], following: Batch | None) -> Tensor:
    """This process's part of the gradients of an update; sums (2,) of loss and of correct clouds over it.

    Args:
        task: in training.
        batches: of the update.
        following: the batch that comes after them, whose clouds may be on their way meanwhile.
    """
    sums = torch.zeros(2, device=task.device)
    for batch, upcoming in zip(batches, [*batches[1:], following], strict=True):
        output = task.step(*batch)
        if upcoming is not None:
            task.clouds.expect(upcoming.clouds[upcoming.mine])
        sums += torch.stack([output.loss, output.correct])
    return sums


def _keep_again(state: TrainingState, keep: Callable[[EpochDone], None]) -> None:
    """The end may have come after the checkpoint of a kept epoch and before `keep` was through."""
    progress = state.progress
    if progress.kept is not None and (progress.kept.epoch + 1, 0) == (progress.epoch, progress.step):
        keep(progress.kept)


def update(optimizer: torch.optim.Optimizer, spec: OptimizerSpec) -> None:
    """Clip the gradients and step; with `double_step`, step with the unclipped ones first."""
    if spec.double_step:
        optimizer.step()
    if spec.clip_norm is not None:
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        clip_grad_norm_(trained, spec.clip_norm)
    optimizer.step()


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
