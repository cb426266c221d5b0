"""SSF (NeurIPS 2022, arXiv 2210.08823): a scale and a shift for each channel after every frozen layer.

gamma x + beta follows the patch encoder, both norms of a block, its four projections (fc1 before GELU) and
the last norm. Class token and head train with them, as with the other generic methods. On a backbone of
several levels the patch encoder meant is the finest level's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.adaptation.lora import SITES
from pointlora_cli.adaptation.scale_shift import ScaleShift
from pointlora_cli.models.tokens import Patches, TokenSequence
from pointlora_cli.specs.method import SSFMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource

CHANNELS: dict[str, int] = {"norm1": 1, "norm2": 1, **{site: outputs for site, (_, outputs) in SITES.items()}}
"""The places in a block, and their channels in multiples of the token width."""


class SSF(Adaptation):
    """Scale and shift everywhere; class token and head train with them."""

    def __init__(self, shape: Shape, method: SSFMethod) -> None:
        super().__init__(shape, method)
        self.patches = ScaleShift(shape.widths[0])
        self.norm = ScaleShift(shape.width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({place: ScaleShift(times * width) for place, times in CHANNELS.items()})
            for width in shape.widths
        )

    def initialize(self, source: WeightSource) -> None:
        """Each starts close to the identity."""
        for name, module in self.named_modules():
            if isinstance(module, ScaleShift):
                module.initialize(source, f"adaptation.{name}")

    def trained(self, model: AdaptedModel) -> Trained:
        """All of them, the class token and its position, and the head."""
        return [self, *model.backbone.class_tokens, model.head]

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Scale and shift what the patch encoder gave."""
        queries, own = sequence.tokens.tensor_split([sequence.layout.queries], dim=1)
        return replace(sequence, tokens=torch.cat([queries, self.patches(own)], dim=1))

    def normalized(self, layer: int, place: Literal["norm1", "norm2"], tokens: Tensor) -> Tensor:
        """Scale and shift what a norm gives."""
        return self._changed(layer, place, tokens)

    def projection(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Scale and shift what a projection gives."""
        return self._changed(layer, site, outputs)

    def leave(self, sequence: TokenSequence) -> TokenSequence:
        """Scale and shift what the last norm gives."""
        return replace(sequence, tokens=self.norm(sequence.tokens))

    def _changed(self, layer: int, place: str, values: Tensor) -> Tensor:
        changed: Tensor = cast("nn.ModuleDict", self.blocks[layer])[place](values)
        return changed
