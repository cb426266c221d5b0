"""Nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pointlora_cli.ops.checks import require_clouds, require_count
from pointlora_cli.ops.kernels import neighbors_fault

_LOW_BITS = 32
_CPU_BYTES = 8 * 2**20  # a block of distances that stays in cache
_GPU_BYTES = 512 * 2**20


def nearest_neighbors(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the `k` nearest points of each query, exactly.

    Sorted by ascending squared distance dx*dx + dy*dy + dz*dz, ties by the lowest index, so the
    first `j` columns are the answer for `j` neighbours and one call serves every size.

    Args:
        queries: (B, G, 3) coordinates.
        points: (B, N, 3) coordinates, same dtype and device.
        k: number of neighbours, 1 <= k <= N.

    Returns:
        indices (B, G, k) int64 into `points`, and squared distances (B, G, k).

    Raises:
        ValueError: shapes do not agree, or `k` is out of range.
    """
    require_clouds(queries, "queries")
    require_clouds(points)
    require_count(k, points.shape[1], "k")
    if queries.shape[0] != points.shape[0]:
        raise ValueError(f"queries hold {queries.shape[0]} clouds, points {points.shape[0]}")
    queries, points = queries.detach(), points.detach()
    indices, distances = _searcher(points)(queries, points, k)
    return indices, distances


def _searcher(points: Tensor) -> Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]:
    if points.device.type != "cpu":
        return _on_gpu
    # The first call of an operation loads the compiler, which takes seconds.
    return _on_cpu_whole if torch.compiler.is_compiling() else _on_cpu


def _on_cpu(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """By sorting, which looks at values to see whether there are ties."""
    return _by_sorting(queries, points, k)


# Each is one operation, so that a compiler need not look into it.

_on_cpu_whole = torch.library.custom_op("pointlora::nearest_neighbors_on_cpu", mutates_args=())(_on_cpu)


@torch.library.custom_op("pointlora::nearest_neighbors", mutates_args=())
def _on_gpu(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """By the kernel where it serves; nothing here waits for the device."""
    is_float32 = queries.dtype == points.dtype == torch.float32 and queries.device == points.device
    if is_float32 and neighbors_fault(points.shape[1], k, points.device) is None:
        from pointlora_cli.ops.triton_neighbors import nearest

        return nearest(queries, points, k)
    return _by_sorting(queries, points, k)


@_on_cpu_whole.register_fake
@_on_gpu.register_fake
def _shapes(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    distances = points.new_empty(*queries.shape[:2], k)
    return torch.empty_like(distances, dtype=torch.int64), distances


def _by_sorting(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """All distances, in blocks that memory holds, and the smallest of each row."""
    budget = _CPU_BYTES if points.device.type == "cpu" else _GPU_BYTES
    clouds = max(1, budget // (queries.shape[1] * points.shape[1] * points.element_size()))
    blocks = [
        _smallest(squared_distances(some_queries, some_points), k)
        for some_queries, some_points in zip(
            torch.split(queries, clouds), torch.split(points, clouds), strict=True
        )
    ]
    return torch.cat([block[1] for block in blocks]), torch.cat([block[0] for block in blocks])


def squared_distances(queries: Tensor, points: Tensor) -> Tensor:
    """Squared distances of (B, G, 3) to (B, N, 3) as (B, G, N), by differences: exact where a product is not."""
    total: Tensor | None = None
    for query, point in zip(queries.unbind(-1), points.unbind(-1), strict=True):
        square = (query[:, :, None] - point.contiguous()[:, None, :]).square_()
        total = square if total is None else total.add_(square)
    assert total is not None  # three axes
    return total


def _smallest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row of (B, G, N) and their indices, ties by the lowest index."""
    if distances.dtype != torch.float32:
        values, indices = distances.sort(dim=-1, stable=True)
        return values[..., :k].contiguous(), indices[..., :k].contiguous()
    if distances.device.type != "cpu":  # no answer may depend on a value the host would have to wait for
        return _smallest_by_key(distances, k)
    values, indices = distances.topk(min(k + 1, distances.shape[-1]), dim=-1, largest=False)
    tied = (values[..., 1:] == values[..., :-1]).any(dim=-1)  # (B, G)
    values, indices = values[..., :k].contiguous(), indices[..., :k].contiguous()
    if bool(tied.any()):  # top-k leaves open which of two equals comes first, or comes at all
        values[tied], indices[tied] = _smallest_by_key(distances[tied], k)
    return values, indices


def _smallest_by_key(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    # The bits of a float >= 0 order like an integer; with the index in the low half every key is
    # distinct, so top-k has no ties to break.
    index = torch.arange(distances.shape[-1], device=distances.device)
    keys = (distances.view(torch.int32).to(torch.int64) << _LOW_BITS) | index
    indices = keys.topk(k, dim=-1, largest=False).values & (2**_LOW_BITS - 1)
    return distances.gather(-1, indices), indices
