"""VPT, visual prompt tuning (ECCV 2022, arXiv 2203.12119), as point-cloud work compares with it.

Learned tokens with learned positions join the end of the sequence; the network stays as it is. Deep:
each block has its own, which are gone after it. Shallow: those of the first block stay until the end.
The head sees what it would see without them (the class token beside the maximum over the patches):
prompts act through attention alone.

VPT on images has no positions on its prompts and puts them behind the class token; the point-cloud
version (in IDPT's code) has both at the end, and this file follows it. There prompts and positions count
for weight decay, because neither's name contains `token`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.models.tokens import Patches, TokenSequence
from pointlora_cli.specs.method import VPTMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource


class VPT(Adaptation):
    """Prompts in each block, or from the first block on; class token and head train with them."""

    def __init__(self, shape: Shape, method: VPTMethod) -> None:
        super().__init__(shape, method)
        self.deep = method.variant == "deep"
        widths = shape.widths if self.deep else shape.widths[:1]
        self.prompts, self.positions = (
            nn.ParameterList(torch.empty(1, method.tokens, width) for width in widths) for _ in range(2)
        )

    def initialize(self, source: WeightSource) -> None:
        """The generic rule."""
        for group in ("prompts", "positions"):
            for name, parameter in getattr(self, group).named_parameters():
                source.normal(parameter, f"adaptation.{group}.{name}")

    def trained(self, model: AdaptedModel) -> Trained:
        """The prompts and their positions, the class token and its position, and the head."""
        return [self, *model.backbone.class_tokens, model.head]

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Shallow: append the prompts."""
        return sequence if self.deep else self._prompted(sequence, 0)

    def before_block(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Deep: append the block's prompts."""
        return self._prompted(sequence, layer) if self.deep else sequence

    def block_output(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Deep: take the block's prompts away."""
        return sequence.without_extra() if self.deep else sequence

    def leave(self, sequence: TokenSequence) -> TokenSequence:
        """Shallow: take the prompts away."""
        return sequence if self.deep else sequence.without_extra()

    def _prompted(self, sequence: TokenSequence, index: int) -> TokenSequence:
        batch = len(sequence.tokens)
        prompts, positions = (group[index].expand(batch, -1, -1) for group in (self.prompts, self.positions))
        return sequence.with_extra(prompts, positions)
