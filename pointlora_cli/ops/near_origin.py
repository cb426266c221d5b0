"""What the official sampler makes of points near the origin."""

from __future__ import annotations

import torch
from torch import Tensor

from pointlora_cli.ops.checks import require_clouds
from pointlora_cli.ops.sampling import NEAR_ORIGIN


def without_near_origin(points: Tensor, *, keep_first: bool = False) -> Tensor:
    """What drawing all points of clouds (B, N, 3) with the official sampler leaves, but for their order.

    It never draws a point with squared norm <= 1e-3; when only those are left, the lowest index that is
    not one of them repeats.

    Args:
        points: the clouds.
        keep_first: the drawing begins with the first point, which then stays wherever it is.

    Raises:
        ValueError: wrong shape.
    """
    require_clouds(points)
    x, y, z = points.unbind(dim=2)
    near = x * x + y * y + z * z <= NEAR_ORIGIN  # (B, N)
    lowest = (~near).to(torch.uint8).argmax(dim=1)
    substitutes = points[torch.arange(points.shape[0], device=points.device), lowest]
    if keep_first:
        near[:, 0] = False
    return torch.where(near[:, :, None], substitutes[:, None], points)
