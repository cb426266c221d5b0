"""The bottleneck of adapters: few channels between two linear layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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
        outputs: Tensor = self.up(self.dropout(F.gelu(self.down(tokens))))
        return outputs
