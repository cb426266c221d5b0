"""The Chamfer distance of two sets of points: how far each point is from the nearest of the other set.

The measure that H. Fan, H. Su and L. Guibas, "A Point Set Generation Network for 3D Object Reconstruction from
a Single Image" (CVPR 2017) train by, with means in the place of their sums, as Point-MAE takes it:

    L2(A, B) = mean over a of min over b of |a - b|²  +  mean over b of min over a of |a - b|²
    L1(A, B) = half of the same sum, of |a - b|

Exact: no approximate search, and differences rather than products, whose cancellation would cost digits. The
distances are float32 or wider whatever autocast computes in. Gradients reach both sets; where two points are
equally near, one of them counts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pointlora_cli.ops.checks import require_clouds
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.neighbors import squared_distances

_CPU_BYTES = 8 * 2**20  # a block of distances that stays in cache
_GPU_BYTES = 512 * 2**20


def chamfer_l2(points: Tensor, others: Tensor) -> Tensor:
    """Chamfer-L2 of each pair of sets.

    Args:
        points: (B, N, 3).
        others: (B, M, 3).

    Returns:
        (B,), in squared units of length; float32, or float64 where a set is.

    Raises:
        ValueError: a set is not (B, N, 3) or is empty, or they are not equally many.
        TypeError: not floating point.
    """
    to_others, to_points = nearest_squared_distances(points, others)
    return to_others.mean(dim=1) + to_points.mean(dim=1)


def chamfer_l1(points: Tensor, others: Tensor) -> Tensor:
    """Chamfer-L1 of each pair of sets, with a gradient of 0 between points that coincide.

    Args:
        points: (B, N, 3).
        others: (B, M, 3).

    Returns:
        (B,), in units of length; float32, or float64 where a set is.

    Raises:
        ValueError: a set is not (B, N, 3) or is empty, or they are not equally many.
        TypeError: not floating point.
    """
    to_others, to_points = nearest_squared_distances(points, others)
    return (_root(to_others).mean(dim=1) + _root(to_points).mean(dim=1)) / 2


def nearest_squared_distances(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """How far each point is from the nearest of the other set, squared, both ways.

    All distances are looked through in blocks, and of them only the nearest of each point is kept for the way
    back: memory grows with N + M, and of the small sets that patches are it is quicker than to keep them all.

    Args:
        points: (B, N, 3).
        others: (B, M, 3), on the same device.

    Returns:
        (B, N) from `points` to `others`, and (B, M) from `others` to `points`.

    Raises:
        ValueError: a set is not (B, N, 3) or is empty, or they are not equally many.
        TypeError: not floating point.
    """
    require_clouds(points)
    require_clouds(others, "others")
    if points.shape[0] != others.shape[0]:
        raise ValueError(f"points hold {points.shape[0]} sets, others {others.shape[0]}")
    dtype = torch.promote_types(torch.promote_types(points.dtype, others.dtype), torch.float32)
    points, others = points.to(dtype), others.to(dtype)
    nearest_other, nearest_point = _nearest_each_way(points.detach(), others.detach())
    to_others = (points - gather(others, nearest_other)).square().sum(dim=-1)
    return to_others, (others - gather(points, nearest_point)).square().sum(dim=-1)


def _nearest_each_way(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the nearest other of each point (B, N), and of the nearest point of each other (B, M)."""
    budget = _CPU_BYTES if points.device.type == "cpu" else _GPU_BYTES
    rows = max(1, budget // (others[..., 0].numel() * others.element_size()))
    nearest_other = []
    smallest = torch.full_like(others[..., 0], torch.inf)  # (B, M)
    nearest_point = torch.zeros_like(smallest, dtype=torch.int64)
    first = 0
    for some in torch.split(points, rows, dim=1):
        distances = squared_distances(some, others)  # (B, rows, M)
        nearest_other.append(distances.argmin(dim=2))
        values, indices = distances.min(dim=1)
        nearest_point = torch.where(values < smallest, indices + first, nearest_point)
        smallest = torch.minimum(smallest, values)
        first += some.shape[1]
    return torch.cat(nearest_other, dim=1), nearest_point


def _root(squared: Tensor) -> Tensor:
    """The square root, whose slope at 0 is taken to be 0: it is infinite, and times 0 would be no number."""
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)
