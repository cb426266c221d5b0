"""What the training loop sees of a task."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.training.cloud_store import CloudStore
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.metrics import AnyMetrics

Clouds_co = TypeVar("Clouds_co", bound=Sized, covariant=True)


class StepOutput(NamedTuple):
    """Sums over the clouds of a step that this process took, still on the device."""

    loss: Tensor
    correct: Tensor  # of the clouds classified rightly, or of the shares of points labelled rightly


@dataclass(frozen=True)
class Splits(Generic[Clouds_co]):
    """The clouds of a run."""

    train: Clouds_co  # what it learns from
    evaluated: Clouds_co  # what its epochs are evaluated on
    test: Clouds_co  # what its kept weights are evaluated on

    def __iter__(self) -> Iterator[Clouds_co]:
        """All three."""
        return iter((self.train, self.evaluated, self.test))


class Task(ABC):
    """A model, what it learns from, and how it is asked. It belongs to one run: each step draws anew."""

    clouds: CloudStore  # to train on

    def __init__(
        self,
        model: AdaptedModel,
        splits: Splits[Sized],
        device: torch.device,
        dtype: torch.dtype,
        *,
        seed: int,
    ) -> None:
        self.model = model
        self.train_clouds = len(splits.train)
        self.evaluated_clouds = len(splits.evaluated)  # those that each epoch is evaluated on
        self.fewest_clouds = min(self.evaluated_clouds, len(splits.test))  # of an evaluation
        self.device = device
        self.dtype = dtype  # of the arithmetic
        self.changes = torch.Generator(device).manual_seed(seed + 1)  # of what a step draws and changes

    @property
    def precision(self) -> str:
        """The type of the arithmetic, in words: float32."""
        return str(self.dtype).removeprefix("torch.")

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal; differs where the clouds are others, evaluated ones too, without reading all their points."""

    @abstractmethod
    def step(self, chosen: Tensor, mine: slice = slice(None), weight: float = 1.0) -> StepOutput:
        """Forward and backward of training clouds, drawn and changed anew.

        Gradients are added to those in the parameters. The model must be in training mode.

        Args:
            chosen: (B,) the clouds of all processes, in each the same.
            mine: which of them this process takes, at least one.
            weight: of this process's mean loss in what is minimised.

        Returns:
            sums over the clouds at `mine`, without the weight.
        """

    @abstractmethod
    def evaluate(
        self, distribution: Distribution = ALONE, pause: Callable[[], None] = lambda: None
    ) -> AnyMetrics:
        """How the model does on the clouds that each epoch is evaluated on; it is left in evaluation mode.

        Args:
            distribution: this process among those that share the clouds; each learns the whole.
            pause: called before each batch; in each process as often.
        """

    @abstractmethod
    def test(self, distribution: Distribution = ALONE) -> AnyMetrics:
        """How the model does on the test clouds; it is left in evaluation mode."""


def fingerprint(arrays: Iterable[NDArray[Any]]) -> str:
    """SHA-256 of arrays and their shapes, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
