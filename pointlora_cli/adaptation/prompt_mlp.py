"""The small network that all blocks share, in PPT and in PointLoRA."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from pointlora_cli.models.tokens import TokenSequence

if TYPE_CHECKING:
    from pointlora_cli.models.initialization import WeightSource


class PromptMLP(nn.Module):
    """Linear, GELU, Linear: one instance serves every block."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(inputs, hidden)
        self.activation = nn.GELU()
        self.linear2 = nn.Linear(hidden, outputs)

    def initialize(self, source: WeightSource, name: str) -> None:
        """The generic rule; not zero, so the adapted network differs from the frozen one from the start."""
        source.linear_normal(self.linear1, f"{name}.linear1")
        source.linear_normal(self.linear2, f"{name}.linear2")

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T, outputs)."""
        outputs: Tensor = self.linear2(self.activation(self.linear1(tokens)))
        return outputs


def prompt_mlp_names(own: str, official: str) -> dict[str, str]:
    """Own names of a `PromptMLP`'s weights -> official ones, where it is a sequence of three modules."""
    return {
        f"{own}.{layer}.{kind}": f"{official}.{index}.{kind}"
        for layer, index in (("linear1", 0), ("linear2", 2))
        for kind in ("weight", "bias")
    }


def prompted(sequence: TokenSequence, patches: nn.Module, extra: nn.Module) -> TokenSequence:
    """Pass the patches and the extra tokens of a block's input through a prompt MLP each, residually."""
    before, own, after = torch.split(
        sequence.tokens,
        [sequence.layout.first_patch, sequence.layout.patches, sequence.layout.extra],
        dim=1,
    )
    return replace(sequence, tokens=torch.cat([before, own + patches(own), after + extra(after)], dim=1))


class PromptGates(nn.Module):
    """One scalar for each block and site, 1 at the start."""

    def __init__(self, depth: int, sites: tuple[str, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ParameterDict({site: nn.Parameter(torch.ones(1)) for site in sites}) for _ in range(depth)
        )

    def forward(self, layer: int, site: str) -> Tensor:
        """The gate (1,) of a block's site."""
        gate: Tensor = cast("nn.ParameterDict", self.blocks[layer])[site]
        return gate
