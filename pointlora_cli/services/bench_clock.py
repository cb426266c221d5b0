"""Time on a device's own clock, and what a few measurements of it say."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

Mark = float | torch.cuda.Event


class Clock:
    """Marks moments without waiting for the device, and says later how far apart they were."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def mark(self) -> Mark:
        """Now: on a GPU, when it gets to what was asked of it so far."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def wait(self) -> None:
        """Wait until the device has done all that was asked of it."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def spans(self, marks: Sequence[Mark]) -> list[float]:
        """Seconds between each mark and the next one."""
        self.wait()
        return [_seconds(before, after) for before, after in itertools.pairwise(marks)]


def _seconds(before: Mark, after: Mark) -> float:
    if isinstance(before, torch.cuda.Event) and isinstance(after, torch.cuda.Event):
        return float(before.elapsed_time(after)) / 1e3
    assert isinstance(before, float) and isinstance(after, float)  # of one clock
    return after - before


@dataclass(frozen=True)
class Sample:
    """Some measurements of one thing: the middle, the half about it, and the extremes."""

    median: float
    first_quartile: float
    third_quartile: float
    least: float
    most: float
    count: int


def sample(values: Sequence[float]) -> Sample:
    """What at least two values say."""
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return Sample(median, first, third, min(values), max(values), len(values))
