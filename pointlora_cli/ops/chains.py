"""Putting points in a chain, each followed by the nearest one left."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pointlora_cli.ops.checks import require_clouds
from pointlora_cli.ops.neighbors import squared_distances


def nearest_chain(points: Tensor) -> Tensor:
    """The order of clouds (B, N, 3) that begins with the first point and always goes to the nearest one left.

    Ties go to the lowest index. Distances are exact here; the released code of PointGPT, whose patches
    are ordered so, may round them on a GPU, and then take the other of two that are nearly as near.

    Returns:
        (B, N) int64, the index of the point in each place.

    Raises:
        ValueError: wrong shape.
    """
    require_clouds(points)
    # The first call of an operation loads the compiler, which takes seconds.
    chain = _chained_whole if torch.compiler.is_compiling() else _chained
    order: Tensor = chain(points.detach())
    return order


def _chained(points: Tensor) -> Tensor:
    batch, count, _ = points.shape
    distances = squared_distances(points, points)
    clouds = torch.arange(batch, device=points.device)
    taken = torch.zeros(batch, count, dtype=torch.bool, device=points.device)
    order = torch.zeros(batch, count, dtype=torch.int64, device=points.device)
    for place in range(1, count):
        last = order[:, place - 1]
        taken.scatter_(1, last[:, None], True)
        order[:, place] = distances[clouds, last].masked_fill(taken, math.inf).argmin(dim=1)
    return order


# One operation, so that a compiler need not unroll its loop.
_chained_whole = torch.library.custom_op("pointlora::nearest_chain", mutates_args=())(_chained)


@_chained_whole.register_fake
def _shape(points: Tensor) -> Tensor:
    return points.new_empty(points.shape[:2], dtype=torch.int64)
