"""A scale and a shift for each channel (SSF, NeurIPS 2022), as DAPT puts them after its backbone's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pointlora_cli.models.initialization import WeightSource


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
