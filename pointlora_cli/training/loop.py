"""The one training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.errors import DivergedError
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.augmentation import Augmentation
from pointlora_cli.training.devices import autocast
from pointlora_cli.training.drawing import PointDrawing
from pointlora_cli.training.events import EpochDone, Listener, StepDone, TrainingStarted
from pointlora_cli.training.metrics import Metrics
from pointlora_cli.training.optimizer import build_optimizer
from pointlora_cli.training.schedule import build_schedule

_TELL_EVERY = 0.1  # seconds between steps that are told: on a GPU each telling waits for the device


class StepOutput(NamedTuple):
    """Sums over the clouds of a step, still on the device."""

    loss: Tensor
    correct: Tensor


@dataclass(frozen=True)
class _Training:
    """What stays the same through a run."""

    model: Classifier
    spec: RunSpec
    points: Tensor  # (n, S, 3), on the device; S >= P stored points
    labels: Tensor  # (n,)
    sizes: list[int]  # of an epoch's batches
    draw: PointDrawing
    augment: Augmentation
    optimizer: torch.optim.Optimizer
    device: torch.device
    dtype: torch.dtype
    listen: Listener


def train(
    model: Classifier,
    spec: RunSpec,
    clouds: LabelledClouds,
    evaluated: LabelledClouds,
    *,
    device: torch.device,
    dtype: torch.dtype,
    listen: Listener,
    keep: Callable[[EpochDone], None],
) -> EpochDone:
    """Train `model` in place on `clouds`; tell `listen`, and call `keep` while the weights of a kept epoch stand.

    The kept epoch is the last evaluated one, or the one with the best accuracy on `evaluated` (the first
    of equals), as `spec.train.selection` says.

    Returns:
        the epoch that was kept.

    Raises:
        DivergedError: the loss is not finite.
    """
    options = spec.train
    torch.manual_seed(options.seed)  # dropout and drop path draw from the default generator
    order = torch.Generator().manual_seed(options.seed)
    changes = torch.Generator(device).manual_seed(options.seed + 1)
    training = _Training(
        model=model,
        spec=spec,
        points=torch.from_numpy(clouds.points).to(device),
        labels=torch.from_numpy(clouds.labels).to(device),
        sizes=batch_sizes(len(clouds), options.batch_size, drop_last=options.drop_last),
        draw=PointDrawing(spec.data, changes),
        augment=Augmentation(spec.augmentation, changes),
        optimizer=build_optimizer(model, spec.optimizer),
        device=device,
        dtype=dtype,
        listen=listen,
    )
    schedule = build_schedule(spec.schedule, base_lr=spec.optimizer.lr, epochs=options.epochs)
    listen(TrainingStarted(options.epochs, len(training.sizes), max(training.sizes)))
    kept: EpochDone | None = None
    for epoch in range(options.epochs):
        lr = schedule.in_epoch(epoch)
        for group in training.optimizer.param_groups:
            group["lr"] = lr
        indices = torch.randperm(len(clouds), generator=order).to(device)
        loss, accuracy = _train_epoch(training, epoch, indices)
        evaluation = None
        if (epoch + 1) % options.eval_every == 0 or epoch == options.epochs - 1:
            evaluation = evaluate(
                model, evaluated, batch_size=options.eval_batch_size, device=device, dtype=dtype
            )
            if not math.isfinite(evaluation.loss):  # the last step of an epoch may break the weights
                raise _diverged(f"the loss is {evaluation.loss} in the evaluation after epoch {epoch + 1}")
        done = EpochDone(epoch, lr, loss, accuracy, evaluation, _is_kept(spec, evaluation, kept))
        if done.kept:
            kept = done
            keep(done)
        listen(done)
    assert kept is not None  # the last epoch is always evaluated, so at least that one was kept
    return kept


def _train_epoch(training: _Training, epoch: int, indices: Tensor) -> tuple[float, float]:
    """One pass over the clouds in the order of `indices`: mean loss, and accuracy while training."""
    spec, model, device = training.spec, training.model, training.device
    trained = [parameter for group in training.optimizer.param_groups for parameter in group["params"]]
    loss_sum, correct, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
    mean = math.nan
    model.train()
    began = told = time.monotonic()
    for step, size in enumerate(training.sizes, start=1):
        batch = indices[seen : seen + size]
        points, labels = training.augment(training.draw(training.points[batch])), training.labels[batch]
        training.optimizer.zero_grad(set_to_none=True)
        output = training_step(
            model, points, labels, dtype=training.dtype, label_smoothing=spec.train.label_smoothing
        )
        if spec.optimizer.clip_norm is not None:
            clip_grad_norm_(trained, spec.optimizer.clip_norm)
        training.optimizer.step()
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


def training_step(
    model: Classifier,
    points: Tensor,
    labels: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    label_smoothing: float = 0.0,
) -> StepOutput:
    """Forward and backward of one batch: points (B, N, 3), labels (B,). Gradients are left in the parameters."""
    with autocast(points.device, dtype):
        prediction = model(points)
    logits = prediction.logits.to(torch.promote_types(prediction.logits.dtype, torch.float32))
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    regularization = model.adaptation.regularization(prediction.sequence)
    if regularization is not None:
        loss = loss + regularization
    torch.autograd.backward(loss)
    correct = (logits.argmax(dim=1) == labels).sum()
    return StepOutput(loss.detach() * len(labels), correct)


@torch.inference_mode()
def predict_logits(
    model: Classifier, points: Tensor, *, batch_size: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Logits (n, classes), float32 on `device`, of clouds (n, P, 3), in evaluation mode."""
    model.eval()
    logits = []
    with autocast(device, dtype):
        for batch in torch.split(points, batch_size):
            logits.append(model(batch.to(device)).logits.float())
    return torch.cat(logits)


def evaluate(
    model: Classifier, clouds: LabelledClouds, *, batch_size: int, device: torch.device, dtype: torch.dtype
) -> Metrics:
    """Classify `clouds` once, without augmentation."""
    points = torch.from_numpy(clouds.points)
    logits = predict_logits(model, points, batch_size=batch_size, device=device, dtype=dtype)
    return measure(logits, clouds.labels)


def measure(logits: Tensor, labels: NDArray[np.int64]) -> Metrics:
    """How logits (n, classes) do on labels (n,)."""
    logits = logits.cpu()
    loss = F.cross_entropy(logits, torch.from_numpy(labels)).item()
    confusion = np.zeros((logits.shape[1],) * 2, dtype=np.int64)
    np.add.at(confusion, (labels, logits.argmax(dim=1).numpy()), 1)
    return Metrics(confusion, loss)


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


def _is_kept(spec: RunSpec, evaluation: Metrics | None, kept: EpochDone | None) -> bool:
    if evaluation is None:  # nothing says that its weights are any good
        return False
    if spec.train.selection == "last" or kept is None or kept.evaluation is None:
        return True
    return evaluation.accuracy > kept.evaluation.accuracy
