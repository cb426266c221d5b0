"""Drawing the points of a training step from clouds that are stored with more."""

from __future__ import annotations

import torch
from torch import Tensor

from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.near_origin import without_near_origin
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.data import DataSpec
from pointlora_cli.training.share import Share


class PointDrawing:
    """The sampling of the released loops: many farthest points of a cloud, then some of them at random.

    The farthest points start at a random one, since the released data sets shuffle each cloud; the random
    choice is one list of ranks for the whole batch. Clouds stored with just the points wanted pass as they are:
    their order is the augmentation's to shuffle.
    """

    def __init__(self, spec: DataSpec, generator: torch.Generator) -> None:
        self.count = spec.points
        self.candidates = spec.drawn_from
        self.skip_near_origin = spec.skips_near_origin
        self.generator = generator

    def __call__(self, points: Tensor, share: Share | None = None) -> Tensor:
        """Draw from clouds (B, S, 3) -> (B, P, 3), which are all of a step's, or a share of them."""
        mine, batch = share or Share(slice(None), len(points))
        stored = points.shape[1]
        if self.candidates < stored:
            first = torch.randint(stored, (batch,), generator=self.generator, device=points.device)[mine]
            farthest = farthest_point_sampling(
                points, self.candidates, first=first, skip_near_origin=self.skip_near_origin
            )
            points = gather(points, farthest)
        elif self.skip_near_origin:
            points = without_near_origin(points)
        if self.count < points.shape[1]:
            ranks = torch.randperm(points.shape[1], generator=self.generator, device=points.device)
            points = points[:, ranks[: self.count]]
        return points
