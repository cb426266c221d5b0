"""Masked point modelling as a task: predict the points of hidden patches, without any labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder, random_order
from pointlora_cli.specs.pretraining import Distance, MaskingSpec
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.augmentation import Augmentation
from pointlora_cli.training.cloud_store import CloudStore
from pointlora_cli.training.devices import autocast
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.linear_probe import ProbeClouds, probe_accuracy
from pointlora_cli.training.random_subsets import RandomSubsets
from pointlora_cli.training.reconstruction_metrics import ReconstructionMetrics
from pointlora_cli.training.share import Share
from pointlora_cli.training.task import Splits, StepOutput, Task, fingerprint

_LOOKED_AT = 16  # points of a cloud that tell whether it is the one that it was


class StoredClouds(Protocol):
    """Clouds of one size, with labels or without."""

    @property
    def points(self) -> NDArray[np.float32]:
        """(n, S, 3)."""

    def __len__(self) -> int:
        """Number of clouds."""


class MaskedModellingTask(Task):
    """Learn to predict hidden patches. Clouds to train on may be stored with more points than a step takes."""

    model: MaskedAutoencoder

    def __init__(
        self,
        model: MaskedAutoencoder,
        spec: RunSpec,
        masking: MaskingSpec,
        splits: Splits[StoredClouds],
        *,
        probe: ProbeClouds | None = None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(model, splits, device, dtype, seed=spec.train.seed)
        self._spec = spec
        self._distance = masking.distance
        self._splits = splits
        self._probe = probe
        points = torch.from_numpy(splits.train.points)
        self._stored = points.shape[1]
        starts = torch.arange(len(points) + 1) * self._stored
        self.clouds = CloudStore([points.flatten(0, 1)], starts, device, spec.train.clouds_on)
        self._draw = RandomSubsets(
            spec.data.points, self.changes, to_unit_sphere=spec.data.normalize == "unit-sphere"
        )
        self._augment = Augmentation(spec.augmentation, self.changes)

    @property
    def test_points(self) -> NDArray[np.float32]:
        """The test clouds (n, P, 3)."""
        return self._splits.test.points

    @property
    def fingerprint(self) -> str:
        """Differs where the clouds are others: of their number and size, and some points of each."""
        return fingerprint(
            clouds.points[:, :: max(1, clouds.points.shape[1] // _LOOKED_AT)] for clouds in self._splits
        )

    def step(self, chosen: Tensor, mine: slice = slice(None), weight: float = 1.0) -> StepOutput:
        """Forward and backward of those of the training clouds `chosen` (B,) that are at `mine`."""
        share, taken = Share(mine, len(chosen)), self.clouds.take(chosen[mine])
        points = taken.rows[0].view(-1, self._stored, 3)[taken.at]
        points = self._augment(self._draw(points, share), share)
        order = random_order(len(chosen), self.model.patches, self.changes)[mine]
        return masked_step(self.model, points, order, self._distance, dtype=self.dtype, weight=weight)

    def evaluate(
        self, distribution: Distribution = ALONE, pause: Callable[[], None] = lambda: None
    ) -> ReconstructionMetrics:
        """How far predictions are off in the clouds that each epoch is evaluated on, and the linear probe."""
        return self._metrics(self._splits.evaluated, distribution, pause)

    def test(self, distribution: Distribution = ALONE) -> ReconstructionMetrics:
        """How far predictions are off in the test clouds, and the linear probe."""
        return self._metrics(self._splits.test, distribution, lambda: None)

    def _metrics(
        self, clouds: StoredClouds, distribution: Distribution, pause: Callable[[], None]
    ) -> ReconstructionMetrics:
        batch_size = self._spec.train.eval_batch_size
        metrics = reconstruct(
            self.model,
            torch.from_numpy(clouds.points),
            self._distance,
            seed=self._spec.train.seed,
            batch_size=batch_size,
            device=self.device,
            dtype=self.dtype,
            distribution=distribution,
            pause=pause,
        )
        if self._probe is None:
            return metrics
        features = partial(
            probe_features, self.model, batch_size=batch_size, device=self.device, dtype=self.dtype
        )
        accuracy = probe_accuracy(
            self._probe, features, batch_size=batch_size, distribution=distribution, pause=pause
        )
        return replace(metrics, probe=accuracy)


def masked_step(
    model: MaskedAutoencoder,
    points: Tensor,
    order: Tensor,
    distance: Distance,
    *,
    dtype: torch.dtype = torch.float32,
    weight: float = 1.0,
) -> StepOutput:
    """Forward and backward of one batch; gradients are added to those in the parameters.

    Args:
        model: in training mode.
        points: (B, N, 3).
        order: (B, G) int64, the patches of each cloud, the visible ones first.
        distance: what is minimised.
        dtype: of the arithmetic.
        weight: of the batch's loss in what is minimised.

    Returns:
        the loss; nothing is there to be right or wrong.
    """
    with autocast(points.device, dtype):
        found = model(points, order)
    losses = found.loss(distance)
    torch.autograd.backward(losses.mean() * weight)
    return StepOutput(losses.detach().sum(), torch.zeros((), device=points.device))


@torch.inference_mode()
def reconstruct(
    model: MaskedAutoencoder,
    clouds: Tensor,
    distance: Distance,
    *,
    seed: int,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    distribution: Distribution = ALONE,
    pause: Callable[[], None] = lambda: None,
) -> ReconstructionMetrics:
    """How far the hidden patches of clouds (n, P, 3) are from their predictions, without augmentation.

    The processes share the clouds, at least one each, and each learns the whole.

    Args:
        model: in evaluation mode afterwards.
        clouds: at least one, on any device.
        distance: which.
        seed: of what is hidden; the same whatever the device and the size of the batches.
        batch_size: clouds at a time.
        device: of the model.
        dtype: of the arithmetic.
        distribution: this process among those of the run.
        pause: called before each batch; in each process as often.
    """
    model.eval()
    orders = random_order(len(clouds), model.patches, torch.Generator().manual_seed(seed))
    found = []
    with autocast(device, dtype):
        for mine in distribution.rounds(len(clouds), batch_size, pause):
            found.append(model(clouds[mine].to(device), orders[mine].to(device)).loss(distance))
    distances = distribution.gather(torch.cat(found))
    return ReconstructionMetrics(distances.numpy().astype(np.float64), distance)


@torch.inference_mode()
def probe_features(
    model: MaskedAutoencoder, clouds: Tensor, *, batch_size: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """What a linear probe sees of clouds (n, P, 3) with nothing hidden: mean and maximum of the tokens.

    Args:
        model: in evaluation mode afterwards.
        clouds: at least one, on any device.
        batch_size: clouds at a time.
        device: of the model.
        dtype: of the arithmetic.

    Returns:
        (n, 2 C) float32 on `device`.
    """
    model.eval()
    features = []
    with autocast(device, dtype):
        for points in torch.split(clouds, batch_size):
            tokens = model.backbone(points.to(device), model.adaptation).tokens.float()
            features.append(torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=-1))
    return torch.cat(features)
