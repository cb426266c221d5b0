"""What the training loop sees of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.training.metrics import AnyMetrics

Clouds_co = TypeVar("Clouds_co", bound=Sized, covariant=True)


class StepOutput(NamedTuple):
    """Sums over the clouds of a step, still on the device."""

    loss: Tensor
    correct: Tensor  # of the clouds classified rightly, or of the shares of points labelled rightly


@dataclass(frozen=True)
class Splits(Generic[Clouds_co]):
    """The clouds of a run."""

    train: Clouds_co  # what it learns from
    evaluated: Clouds_co  # what its epochs are evaluated on
    test: Clouds_co  # what its kept weights are evaluated on


class Task(ABC):
    """A model, what it learns from, and how it is asked. It belongs to one run: each step draws anew."""

    def __init__(
        self, model: AdaptedModel, splits: Splits[Sized], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.model = model
        self.train_clouds = len(splits.train)
        self.evaluated_clouds = len(splits.evaluated)  # those that each epoch is evaluated on
        self.device = device
        self.dtype = dtype  # of the arithmetic

    @abstractmethod
    def step(self, chosen: Tensor) -> StepOutput:
        """Forward and backward of the training clouds `chosen` (B,), drawn and changed anew.

        Gradients are added to those in the parameters. The model must be in training mode.
        """

    @abstractmethod
    def evaluate(self) -> AnyMetrics:
        """How the model does on the clouds that each epoch is evaluated on; it is left in evaluation mode."""

    @abstractmethod
    def test(self) -> AnyMetrics:
        """How the model does on the test clouds; it is left in evaluation mode."""
