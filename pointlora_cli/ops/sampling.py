"""Farthest-point sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from pointlora_cli.ops.checks import require_clouds, require_count

NEAR_ORIGIN = 1e-3
"""Squared norm up to which the official CUDA kernel never chooses a point."""


def farthest_point_sampling(points: Tensor, count: int, *, skip_near_origin: bool = False) -> Tensor:
    """Choose points greedily, each the farthest from all chosen before it.

    Starts at index 0; ties go to the lowest index. The order is greedy, so the first `m` indices of
    a sampling are the sampling of `m` points: one call serves every scale. When only copies of
    chosen points are left, the lowest index repeats.

    Args:
        points: (B, N, 3) coordinates.
        count: how many indices to choose, 1 <= count <= N.
        skip_near_origin: leave out points with squared norm <= 1e-3 (index 0 excepted), as the
            kernel of Pointnet2_PyTorch does, which the official implementations use.

    Returns:
        (B, count) int64 indices.

    Raises:
        ValueError: `points` has another shape, or `count` is out of range.
    """
    require_clouds(points)
    require_count(count, points.shape[1], "count")
    x, y, z = points.detach().unbind(-1)  # (B, N) each: three flat planes are faster than one (B, N, 3)
    nearest = torch.full_like(x, 1e10)  # squared distance to the chosen set
    if skip_near_origin:
        # A negative distance never wins and never grows, so these points are never chosen.
        nearest = torch.where(x * x + y * y + z * z <= NEAR_ORIGIN, -1.0, nearest)
    chosen = torch.zeros(points.shape[0], count, dtype=torch.int64, device=points.device)
    last = chosen[:, :1]  # (B, 1)
    for step in range(1, count):
        dx, dy, dz = x - x.gather(1, last), y - y.gather(1, last), z - z.gather(1, last)
        nearest = torch.minimum(nearest, dx * dx + dy * dy + dz * dz)
        last = nearest.argmax(dim=1, keepdim=True)
        chosen[:, step] = last[:, 0]
    return chosen
