"""Nearest neighbours among the features of a cloud's own tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_features(features: Tensor, k: int) -> Tensor:
    """Find the `k` nearest features of each feature of its own cloud, by differences in float32 or better.

    Args:
        features: (B, G, C).
        k: number of neighbours, the feature itself included, 1 <= k <= G.

    Returns:
        (B, G, k) int64 indices into G, nearest first; which of two equally near ones is open.

    Raises:
        ValueError: `features` is not (B, G, C), or `k` is out of range.
    """
    if features.dim() != 3:
        raise ValueError(f"features must be (B, G, C), not {tuple(features.shape)}")
    if not 1 <= k <= features.shape[1]:
        raise ValueError(f"k must be from 1 to {features.shape[1]}, not {k}")
    exact = features.detach()
    exact = exact if exact.dtype == torch.float64 else exact.float()
    distances = torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist")  # (B, G, G)
    return distances.topk(k, dim=-1, largest=False).indices
