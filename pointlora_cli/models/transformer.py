"""Pre-norm transformer blocks that offer their places to an adaptation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Adaptation


class DropPath(nn.Module):
    """Stochastic depth: drops a whole sample's branch, and scales the others to keep the mean."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        if not self.training or self.rate == 0.0:
            return branch
        keep = 1.0 - self.rate
        kept = torch.empty(branch.shape[0], 1, 1, device=branch.device, dtype=branch.dtype).bernoulli_(keep)
        return branch * (kept / keep)


class Attention(nn.Module):
    """Multi-head self-attention; qkv has no bias and is ordered q, k, v, each head-major."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, layer: int, adaptation: Adaptation) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        batch, length, width = tokens.shape
        qkv = adaptation.projection(layer, "qkv", tokens, self.qkv(tokens))
        heads = qkv.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)  # (B, H, T, C/H) each
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(tokens.shape)
        return adaptation.projection(layer, "proj", mixed, self.proj(mixed))


class FeedForward(nn.Module):
    """fc1, GELU, fc2."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, layer: int, adaptation: Adaptation) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        hidden = F.gelu(adaptation.projection(layer, "fc1", tokens, self.fc1(tokens)))
        outputs = adaptation.projection(layer, "fc2", hidden, self.fc2(hidden))
        return adaptation.feed_forward(layer, tokens, outputs)


class Block(nn.Module):
    """x + attention(norm1 x), then x + feed-forward(norm2 x)."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, 4 * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, layer: int, adaptation: Adaptation) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), layer, adaptation))
        outputs: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens), layer, adaptation))
        return outputs
