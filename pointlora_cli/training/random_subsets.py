"""Drawing the points of a pre-training step: some of a cloud's at random, as published for ShapeNet-55."""

from __future__ import annotations

import torch
from torch import Tensor

from pointlora_cli.training.share import Share


class RandomSubsets:
    """Another subset of each cloud at each step, from one generator on the clouds' device.

    A subset has another middle and another farthest point than its cloud; clouds that are to fill the unit sphere
    are centred and scaled anew. Clouds stored with just the points wanted pass as they are.
    """

    def __init__(self, count: int, generator: torch.Generator, *, to_unit_sphere: bool) -> None:
        self.count = count
        self.generator = generator
        self.to_unit_sphere = to_unit_sphere

    def __call__(self, points: Tensor, share: Share | None = None) -> Tensor:
        """Draw from clouds (B, S, 3) -> (B, P, 3), which are all of a step's, or a share of them."""
        stored = points.shape[1]
        if stored <= self.count:
            return points
        mine, batch = share or Share(slice(None), len(points))
        keys = torch.rand(batch, stored, generator=self.generator, device=points.device)[mine]
        ranks = keys.topk(self.count, dim=1).indices
        points = points.gather(1, ranks[..., None].expand(-1, -1, 3))
        return filling_unit_sphere(points) if self.to_unit_sphere else points


def filling_unit_sphere(points: Tensor) -> Tensor:
    """Clouds (B, N, 3) with their mean at the origin and their farthest point at distance 1; one point stays 0."""
    points = points - points.mean(dim=1, keepdim=True)
    farthest = points.norm(dim=-1).amax(dim=1)[:, None, None]
    return points / torch.where(farthest > 0, farthest, 1)
