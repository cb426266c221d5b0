"""Drawing the points of a training step from clouds of different sizes."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform_draws(clouds: int, points: int, generator: torch.Generator) -> Tensor:
    """What decides which points are drawn: (clouds, points) numbers of [0, 1), on the generator's device.

    In float64, since in float32 the product of a number below 1 and a cloud's size may round up to the size.
    """
    return torch.rand(clouds, points, dtype=torch.float64, device=generator.device, generator=generator)


def drawn_rows(offsets: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
    """Rows of clouds that lie one after the other, uniform and with replacement, as the published protocol draws.

    Everything happens on the device of the arguments, for a batch at once and without waiting for it.

    Args:
        offsets: (n + 1,) int64; cloud i is rows offsets[i] to offsets[i + 1].
        chosen: (B,) int64 clouds of the batch.
        uniform: (B, P), of `uniform_draws`.

    Returns:
        (B, P) int64 rows: `points[rows]` is (B, P, 3), `parts[rows]` is (B, P).
    """
    starts = offsets[chosen].unsqueeze(1)  # (B, 1)
    sizes = offsets[chosen + 1].unsqueeze(1) - starts
    return starts + (uniform * sizes).long()
