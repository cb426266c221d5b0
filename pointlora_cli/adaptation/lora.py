"""LoRA (ICLR 2022): a low-rank term beside a frozen projection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Adaptation, Folded, Shape, Trained
from pointlora_cli.specs.method import FullMethod, LoRAMethod, MLP3Method
from pointlora_cli.specs.sites import Site

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource

SITES: dict[Site, tuple[int, int]] = {"qkv": (1, 3), "proj": (1, 1), "fc1": (1, 4), "fc2": (4, 1)}
"""Inputs and outputs of each projection, in multiples of the token width."""


class LowRank(nn.Module):
    """scale * B A x, where A is (rank, inputs) and B is (outputs, rank)."""

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.A = nn.Parameter(torch.empty(rank, inputs))
        self.B = nn.Parameter(torch.empty(outputs, rank))

    def initialize(self, source: WeightSource, name: str) -> None:
        """A as a default linear layer, B zero: the term starts at nothing."""
        source.uniform(self.A, f"{name}.A", 1 / math.sqrt(self.A.shape[1]))
        nn.init.zeros_(self.B)

    @torch.no_grad()
    def add_to(self, layer: nn.Linear) -> None:
        """Add scale * B A to a layer's weight, rounded once."""
        term = self.scale * self.B.double() @ self.A.double()
        layer.weight.copy_(layer.weight.double() + term)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        low = F.linear(inputs, self.A)
        return F.linear(low if self.scale == 1.0 else low * self.scale, self.B)


class LowRankStack(nn.Module):
    """One `LowRank` at each site of each block."""

    def __init__(self, widths: Sequence[int], sites: Sequence[Site], rank: int, scale: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {site: LowRank(SITES[site][0] * width, SITES[site][1] * width, rank, scale) for site in sites}
            )
            for width in widths
        )
        self.sites = frozenset(sites)

    def initialize(self, source: WeightSource, name: str) -> None:
        """Set every A and B."""
        for layer in range(len(self.blocks)):
            for site in self.sites:
                self.term(layer, site).initialize(source, f"{name}.blocks.{layer}.{site}")

    def term(self, layer: int, site: str) -> LowRank:
        """The term of one projection."""
        return cast("LowRank", cast("nn.ModuleDict", self.blocks[layer])[site])

    def fold(self, model: AdaptedModel) -> str:
        """Add every term to its projection in the backbone; say what was added."""
        for layer in range(len(self.blocks)):
            for site in self.sites:
                self.term(layer, site).add_to(model.backbone.linear(layer, site))
        sites = ", ".join(site for site in SITES if site in self.sites)
        return f"the low-rank terms at {sites} of {len(self.blocks)} blocks"

    def forward(self, layer: int, site: str, inputs: Tensor) -> Tensor:
        """The value of one term: (B, T, I) -> (B, T, O)."""
        value: Tensor = self.term(layer, site)(inputs)
        return value


class LoRA(Adaptation):
    """LoRA at the chosen projections; the class token and the head train with it."""

    def __init__(self, shape: Shape, method: LoRAMethod) -> None:
        super().__init__(shape, method)
        self.low_rank = LowRankStack(shape.widths, method.sites, method.rank, method.alpha / method.rank)

    def initialize(self, source: WeightSource) -> None:
        """Set every A and B."""
        self.low_rank.initialize(source, "adaptation.low_rank")

    def trained(self, model: AdaptedModel) -> Trained:
        """A and B everywhere, the class token and its position, and the head."""
        return [self.low_rank, *model.backbone.class_tokens, model.head]

    def fold(self, model: AdaptedModel) -> Folded:
        """Add every low-rank term to its projection; class token and head are left.

        In part segmentation no method trains just these, so what is left is called fully fine-tuned.
        """
        left = MLP3Method() if model.task == "classification" else FullMethod()
        return Folded(self.low_rank.fold(model), left, kept=())

    def projection(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Add the low-rank term."""
        if site not in self.low_rank.sites:
            return outputs
        adapted: Tensor = outputs + self.low_rank(layer, site, inputs)
        return adapted
