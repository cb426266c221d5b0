"""Farthest-point sampling on a GPU, in Triton: one program for each cloud, all its picks in one launch.

The indices are those of `ops.sampling`, whatever the ties: distances are rounded in the same order, with no
multiplication fused into an addition, and a comparison of integers decides, since the bits of floats >= 0
order as the floats do.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pointlora_cli.ops.kernels import UNFUSED
from pointlora_cli.ops.pruned_sampling import NEAR_ORIGIN, UNREACHED

_MOST_IN_REGISTERS = 8192  # points; 107 of 128 registers of each thread
_LEAST_BLOCK = 128
_MEMORY_BLOCK = 4096  # points at a time, where a cloud does not fit into registers
_POINTS_PER_WARP = 512  # 16 for each thread: four numbers of each are 64 registers
_LEAST_WARPS, _MOST_WARPS = 4, 16
_INFINITE = tl.constexpr(UNREACHED)
_NEVER = tl.constexpr(-1.0)  # a negative distance never wins and never shrinks
_LEAST_BITS = tl.constexpr(-(2**31))


def farthest_points(points: Tensor, count: int, first: Tensor, *, skip_near_origin: bool = False) -> Tensor:
    """Choose points greedily, as `ops.sampling.farthest_point_sampling` does; nothing is checked here.

    Args:
        points: (B, N, 3) float32, on a GPU (or anywhere, in Triton's interpreter).
        count: how many indices to choose, 1 <= count <= N.
        first: (B,) int64, the index that each cloud starts from.
        skip_near_origin: leave out points with squared norm <= 1e-3, `first` excepted.

    Returns:
        (B, count) int64 indices. Of a cloud that is not finite, some indices of its points.
    """
    batch, size, _ = points.shape
    chosen = torch.empty(batch, count, dtype=torch.int64, device=points.device)
    limit = NEAR_ORIGIN if skip_near_origin else -1.0
    with torch.cuda.device(points.device if points.is_cuda else -1):  # -1: as it is
        if size <= _MOST_IN_REGISTERS:
            block = max(_LEAST_BLOCK, triton.next_power_of_2(size))
            warps = min(max(block // _POINTS_PER_WARP, _LEAST_WARPS), _MOST_WARPS)
            _sample_in_registers[(batch,)](
                points.contiguous(),
                first.contiguous(),
                chosen,
                size,
                count,
                limit,
                BLOCK=block,
                num_warps=warps,
                **UNFUSED,
            )
        else:
            _sample_in_memory[(batch,)](
                points.transpose(1, 2).contiguous(),
                torch.empty(batch, size, dtype=torch.float32, device=points.device),
                first.contiguous(),
                chosen,
                size,
                count,
                limit,
                BLOCK=_MEMORY_BLOCK,
                num_warps=_MOST_WARPS,
                **UNFUSED,
            )
    return chosen


# Tensors come to a kernel as pointers to their first elements.


@triton.jit(do_not_specialize=["size", "count"])
def _sample_in_registers(
    points: tl.tensor,  # (B, N, 3)
    first: tl.tensor,  # (B,)
    chosen: tl.tensor,  # (B, count)
    size: int,
    count: int,
    limit: float,
    BLOCK: tl.constexpr,
) -> None:
    cloud = tl.program_id(0).to(tl.int64)
    points += cloud * size * 3
    chosen += cloud * count
    index = tl.arange(0, BLOCK)
    is_point = index < size
    x = tl.load(points + index * 3, mask=is_point, other=0.0)
    y = tl.load(points + index * 3 + 1, mask=is_point, other=0.0)
    z = tl.load(points + index * 3 + 2, mask=is_point, other=0.0)
    is_left_out = (index >= size) | (x * x + y * y + z * z <= limit)
    nearest = tl.where(is_left_out, _NEVER, _INFINITE)
    last = tl.load(first + cloud).to(tl.int32)
    tl.store(chosen, last)
    for step in range(1, count):
        dx = x - tl.load(points + last * 3)
        dy = y - tl.load(points + last * 3 + 1)
        dz = z - tl.load(points + last * 3 + 2)
        nearest = tl.minimum(nearest, dx * dx + dy * dy + dz * dz, propagate_nan=tl.PropagateNan.ALL)
        bits = nearest.to(tl.int32, bitcast=True)
        last = tl.min(tl.where(bits == tl.max(bits, axis=0), index, BLOCK), axis=0)
        tl.store(chosen + step, last)


@triton.jit(do_not_specialize=["size", "count"])
def _sample_in_memory(
    planes: tl.tensor,  # (B, 3, N)
    nearest: tl.tensor,  # (B, N)
    first: tl.tensor,  # (B,)
    chosen: tl.tensor,  # (B, count)
    size: int,
    count: int,
    limit: float,
    BLOCK: tl.constexpr,
) -> None:
    cloud = tl.program_id(0).to(tl.int64)
    planes += cloud * size * 3
    nearest += cloud * size
    chosen += cloud * count
    lane = tl.arange(0, BLOCK)
    for start in range(0, size, BLOCK):
        index = start + lane
        is_point = index < size
        x = tl.load(planes + index, mask=is_point, other=0.0)
        y = tl.load(planes + size + index, mask=is_point, other=0.0)
        z = tl.load(planes + 2 * size + index, mask=is_point, other=0.0)
        initial = tl.where(x * x + y * y + z * z <= limit, _NEVER, _INFINITE)
        tl.store(nearest + index, initial, mask=is_point)
    last = tl.load(first + cloud).to(tl.int32)
    tl.store(chosen, last)
    for step in range(1, count):
        tl.debug_barrier()  # a thread may read what another one wrote
        cx, cy, cz = tl.load(planes + last), tl.load(planes + size + last), tl.load(planes + 2 * size + last)
        farthest = tl.full((BLOCK,), _LEAST_BITS, tl.int32)  # of each lane, with its place
        place = lane
        for start in range(0, size, BLOCK):
            index = start + lane
            is_point = index < size
            dx = tl.load(planes + index, mask=is_point, other=0.0) - cx
            dy = tl.load(planes + size + index, mask=is_point, other=0.0) - cy
            dz = tl.load(planes + 2 * size + index, mask=is_point, other=0.0) - cz
            before = tl.load(nearest + index, mask=is_point, other=_NEVER)
            now = tl.minimum(before, dx * dx + dy * dy + dz * dz, propagate_nan=tl.PropagateNan.ALL)
            tl.store(nearest + index, now, mask=is_point)
            bits = now.to(tl.int32, bitcast=True)
            is_farther = bits > farthest  # among equals, the first stays
            farthest = tl.where(is_farther, bits, farthest)
            place = tl.where(is_farther, index, place)
        last = tl.min(tl.where(farthest == tl.max(farthest, axis=0), place, size), axis=0)
        tl.store(chosen + step, last)
