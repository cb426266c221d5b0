"""Nearest neighbours on a GPU, in Triton, without a matrix of distances in memory.

A program keeps the distances of a few queries to all points in registers and takes the nearest, `k` times.
Indices and distances are those of `ops.neighbors`, bit for bit: distances are rounded in the same order, with
no multiplication fused into an addition, and a comparison of integers decides, since the bits of floats >= 0
order as the floats do.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pointlora_cli.ops.kernels import UNFUSED

_LEAST_BLOCK = 32
_DISTANCES_PER_WARP = 2048  # 64 for each thread
_MOST_ROWS = 16
_TAKEN = tl.constexpr(2**31 - 1)  # above the bits of infinity


def nearest(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the `k` nearest points as `ops.neighbors.nearest_neighbors` does; nothing is checked here.

    Args:
        queries: (B, G, 3) float32, on a GPU (or anywhere, in Triton's interpreter).
        points: (B, N, 3) float32, beside them, N <= 8192.
        k: number of neighbours, 1 <= k <= N.

    Returns:
        indices (B, G, k) int64, and squared distances (B, G, k) float32. Of a cloud that is not finite, some
        indices of its points.
    """
    batch, groups, _ = queries.shape
    size = points.shape[1]
    indices = torch.empty(batch, groups, k, dtype=torch.int64, device=points.device)
    distances = torch.empty(batch, groups, k, dtype=torch.float32, device=points.device)
    block = max(_LEAST_BLOCK, triton.next_power_of_2(size))
    rows = max(1, min(_DISTANCES_PER_WARP // block, _MOST_ROWS))
    tiles = triton.cdiv(groups, rows)
    with torch.cuda.device(points.device if points.is_cuda else -1):  # -1: as it is
        _take_nearest[(batch * tiles,)](
            queries.contiguous(),
            points.contiguous(),
            indices,
            distances,
            tiles,
            groups,
            size,
            k,
            ROWS=rows,
            BLOCK=block,
            num_warps=max(1, block // _DISTANCES_PER_WARP),
            **UNFUSED,
        )
    return indices, distances


# Tensors come to a kernel as pointers to their first elements.


@triton.jit(do_not_specialize=["tiles", "groups", "size", "k"])
def _take_nearest(
    queries: tl.tensor,  # (B, G, 3)
    points: tl.tensor,  # (B, N, 3)
    indices: tl.tensor,  # (B, G, k)
    distances: tl.tensor,  # (B, G, k)
    tiles: int,
    groups: int,
    size: int,
    k: int,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    program = tl.program_id(0)
    cloud = (program // tiles).to(tl.int64)
    row = (program % tiles) * ROWS + tl.arange(0, ROWS)
    is_query = row < groups
    queries += (cloud * groups + row) * 3  # (ROWS,)
    index = tl.arange(0, BLOCK)
    is_point = index < size
    points += (cloud * size + index) * 3  # (BLOCK,)
    dx = tl.load(queries, mask=is_query, other=0.0)[:, None] - tl.load(points, mask=is_point, other=0.0)
    dy = tl.load(queries + 1, mask=is_query, other=0.0)[:, None] - tl.load(
        points + 1, mask=is_point, other=0.0
    )
    dz = tl.load(queries + 2, mask=is_query, other=0.0)[:, None] - tl.load(
        points + 2, mask=is_point, other=0.0
    )
    squared = dx * dx + dy * dy + dz * dz  # (ROWS, BLOCK)
    bits = tl.where(is_point, squared.to(tl.int32, bitcast=True), _TAKEN)
    answer = (cloud * groups + row) * k  # (ROWS,)
    for rank in range(k):
        least = tl.min(bits, axis=1)
        winner = tl.min(tl.where(bits == least[:, None], index, BLOCK), axis=1)
        tl.store(indices + answer + rank, winner, mask=is_query)
        tl.store(distances + answer + rank, least.to(tl.float32, bitcast=True), mask=is_query)
        bits = tl.where(index == winner[:, None], _TAKEN, bits)
