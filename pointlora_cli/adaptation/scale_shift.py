"""A scale and a shift for each channel (SSF, NeurIPS 2022), one behind each frozen layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.lora import SITES
from pointlora_cli.models.tokens import TokenSequence

if TYPE_CHECKING:
    from pointlora_cli.models.initialization import WeightSource

PLACES: Mapping[str, int] = {
    "norm1": 1,
    "norm2": 1,
    **{site: outputs for site, (_, outputs) in SITES.items()},
}
"""The layers of a block, and their channels in multiples of the token width."""

UNFOLDED = (
    "puts shifts behind the backbone's projections, which need biases that most backbones' qkv does not have"
)
"""Why none of it is merged."""


class ScaleShift(nn.Module):
    """gamma * x + beta, channel by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels))
        self.beta = nn.Parameter(torch.empty(channels))

    def initialize(self, source: WeightSource, name: str) -> None:
        """Normal around the identity, with the generic deviation: close to it, and not equal."""
        source.normal(self.gamma, f"{name}.gamma", mean=1.0)
        source.normal(self.beta, f"{name}.beta")

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., channels) -> (..., channels), in the type of `tokens`."""
        return torch.addcmul(self.beta.to(tokens.dtype), tokens, self.gamma.to(tokens.dtype))


class ScaleShiftStack(nn.Module):
    """One `ScaleShift` behind the patch encoder, each layer of each block, and the last norm."""

    def __init__(self, widths: Sequence[int], more: Mapping[str, int] | None = None) -> None:
        """`more`: further places in a block, as `PLACES`."""
        super().__init__()
        self.patches = ScaleShift(widths[0])
        self.norm = ScaleShift(widths[-1])
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {place: ScaleShift(times * width) for place, times in {**PLACES, **(more or {})}.items()}
            )
            for width in widths
        )

    def initialize(self, source: WeightSource, name: str) -> None:
        """Each starts close to the identity."""
        for own, module in self.named_modules():
            if isinstance(module, ScaleShift):
                module.initialize(source, f"{name}.{own}")

    def enter(self, sequence: TokenSequence) -> TokenSequence:
        """Change what the patch encoder gave, and no query."""
        queries, own = sequence.tokens.tensor_split([sequence.layout.queries], dim=1)
        return replace(sequence, tokens=torch.cat([queries, self.patches(own)], dim=1))

    def leave(self, sequence: TokenSequence) -> TokenSequence:
        """Change what the last norm gives."""
        return replace(sequence, tokens=self.norm(sequence.tokens))

    def forward(self, layer: int, place: str, values: Tensor) -> Tensor:
        """Change what a place of a block gives: (B, T, channels) -> (B, T, channels)."""
        changed: Tensor = cast("nn.ModuleDict", self.blocks[layer])[place](values)
        return changed
