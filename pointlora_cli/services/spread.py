"""Mean and deviation of a few runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Mean and both deviations of some scores."""

    mean: float
    population: float  # divided by n, as numpy's default
    sample: float | None  # divided by n - 1; None for a single score


def spread(scores: Sequence[float]) -> Spread:
    """Mean and deviation of at least one score."""
    sample = statistics.stdev(scores) if len(scores) > 1 else None
    return Spread(statistics.fmean(scores), statistics.pstdev(scores), sample)
