"""What a run tells while it goes on. Events hold plain numbers, no tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pointlora_cli.datasets.progress import DataProgress
from pointlora_cli.training.metrics import AnyMetrics


@dataclass(frozen=True)
class Notice:
    """Something a person should know: a repaired file, a choice made for them."""

    message: str


@dataclass(frozen=True)
class TrainingStarted:
    """The loop begins."""

    epochs: int
    steps_per_epoch: int
    batch_size: int


@dataclass(frozen=True)
class StepDone:
    """Some step is done; not every step is told."""

    epoch: int  # from 0
    step: int  # steps done in this epoch
    loss: float  # mean of the epoch so far
    accuracy: float  # share of the epoch's clouds, or points, that were labelled rightly while training
    clouds_per_second: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch is over."""

    epoch: int  # from 0
    lr: float
    loss: float
    accuracy: float  # share of the training clouds, or points, labelled rightly while training
    evaluation: AnyMetrics | None  # of the split that is evaluated; None where this epoch was not
    kept: bool  # this epoch's weights are now the run's result


Event = Notice | DataProgress | TrainingStarted | StepDone | EpochDone
Listener = Callable[[Event], None]
