"""Random changes of a batch of clouds, all clouds at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pointlora_cli.specs.training import AugmentationSpec
from pointlora_cli.training.share import Share

_AXES = {"x": 0, "y": 1, "z": 2}


class Augmentation:
    """Shuffle, scale, translate, rotate, in this order, from one generator on the clouds' device."""

    def __init__(self, spec: AugmentationSpec, generator: torch.Generator) -> None:
        self.spec = spec
        self.generator = generator

    def __call__(self, points: Tensor, share: Share | None = None) -> Tensor:
        """Change clouds (B, N, 3) -> (B, N, 3), which are all of a step's, or a share of them."""
        spec, share = self.spec, share or Share(slice(None), len(points))
        if spec.shuffle:
            order = torch.randperm(points.shape[1], generator=self.generator, device=points.device)
            points = points[:, order]
        if spec.scale is not None:
            low, high = spec.scale
            factors = 3 if spec.scale_axes == "each" else 1
            points = points * self._uniform(points, share, 1, factors, low=low, high=high)
        if spec.translate > 0:
            points = points + self._uniform(points, share, 1, 3, low=-spec.translate, high=spec.translate)
        if spec.rotate != "none":
            angle = self._uniform(points, share, low=0.0, high=2 * math.pi)
            points = points @ rotation(angle, _AXES[spec.rotate])
        return points

    def _uniform(self, points: Tensor, share: Share, *shape: int, low: float, high: float) -> Tensor:
        values = torch.rand(share.total, *shape, generator=self.generator, device=points.device)
        return low + (high - low) * values[share.mine]


def rotation(angle: Tensor, axis: int) -> Tensor:
    """Matrices (B, 3, 3) that turn row vectors by `angle` (B,), in radians, about an axis.

    About y this is [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], as in the official code.
    """
    after, before = (axis + 1) % 3, (axis + 2) % 3
    matrix = torch.eye(3, device=angle.device, dtype=angle.dtype).repeat(angle.shape[0], 1, 1)
    matrix[:, after, after] = matrix[:, before, before] = angle.cos()
    matrix[:, before, after] = angle.sin()
    matrix[:, after, before] = -angle.sin()
    return matrix
