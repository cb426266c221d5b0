"""Classification as a task: one class for each cloud."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.augmentation import Augmentation
from pointlora_cli.training.cloud_store import CloudStore
from pointlora_cli.training.devices import autocast
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.drawing import PointDrawing
from pointlora_cli.training.metrics import Metrics
from pointlora_cli.training.share import Share
from pointlora_cli.training.task import Splits, StepOutput, Task, fingerprint

_LOOKED_AT = 16  # points of a cloud that tell whether it is the one that it was


class ClassificationTask(Task):
    """Learn the class of each cloud by cross-entropy."""

    model: Classifier

    def __init__(
        self,
        model: Classifier,
        spec: RunSpec,
        splits: Splits[LabelledClouds],
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(model, splits, device, dtype, seed=spec.train.seed)
        self._spec = spec
        self._splits = splits
        points = torch.from_numpy(splits.train.points)  # (n, S, 3); S >= P stored points
        self._stored = points.shape[1]
        starts = torch.arange(len(points) + 1) * self._stored
        self.clouds = CloudStore([points.flatten(0, 1)], starts, device, spec.train.clouds_on)
        self._labels = torch.from_numpy(splits.train.labels).to(device)  # (n,)
        self._draw = PointDrawing(spec.data, self.changes)
        self._augment = Augmentation(spec.augmentation, self.changes)

    @property
    def fingerprint(self) -> str:
        """Differs where the clouds are others: of their number and size, labels, and some points of each."""
        return fingerprint(
            array
            for clouds in self._splits
            for array in (clouds.labels, clouds.points[:, :: max(1, clouds.points.shape[1] // _LOOKED_AT)])
        )

    def step(self, chosen: Tensor, mine: slice = slice(None), weight: float = 1.0) -> StepOutput:
        """Forward and backward of those of the training clouds `chosen` (B,) that are at `mine`."""
        share, taken = Share(mine, len(chosen)), self.clouds.take(chosen[mine])
        points = taken.rows[0].view(-1, self._stored, 3)[taken.at]
        return training_step(
            self.model,
            self._augment(self._draw(points, share), share),
            self._labels[taken.chosen],
            dtype=self.dtype,
            label_smoothing=self._spec.train.label_smoothing,
            weight=weight,
        )

    def evaluate(
        self, distribution: Distribution = ALONE, pause: Callable[[], None] = lambda: None
    ) -> Metrics:
        """How the model does on the clouds that each epoch is evaluated on."""
        return self._metrics(self._splits.evaluated, distribution, pause)

    def test(self, distribution: Distribution = ALONE) -> Metrics:
        """How the model does on the test clouds."""
        return self._metrics(self._splits.test, distribution, lambda: None)

    def _metrics(
        self, clouds: LabelledClouds, distribution: Distribution, pause: Callable[[], None]
    ) -> Metrics:
        return evaluate(
            self.model,
            clouds,
            batch_size=self._spec.train.eval_batch_size,
            device=self.device,
            dtype=self.dtype,
            distribution=distribution,
            pause=pause,
        )


def training_step(
    model: Classifier,
    points: Tensor,
    labels: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    label_smoothing: float = 0.0,
    weight: float = 1.0,
) -> StepOutput:
    """Forward and backward of one batch; gradients are added to those in the parameters.

    Args:
        model: in training mode.
        points: (B, N, 3).
        labels: (B,).
        dtype: of the arithmetic.
        label_smoothing: share of the target that all classes divide.
        weight: of the batch's loss in what is minimised.
    """
    with autocast(points.device, dtype):
        prediction = model(points)
    logits = prediction.logits.to(torch.promote_types(prediction.logits.dtype, torch.float32))
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    regularization = model.adaptation.regularization(prediction.sequence)
    if regularization is not None:
        loss = loss + regularization
    torch.autograd.backward(loss * weight)
    correct = (logits.argmax(dim=1) == labels).sum()
    return StepOutput(loss.detach() * len(labels), correct)


@torch.inference_mode()
def predict_logits(
    model: Classifier,
    points: Tensor,
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    distribution: Distribution = ALONE,
    pause: Callable[[], None] = lambda: None,
) -> Tensor:
    """Logits (m, classes), float32 on `device`, of this process's share of clouds (n, P, 3), in evaluation mode.

    Several processes must have a cloud each.
    """
    model.eval()
    logits = []
    with autocast(device, dtype):
        for batch in (points[mine] for mine in distribution.rounds(len(points), batch_size, pause)):
            # A copy, since the next replay of a CUDA graph writes over what it gave.
            logits.append(model(batch.to(device)).logits.to(torch.float32, copy=True))
    return torch.cat(logits)


def evaluate(
    model: Classifier,
    clouds: LabelledClouds,
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    distribution: Distribution = ALONE,
    pause: Callable[[], None] = lambda: None,
) -> Metrics:
    """Classify `clouds` once, without augmentation; the processes share them, and each learns the whole."""
    logits = predict_logits(
        model,
        torch.from_numpy(clouds.points),
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        distribution=distribution,
        pause=pause,
    )
    return measure(distribution.gather(logits), clouds.labels)


def measure(logits: Tensor, labels: NDArray[np.int64]) -> Metrics:
    """How logits (n, classes) do on labels (n,)."""
    logits = logits.cpu()
    loss = F.cross_entropy(logits, torch.from_numpy(labels)).item()
    confusion = np.zeros((logits.shape[1],) * 2, dtype=np.int64)
    np.add.at(confusion, (labels, logits.argmax(dim=1).numpy()), 1)
    return Metrics(confusion, loss)
