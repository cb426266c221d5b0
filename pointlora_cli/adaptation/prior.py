"""A frozen copy of the backbone as it was before training: Point-PEFT's prior."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from pointlora_cli.adaptation.full import FullFineTuning
from pointlora_cli.models.point_mae import PointMAE
from pointlora_cli.models.tokens import Scale, TokenLayout, TokenSequence
from pointlora_cli.models.transformer import run_blocks
from pointlora_cli.specs.method import FullMethod


class Prior:
    """Clouds (B, N, 3) -> what the pre-trained network knows of them, (B, C).

    It is no module of the model it serves, and so no weight of it: the base gives it whole. It stays in
    evaluation mode, and goes to where its clouds are.
    """

    def __init__(self, backbone: PointMAE, scale: Scale) -> None:
        self.backbone = copy.deepcopy(backbone).requires_grad_(False).eval()
        self.scale = scale
        self._untouched = FullFineTuning(backbone.shape, FullMethod())

    @torch.no_grad()
    def __call__(self, points: Tensor) -> Tensor:
        """The maximum of the normalised patches; there is no class token, as in pre-training."""
        backbone = self.backbone
        own = backbone.norm.weight
        if (own.device, own.dtype) != (points.device, points.dtype):
            backbone.to(points)
        (patches,) = backbone.patches(points, [self.scale])
        sequence = TokenSequence(
            patches.tokens,
            patches.positions,
            TokenLayout(queries=0, patches=self.scale.centers),
            points,
            patches.centers,
        )
        sequence = run_blocks(backbone.blocks, sequence, self._untouched)
        features: Tensor = backbone.norm(sequence.tokens).amax(dim=1)
        return features
