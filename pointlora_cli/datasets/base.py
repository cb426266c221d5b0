"""What every data set gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SPARE: Final = "spare-"
"""How the names of outputs begin that a head has and no class uses."""


@dataclass(frozen=True)
class LabelledClouds:
    """Clouds of one size with a class each."""

    points: NDArray[np.float32]  # (n, P, 3)
    labels: NDArray[np.int64]  # (n,)

    def __len__(self) -> int:
        """Number of clouds."""
        return len(self.labels)

    def subset(self, indices: NDArray[np.int64]) -> LabelledClouds:
        """The clouds at `indices`."""
        return LabelledClouds(self.points[indices], self.labels[indices])


@dataclass(frozen=True)
class ClassificationData:
    """A classification data set."""

    classes: tuple[str, ...]
    train: LabelledClouds
    test: LabelledClouds
    notices: tuple[str, ...] = ()  # what a person should know of the files
