"""Classify clouds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.clouds.cloud import PointCloud
from pointlora_cli.clouds.reading import read
from pointlora_cli.datasets.base import SPARE
from pointlora_cli.datasets.resampling import resample
from pointlora_cli.services.predictor import Predictor
from pointlora_cli.services.trained_model import TrainedModel
from pointlora_cli.training.adapter_file import Resampling
from pointlora_cli.training.classification import predict_logits
from pointlora_cli.training.devices import memory_guard

_BATCH = 32


@dataclass(frozen=True)
class Classified:
    """What the model says of one cloud."""

    path: Path
    points: int  # in the file
    probabilities: NDArray[np.float64]  # (classes,), as the adapter's record orders them
    notices: tuple[str, ...]  # what was repaired or resampled


@dataclass(frozen=True)
class PreparedCloud:
    """A cloud as the model takes it; the file's own points are let go."""

    path: Path
    points: NDArray[np.float32]  # (P, 3)
    size: int  # points in the file
    notices: tuple[str, ...]


@dataclass(frozen=True)
class CloudPreparation:
    """Reads files, and resamples them to what a model was trained on."""

    resampling: Resampling

    def __call__(self, path: Path) -> PreparedCloud:
        """Prepare a file.

        Raises:
            CloudError: it cannot be read.
        """
        cloud = read(path)
        points = resample(cloud, self.resampling.points, self.resampling.normalize)
        return PreparedCloud(path, points, len(cloud.points), _notices(cloud, self.resampling.points))


class ClassPredictor(Predictor[PreparedCloud, Classified]):
    """Says which class each cloud is of."""

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__(trained)
        # On a CPU a cloud is classified by itself: batches are little faster there, and rounding that
        # depends on the batch could change which of two equally good tokens is selected.
        self.batch = 1 if trained.device.type == "cpu" else _BATCH

    @property
    def prepare(self) -> Callable[[Path], PreparedCloud]:
        """Reads a file and resamples it."""
        return CloudPreparation(self.trained.record.resampling)

    @property
    def again(self) -> Callable[[TrainedModel], ClassPredictor]:
        """Makes the same predictor of another copy of the model."""
        return ClassPredictor

    def finish(self, prepared: Sequence[PreparedCloud]) -> list[Classified]:
        """Classify prepared clouds.

        Raises:
            UsageError: the device has no more memory.
        """
        trained = self.trained
        points = torch.from_numpy(np.stack([cloud.points for cloud in prepared]))
        with memory_guard("Run on the CPU with --device cpu, or free memory."):
            logits = predict_logits(
                trained.classifier, points, batch_size=self.batch, device=trained.device, dtype=trained.dtype
            )
        spare = [index for index, name in enumerate(trained.record.classes) if name.startswith(SPARE)]
        scores = logits.double()
        scores[:, spare] = -torch.inf  # no class: never an answer
        return [
            Classified(cloud.path, cloud.size, probabilities, cloud.notices)
            for cloud, probabilities in zip(prepared, scores.softmax(dim=1).cpu().numpy(), strict=True)
        ]


def _notices(cloud: PointCloud, wanted: int) -> tuple[str, ...]:
    if len(cloud.points) == wanted:
        return cloud.warnings
    how = "thinned" if len(cloud.points) > wanted else "repeated"
    return (*cloud.warnings, f"{how} from {len(cloud.points):,} to the model's {wanted:,} points")
