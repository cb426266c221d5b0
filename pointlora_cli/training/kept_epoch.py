"""The epoch that a run has kept so far, as JSON: what later epochs must beat, and what a result is told from."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pydantic

from pointlora_cli.specs.pretraining import Distance
from pointlora_cli.training.events import EpochDone
from pointlora_cli.training.metrics import AnyMetrics, Metrics
from pointlora_cli.training.part_metrics import PartMetrics
from pointlora_cli.training.reconstruction_metrics import ReconstructionMetrics

_Count = Annotated[int, pydantic.Field(ge=0, lt=2**63)]


class _Record(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class _ClassMetrics(_Record):
    kind: Literal["classes"] = "classes"
    confusion: list[list[_Count]]
    loss: float

    @pydantic.model_validator(mode="after")
    def _is_square(self) -> _ClassMetrics:
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("confusion must be square")
        return self

    def is_of(self, classes: int, categories: int, clouds: int) -> bool:
        return (len(self.confusion), categories, sum(map(sum, self.confusion))) == (classes, 0, clouds)

    def metrics(self) -> Metrics:
        return Metrics(np.array(self.confusion, dtype=np.int64), self.loss)


class _PartMetrics(_Record):
    kind: Literal["parts"] = "parts"
    shape_iou: list[float]
    category: list[_Count]
    categories: int = pydantic.Field(ge=1, le=100_000)
    point_accuracy: float
    loss: float

    @pydantic.model_validator(mode="after")
    def _fits(self) -> _PartMetrics:
        if len(self.shape_iou) != len(self.category) or max(self.category, default=0) >= self.categories:
            raise ValueError("shape_iou and category must fit each other")
        return self

    def is_of(self, classes: int, categories: int, clouds: int) -> bool:
        return (self.categories, len(self.shape_iou)) == (categories, clouds)

    def metrics(self) -> PartMetrics:
        return PartMetrics(
            np.array(self.shape_iou, dtype=np.float64),
            np.array(self.category, dtype=np.int64),
            self.categories,
            self.point_accuracy,
            self.loss,
        )


class _ReconstructionMetrics(_Record):
    kind: Literal["reconstruction"] = "reconstruction"
    distances: list[float]
    distance: Distance
    probe: float | None = None

    def is_of(self, classes: int, categories: int, clouds: int) -> bool:
        return (classes, categories, len(self.distances)) == (0, 0, clouds)

    def metrics(self) -> ReconstructionMetrics:
        return ReconstructionMetrics(np.array(self.distances, dtype=np.float64), self.distance, self.probe)


_AnyMetrics = _ClassMetrics | _PartMetrics | _ReconstructionMetrics


class KeptEpoch(_Record):
    """An epoch that was kept, with what its evaluation found. Floats come back bit for bit."""

    epoch: _Count
    lr: float
    loss: float
    accuracy: float
    evaluation: _AnyMetrics = pydantic.Field(discriminator="kind")

    @classmethod
    def of(cls, epoch: EpochDone) -> KeptEpoch:
        """The record of an epoch that was evaluated."""
        assert epoch.evaluation is not None  # no other is kept
        return cls(
            epoch=epoch.epoch,
            lr=epoch.lr,
            loss=epoch.loss,
            accuracy=epoch.accuracy,
            evaluation=_recorded(epoch.evaluation),
        )

    def done(self) -> EpochDone:
        """The epoch again."""
        return EpochDone(self.epoch, self.lr, self.loss, self.accuracy, self.evaluation.metrics(), kept=True)


def _recorded(metrics: AnyMetrics) -> _AnyMetrics:
    if isinstance(metrics, Metrics):
        return _ClassMetrics(confusion=metrics.confusion.tolist(), loss=metrics.loss)
    if isinstance(metrics, ReconstructionMetrics):
        return _ReconstructionMetrics(
            distances=metrics.distances.tolist(), distance=metrics.distance, probe=metrics.probe
        )
    return _PartMetrics(
        shape_iou=metrics.shape_iou.astype(np.float64).tolist(),
        category=metrics.category.tolist(),
        categories=metrics.categories,
        point_accuracy=metrics.point_accuracy,
        loss=metrics.loss,
    )
