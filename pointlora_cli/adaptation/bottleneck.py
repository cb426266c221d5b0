"""The bottleneck of adapters: few channels between two linear layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from pointlora_cli.models.initialization import WeightSource


class Bottleneck(nn.Module):
    """down, GELU, dropout, up."""

    def __init__(self, width: int, rank: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(rank, width)

    def initialize(self, source: WeightSource, name: str) -> None:
        """Down as a default linear layer without its bias; up zero, so the adapter starts at nothing."""
        source.uniform(self.down.weight, f"{name}.down.weight", 1 / math.sqrt(self.down.in_features))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        outputs: Tensor = self.up(self.dropout(self.activate(self.down(tokens))))
        return outputs

    def activate(self, hidden: Tensor) -> Tensor:
        """The activation."""
        return F.gelu(hidden)


class QuickBottleneck(Bottleneck):
    """down, x sigmoid(1.702 x), dropout, up; it does not start at nothing."""

    def __init__(self, width: int, rank: int, dropout: float = 0.0, *, residual: bool = False) -> None:
        super().__init__(width, rank, dropout)
        self.residual = residual

    def initialize(self, source: WeightSource, name: str) -> None:
        """Weights Xavier uniform, biases next to nothing."""
        for part in ("down", "up"):
            layer: nn.Linear = getattr(self, part)
            bound = math.sqrt(6 / (layer.in_features + layer.out_features))
            source.uniform(layer.weight, f"{name}.{part}.weight", bound)
            source.normal(layer.bias, f"{name}.{part}.bias", std=1e-6)

    def activate(self, hidden: Tensor) -> Tensor:
        """An approximation of GELU."""
        return hidden * torch.sigmoid(1.702 * hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width), the tokens themselves added where it is `residual`."""
        outputs = super().forward(tokens)
        return tokens + outputs if self.residual else outputs
