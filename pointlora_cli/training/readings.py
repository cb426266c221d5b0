"""Reading a step's numbers without making the device wait for the host."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

_LAG = 2  # steps that a GPU may be ahead of what is read; the same in every process


class StepNumbers(NamedTuple):
    """What the steps of an epoch have come to."""

    step: int  # steps done in the epoch
    seen: int  # clouds seen in the epoch
    numbers: list[float]


class Readings:
    """Takes the numbers of each step, and gives those of some steps ago: on the CPU, of the step itself.

    So many steps later a GPU has them, and the wait is short. Processes that read so decide at the same step.
    """

    def __init__(self, device: torch.device) -> None:
        self._is_late = device.type == "cuda"
        self._waiting: deque[tuple[int, int, Tensor, torch.cuda.Event | None]] = deque()

    def add(self, step: int, seen: int, numbers: Tensor) -> list[StepNumbers]:
        """Take those of a step (n,); what can be read now, oldest first."""
        if self._is_late:
            copy = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            copy.copy_(numbers, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            self._waiting.append((step, seen, copy, event))
        else:
            self._waiting.append((step, seen, numbers, None))
        return self._read(_LAG if self._is_late else 0)

    def rest(self) -> list[StepNumbers]:
        """What was not read yet, oldest first."""
        return self._read(0)

    def _read(self, left: int) -> list[StepNumbers]:
        found = []
        while len(self._waiting) > left:
            step, seen, numbers, event = self._waiting.popleft()
            if event is not None:
                event.synchronize()
            found.append(StepNumbers(step, seen, numbers.tolist()))
        return found
