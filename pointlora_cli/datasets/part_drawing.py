"""Drawing the points of a training step from clouds of different sizes."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_rows(offsets: Tensor, chosen: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows of clouds that lie one after the other, uniform and with replacement, as the published protocol draws.

    Everything happens on the generator's device, for a batch at once and without waiting for it.

    Args:
        offsets: (n + 1,) int64; cloud i is rows offsets[i] to offsets[i + 1].
        chosen: (B,) int64 clouds of the batch.
        count: points of each, P.
        generator: the source of randomness.

    Returns:
        (B, P) int64 rows: `points[rows]` is (B, P, 3), `parts[rows]` is (B, P).
    """
    starts = offsets[chosen].unsqueeze(1)  # (B, 1)
    sizes = offsets[chosen + 1].unsqueeze(1) - starts
    # In float64 a product with a number below 1 stays below the size; in float32 it may round up to it.
    uniform = torch.rand(len(chosen), count, dtype=torch.float64, device=offsets.device, generator=generator)
    return starts + (uniform * sizes).long()
