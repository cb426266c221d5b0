"""What the training loop sees of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.training.metrics import AnyMetrics

Clouds = TypeVar("Clouds")


class StepOutput(NamedTuple):
    """Sums over the clouds of a step, still on the device."""

    loss: Tensor
    correct: Tensor  # of the clouds classified rightly, or of the shares of points labelled rightly


@dataclass(frozen=True)
class Splits(Generic[Clouds]):
    """The clouds of a run."""

    train: Clouds  # what it learns from
    evaluated: Clouds  # what its epochs are evaluated on
    test: Clouds  # what its kept weights are evaluated on


class Task(ABC):
    """A model, what it learns from, and how it is asked. It belongs to one run: each step draws anew."""

    def __init__(self, model: AdaptedModel, device: torch.device, dtype: torch.dtype) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype  # of the arithmetic

    @property
    @abstractmethod
    def train_clouds(self) -> int:
        """Clouds to learn from."""

    @property
    @abstractmethod
    def evaluated_clouds(self) -> int:
        """Clouds that each epoch is evaluated on."""

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
