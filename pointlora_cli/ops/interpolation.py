"""Carrying features from a few centers to many points."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pointlora_cli.ops.checks import require_clouds
from pointlora_cli.ops.neighbors import nearest_neighbors

NEIGHBORS = 3
_EPSILON = 1e-8


def interpolate(points: Tensor, centers: Tensor, features: Tensor) -> Tensor:
    """Mix the features of the three centers nearest to each point, as PointNet++ does.

    Each weighs 1 / (d^2 + 1e-8), divided by the sum of the three; among centers at the same distance,
    those of lower index come first. Fewer than three centers are all used. The result is linear in
    `features`: a linear layer can come before it as well as behind.

    Args:
        points: (B, N, 3) coordinates.
        centers: (B, G, 3) coordinates, same type and device.
        features: (B, G, C) at the centers, of any floating type, in which the result is; distances and
            weights are at least float32.

    Returns:
        (B, N, C); gradients flow into `features`, not into coordinates.

    Raises:
        ValueError: shapes do not agree.
        TypeError: something is not floating point.
    """
    require_clouds(points)
    require_clouds(centers, "centers")
    if features.dim() != 3 or features.shape[:2] != centers.shape[:2]:
        raise ValueError(f"features {tuple(features.shape)} do not belong to centers {tuple(centers.shape)}")
    if not features.is_floating_point():
        raise TypeError(f"features must be floating point, got {features.dtype}")
    batch, count = centers.shape[:2]
    # In half precision the epsilon is zero, and the weights of a point at a center are not numbers.
    points, centers = (one.to(torch.promote_types(one.dtype, torch.float32)) for one in (points, centers))
    indices, squared = nearest_neighbors(points, centers, min(NEIGHBORS, count))  # (B, N, k) each
    inverse = 1 / (squared + _EPSILON)
    weights = inverse / inverse.sum(dim=-1, keepdim=True)
    rows = indices + count * torch.arange(batch, device=indices.device)[:, None, None]
    # A weighted bag never holds the k features of each point, which are k times the result.
    mixed: Tensor = F.embedding_bag(
        rows.flatten(0, 1),
        features.flatten(0, 1),
        mode="sum",
        per_sample_weights=weights.flatten(0, 1).to(features.dtype),
    )
    return mixed.view(batch, points.shape[1], -1)
