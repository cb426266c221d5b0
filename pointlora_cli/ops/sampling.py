"""Farthest-point sampling."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pointlora_cli.ops.checks import require_clouds, require_count
from pointlora_cli.ops.kernels import sampling_fault
from pointlora_cli.ops.pruned_sampling import NEAR_ORIGIN, UNREACHED, pruned_farthest_points

__all__ = ["NEAR_ORIGIN", "farthest_point_sampling"]

_LARGE_CLOUD = 2048  # points from which pruning pays for a batch too,
_LARGE_TASK = 2**19  # with at least this many points × picks
_SHARED_WORK = 2**15  # elements from which torch divides an operation among its threads


def farthest_point_sampling(
    points: Tensor, count: int, *, first: Tensor | None = None, skip_near_origin: bool = False
) -> Tensor:
    """Choose points greedily, each the farthest from all chosen before it.

    Ties go to the lowest index. The order is greedy, so the first `m` indices of a sampling are the
    sampling of `m` points: one call serves every scale. When only copies of chosen points are left, the
    lowest index repeats.

    Args:
        points: (B, N, 3) coordinates.
        count: how many indices to choose, 1 <= count <= N.
        first: (B,) int64, the index that each cloud starts from; None: 0.
        skip_near_origin: leave out points with squared norm <= 1e-3 (the first excepted), as the
            kernel of Pointnet2_PyTorch does, which the official implementations use.

    Returns:
        (B, count) int64 indices.

    Raises:
        ValueError: `points` or `first` has another shape, or `count` or `first` is out of range.
    """
    require_clouds(points)
    require_count(count, points.shape[1], "count")
    if first is None:
        first = torch.zeros(points.shape[0], dtype=torch.int64, device=points.device)
    else:
        _require_first(first, points)
    points = points.detach()
    chosen: Tensor = _sampler(points)(points, count, first, skip_near_origin)
    return chosen


def _require_first(first: Tensor, points: Tensor) -> None:
    if first.shape != points.shape[:1] or first.dtype != torch.int64:
        raise ValueError(f"first must be int64 ({points.shape[0]},), got {first.dtype} {tuple(first.shape)}")
    if first.device != points.device:
        raise ValueError(f"first is on {first.device}, points are on {points.device}")
    if first.device.type != "cpu":  # looking at it would halt the device,
        points[..., 0].gather(1, first[:, None])  # which refuses an index out of range by itself
    elif not 0 <= int(first.min()) <= int(first.max()) < points.shape[1]:
        raise ValueError(f"first must be 0 to {points.shape[1] - 1}")


def _prunes_faster(points: Tensor, count: int) -> bool:
    """Whether the pruned sampler is quicker, cloud by cloud; the results are the same."""
    if points.dtype != torch.float32:
        return False
    batch, size, _ = points.shape
    is_large = size >= _LARGE_CLOUD and size * count >= _LARGE_TASK
    return batch == 1 or (is_large and (batch * size <= _SHARED_WORK or torch.get_num_threads() <= 2))


def _sampler(points: Tensor) -> Callable[[Tensor, int, Tensor, bool], Tensor]:
    if points.device.type != "cpu":
        return _on_gpu
    # The first call of an operation loads the compiler, which takes seconds.
    return _on_cpu_whole if torch.compiler.is_compiling() else _on_cpu


def _on_cpu(points: Tensor, count: int, first: Tensor, skip_near_origin: bool) -> Tensor:
    """By whichever of two ways is quicker."""
    if not (_prunes_faster(points, count) and bool(points.isfinite().all())):
        return _by_full_passes(points, count, first, skip_near_origin)
    chosen = torch.empty(points.shape[0], count, dtype=torch.int64)
    for cloud, start, indices in zip(points.numpy(), first.tolist(), chosen.numpy(), strict=True):
        indices[:] = pruned_farthest_points(cloud, count, first=start, skip_near_origin=skip_near_origin)
    return chosen


# Each is one operation, so that a compiler need not look into it.

_on_cpu_whole = torch.library.custom_op("pointlora::farthest_points_on_cpu", mutates_args=())(_on_cpu)


@torch.library.custom_op("pointlora::farthest_points", mutates_args=())
def _on_gpu(points: Tensor, count: int, first: Tensor, skip_near_origin: bool) -> Tensor:
    """By the kernel where it serves; nothing here waits for the device."""
    if points.dtype == torch.float32 and sampling_fault(points.shape[1], points.device) is None:
        from pointlora_cli.ops.triton_sampling import farthest_points

        return farthest_points(points, count, first, skip_near_origin=skip_near_origin)
    return _by_full_passes(points, count, first, skip_near_origin)


@_on_cpu_whole.register_fake
@_on_gpu.register_fake
def _shape(points: Tensor, count: int, first: Tensor, skip_near_origin: bool) -> Tensor:
    return first.new_empty(points.shape[0], count)


def _by_full_passes(points: Tensor, count: int, first: Tensor, skip_near_origin: bool) -> Tensor:
    """A pass over all points of all clouds for each pick."""
    x, y, z = points.unbind(-1)  # (B, N) each: three flat planes are faster than one (B, N, 3)
    nearest = torch.full_like(x, UNREACHED)  # squared distance to the chosen set
    if skip_near_origin:
        # A negative distance never wins and never grows, so these points are never chosen.
        nearest = torch.where(x * x + y * y + z * z <= NEAR_ORIGIN, -1.0, nearest)
    last = first[:, None]  # (B, 1)
    chosen = last.repeat(1, count)
    for step in range(1, count):
        dx, dy, dz = x - x.gather(1, last), y - y.gather(1, last), z - z.gather(1, last)
        nearest = torch.minimum(nearest, dx * dx + dy * dy + dz * dz)
        last = nearest.argmax(dim=1, keepdim=True)
        chosen[:, step] = last[:, 0]
    return chosen
