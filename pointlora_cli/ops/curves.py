"""Putting points in an order that keeps neighbours together."""

from __future__ import annotations

import torch
from torch import Tensor

from pointlora_cli.ops.checks import require_clouds

_SPREADS = (
    (32, 0x001F00000000FFFF),
    (16, 0x001F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)
_BITS = 0xFFFF  # of one axis


def z_order(points: Tensor, *, cells: float = 100.0) -> Tensor:
    """The order of clouds (B, N, 3) along a Z-order curve (Morton code) that PointGST uses.

    Each coordinate times `cells` is cut off towards zero to an integer, of which the lowest 16 bits
    count. Negative ones are in two's complement, so they come after the positive ones: the curve has a
    break in each plane through the origin. The bits are interleaved with those of y highest, then x,
    then z. Points of one cell keep the order they had.

    Returns:
        (B, N) int64, the index of the point in each place.

    Raises:
        ValueError: wrong shape.
    """
    require_clouds(points)
    integers = (points.detach() * cells).long() & _BITS
    x, y, z = (_spread(axis) for axis in integers.unbind(-1))
    return torch.argsort((y << 2) | (x << 1) | z, dim=1, stable=True)


def _spread(values: Tensor) -> Tensor:
    """Put two zeros before each of the lowest 16 bits."""
    for shift, mask in _SPREADS:
        values = (values | (values << shift)) & mask
    return values
