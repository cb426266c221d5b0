"""Classification as a task: one class for each cloud."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.augmentation import Augmentation
from pointlora_cli.training.devices import autocast
from pointlora_cli.training.drawing import PointDrawing
from pointlora_cli.training.metrics import Metrics
from pointlora_cli.training.task import Splits, StepOutput, Task


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
        super().__init__(model, splits, device, dtype)
        changes = torch.Generator(device).manual_seed(spec.train.seed + 1)
        self._spec = spec
        self._splits = splits
        self._points = torch.from_numpy(splits.train.points).to(device)  # (n, S, 3); S >= P stored points
        self._labels = torch.from_numpy(splits.train.labels).to(device)  # (n,)
        self._draw = PointDrawing(spec.data, changes)
        self._augment = Augmentation(spec.augmentation, changes)

    def step(self, chosen: Tensor) -> StepOutput:
        """Forward and backward of the training clouds `chosen` (B,)."""
        points = self._augment(self._draw(self._points[chosen]))
        return training_step(
            self.model,
            points,
            self._labels[chosen],
            dtype=self.dtype,
            label_smoothing=self._spec.train.label_smoothing,
        )

    def evaluate(self) -> Metrics:
        """How the model does on the clouds that each epoch is evaluated on."""
        return self._metrics(self._splits.evaluated)

    def test(self) -> Metrics:
        """How the model does on the test clouds."""
        return self._metrics(self._splits.test)

    def _metrics(self, clouds: LabelledClouds) -> Metrics:
        batch_size = self._spec.train.eval_batch_size
        return evaluate(self.model, clouds, batch_size=batch_size, device=self.device, dtype=self.dtype)


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
