"""Where a patch is, as a token."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def embedded(embedding: nn.Sequential, centers: Tensor) -> Tensor:
    """Centers (B, G, 3) through linear, GELU, linear -> (B, G, C); the coordinates keep float32 in autocast."""
    with torch.autocast(centers.device.type, enabled=False):
        hidden = embedding[0](centers)
    positions: Tensor = embedding[2](embedding[1](hidden))
    return positions
