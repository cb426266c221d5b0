"""What every predictor offers: reading apart from the model, so that each can have its own processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pointlora_cli.errors import CloudError
from pointlora_cli.services.trained_model import TrainedModel

Prepared = TypeVar("Prepared")
Prediction = TypeVar("Prediction")

Settings = dict[str, str | bool]
"""What decides a prediction besides the cloud, by name."""


@dataclass(frozen=True)
class Unreadable:
    """A file that nothing could be predicted of."""

    path: Path
    error: CloudError


class Predictor(ABC, Generic[Prepared, Prediction]):
    """Predicts in three steps: a file is prepared without the model, then it is the model's turn, then it is settled.

    The first two may take place in other processes; the last is this one's, in the order of the files.
    """

    batch: int
    """How many prepared clouds the model takes at a time."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained

    @property
    @abstractmethod
    def prepare(self) -> Callable[[Path], Prepared]:
        """Reads a file and brings it to the model's form; can be sent to another process. Raises CloudError."""

    @abstractmethod
    def finish(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """What the model says of each, at most `batch` of them."""

    @property
    @abstractmethod
    def again(self) -> Callable[[TrainedModel], Predictor[Prepared, Prediction]]:
        """Makes the same predictor of another copy of the model; can be sent to another process."""

    def settle(self, prediction: Prediction) -> Prediction:
        """Give what was made for a prediction its place."""
        return prediction

    @property
    def settings(self) -> Settings:
        """What decides a prediction besides the cloud; the device changes no more than its rounding."""
        return {
            "model": self.trained.record.weights.sha256[:16],
            "precision": str(self.trained.dtype).removeprefix("torch."),
        }
