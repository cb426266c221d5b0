"""Checks at the border of the geometry operations."""

from __future__ import annotations

from torch import Tensor


def require_clouds(points: Tensor, name: str = "points") -> None:
    """Raise unless `points` is a floating-point tensor of shape (B, N, 3) with B, N >= 1.

    Raises:
        ValueError: wrong number of dimensions or of coordinates, or an empty batch or cloud.
        TypeError: not floating point.
    """
    if points.dim() != 3 or points.shape[-1] != 3:
        raise ValueError(f"{name} must have shape (B, N, 3), got {tuple(points.shape)}")
    if points.shape[0] == 0 or points.shape[1] == 0:
        raise ValueError(f"{name} is empty: shape {tuple(points.shape)}")
    if not points.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {points.dtype}")


def require_count(count: int, available: int, name: str) -> None:
    """Raise unless 1 <= `count` <= `available`.

    Raises:
        ValueError: out of that range.
    """
    if not 1 <= count <= available:
        raise ValueError(f"{name} must be between 1 and the {available} points at hand, got {count}")
