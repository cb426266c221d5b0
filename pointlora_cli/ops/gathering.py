"""Picking points or tokens by index."""

from __future__ import annotations

from torch import Tensor


def gather(values: Tensor, indices: Tensor) -> Tensor:
    """Pick rows of each batch element.

    Args:
        values: (B, N, C) points, tokens or features.
        indices: (B, ...) int64 indices into N.

    Returns:
        (B, ..., C) the picked rows; gradients flow into `values`.

    Raises:
        ValueError: the batch sizes differ, or `values` is not (B, N, C).
    """
    if values.dim() != 3 or indices.dim() < 2 or values.shape[0] != indices.shape[0]:
        raise ValueError(
            f"cannot pick {tuple(indices.shape)} from {tuple(values.shape)}: need (B, ...) of (B, N, C)"
        )
    width = values.shape[-1]
    flat = indices.reshape(indices.shape[0], -1, 1).expand(-1, -1, width)
    return values.gather(1, flat).view(*indices.shape, width)
