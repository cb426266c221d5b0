"""Metrics of masked pre-training: how far predicted patches are from the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.specs.pretraining import Distance


@dataclass(frozen=True)
class ReconstructionMetrics:
    """What an evaluation found, with patches hidden that are the same at each evaluation."""

    distances: NDArray[np.float64]  # (n,): mean Chamfer distance of a cloud's hidden patches
    distance: Distance  # which
    probe: float | None = None  # accuracy of a linear classifier on clouds with labels; None: there were none

    @property
    def count(self) -> int:
        """Clouds seen."""
        return len(self.distances)

    @property
    def loss(self) -> float:
        """Mean over the clouds."""
        return float(self.distances.mean()) if self.count else 0.0

    @property
    def score(self) -> float:
        """What the kept epoch is chosen by: the less distance, the better."""
        return -self.loss

    @property
    def score_name(self) -> str:
        """What `score` is."""
        return f"minus {self.distance}"

    def row(self) -> dict[str, float]:
        """The figures of one epoch."""
        row = {self.distance.replace("-", "_"): self.loss}
        return row if self.probe is None else {**row, "linear_probe": self.probe}
