"""The learning rate of each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pointlora_cli.specs.training import ScheduleSpec


@dataclass(frozen=True)
class CosineSchedule:
    """Cosine decay with a linear warm-up that replaces its beginning (timm's, without prefix).

    The cosine is not shifted by the warm-up: right after it, the rate is already a little below the base.
    """

    base_lr: float
    warmup_epochs: int
    warmup_lr: float
    min_lr: float
    length: int
    lag: int

    def at(self, time: int) -> float:
        """The rate at a whole `time` >= 0 on the curve."""
        if time < self.warmup_epochs:
            return self.warmup_lr + time * (self.base_lr - self.warmup_lr) / self.warmup_epochs
        if time >= self.length:
            return self.min_lr
        half = (self.base_lr - self.min_lr) / 2
        return self.min_lr + half * (1 + math.cos(math.pi * time / self.length))

    def in_epoch(self, epoch: int) -> float:
        """The rate used throughout `epoch`, counted from 0."""
        return self.at(max(epoch - self.lag, 0))


def build_schedule(spec: ScheduleSpec, *, base_lr: float, epochs: int) -> CosineSchedule:
    """Build the schedule of a run of `epochs` epochs."""
    length = spec.length or epochs
    warmup = spec.warmup_epochs if spec.warmup_epochs < length else length // 3
    return CosineSchedule(base_lr, warmup, spec.warmup_lr, spec.min_lr, length, spec.lag)
