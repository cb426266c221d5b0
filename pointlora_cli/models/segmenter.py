"""A backbone, an adaptation and a head as one network for part segmentation.

Patch tokens are taken after a third, two thirds and all of the blocks, each through the backbone's last
norm. Point-MAE, ACT and plain ReCon have no class token here; ReCon keeps its three queries, whose
maximum after the last block, not normalised, joins the head.

Of the methods, IDPT and PPT have released code for it. For all others it is our choice that a method
does here what it does for classification. With every method the whole head trains, and of a sequence
only the patches reach it: not the prompts, nor what a method adds.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.point_mae import PointMAE
from pointlora_cli.models.segmentation_head import SegmentationHead
from pointlora_cli.models.tokens import TokenSequence
from pointlora_cli.specs.needs import Task

_LEVELS = 3


class Segmentation(NamedTuple):
    """What a forward pass gives."""

    logits: Tensor  # (B, M, parts)
    sequence: TokenSequence  # the normalised tokens of the last level, and the adaptation's notes


class Encoding(NamedTuple):
    """What the backbone makes of clouds, which labels any of their points."""

    tokens: Tensor  # (B, G, 3 C), the three levels side by side
    centers: Tensor  # (B, G, 3)
    queries: Tensor | None  # (B, Q), the queries' feature
    sequence: TokenSequence  # the normalised tokens of the last level, and the adaptation's notes


class Segmenter(AdaptedModel):
    """Clouds (B, N, 3) and their categories (B,) -> logits of parts at points (B, M, parts)."""

    task: ClassVar[Task] = "part-segmentation"
    backbone: PointMAE

    def __init__(self, backbone: PointMAE, adaptation: Adaptation, *, categories: int, parts: int) -> None:
        queries = backbone.width if backbone.queries else 0
        head = SegmentationHead(_LEVELS * backbone.width, queries, categories=categories, parts=parts)
        super().__init__(backbone, adaptation, head)
        self.layers = tapped_layers(len(backbone.blocks))

    def encode(self, points: Tensor) -> Encoding:
        """What all points of a cloud share, of clouds (B, N, 3).

        Raises:
            ValueError: a grouping asks for more than there are points.
        """
        outputs = self.backbone.block_outputs(points, self.adaptation, self.layers)
        levels = [self.backbone.finished(output, self.adaptation) for output in outputs]
        tokens = torch.cat([level.patches for level in levels], dim=-1)
        count, last = outputs[-1].layout.queries, outputs[-1].tokens
        queries = last[:, :count].amax(dim=1) if count else None
        return Encoding(tokens, outputs[-1].centers, queries, levels[-1])

    def label(self, encoding: Encoding, category: Tensor, at: Tensor) -> Tensor:
        """Logits (B, M, parts) at points (B, M, 3) of encoded clouds of categories (B,) int64."""
        logits: Tensor = self.head(encoding.tokens, encoding.centers, encoding.queries, category, at)
        return logits

    def forward(self, points: Tensor, category: Tensor, at: Tensor | None = None) -> Segmentation:
        """Label clouds (B, N, 3) of categories (B,) int64, at points `at` (B, M, 3) or at their own.

        Raises:
            ValueError: a shape does not agree, or a grouping asks for more than there are points.
        """
        if category.shape != points.shape[:1]:
            raise ValueError(f"category must be ({len(points)},), got {tuple(category.shape)}")
        encoding = self.encode(points)
        logits = self.label(encoding, category, points if at is None else at)
        return Segmentation(logits, encoding.sequence)


def tapped_layers(depth: int) -> tuple[int, ...]:
    """The last block of each third; of a depth that three does not divide, the greater part comes first."""
    return tuple(-(-depth * level // _LEVELS) - 1 for level in range(1, _LEVELS + 1))
