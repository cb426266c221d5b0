"""Pre-norm transformer blocks that offer their places to an adaptation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models.tokens import TokenSequence


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
    """Multi-head self-attention; qkv is ordered q, k, v, each head-major."""

    def __init__(self, width: int, heads: int, *, qkv_bias: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(
        self, tokens: Tensor, layer: int, adaptation: Adaptation, mask: Tensor | None = None
    ) -> Tensor:
        """(B, T, C) -> (B, T, C); each token attends to those that `mask` (B, 1, T, T) allows, or to all."""
        batch, length, width = tokens.shape
        qkv = adaptation.projection(layer, "qkv", tokens, self.qkv(tokens))
        heads = qkv.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)  # (B, H, T, C/H) each
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed = mixed.transpose(1, 2).reshape(tokens.shape)
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
        return adaptation.projection(layer, "fc2", hidden, self.fc2(hidden))


class PlainFeedForward(nn.Module):
    """fc1, GELU, fc2, where no adaptation reaches."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        outputs: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return outputs


class Block(nn.Module):
    """x + attention(norm1 x), then x + feed-forward(norm2 x)."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, 4 * width)
        self.drop_path = DropPath(drop_path)
        self.recompute = False  # in the backward pass, instead of keeping what it needs

    def linear(self, site: str) -> nn.Linear:
        """The layer of a projection: qkv, proj, fc1 or fc2."""
        return cast("nn.Linear", getattr(self.attn if site in {"qkv", "proj"} else self.mlp, site))

    def forward(self, sequence: TokenSequence, layer: int, adaptation: Adaptation) -> Tensor:
        """A sequence of T tokens -> (B, T, C)."""
        inputs = adaptation.normalized(layer, "norm1", self.norm1(sequence.tokens))
        return self._from_inputs(sequence, inputs, layer, adaptation)

    def _from_inputs(
        self, sequence: TokenSequence, inputs: Tensor, layer: int, adaptation: Adaptation
    ) -> Tensor:
        """A sequence of T tokens, and what attention takes for them (B, T, C) -> (B, T, C)."""
        mixed = self.attn(inputs, layer, adaptation, sequence.mask)
        sequence = replace(
            sequence,
            tokens=sequence.tokens + (self.drop_path(mixed) if adaptation.drops_attention else mixed),
        )
        inputs = adaptation.normalized(layer, "norm2", self.norm2(sequence.tokens))
        branch = adaptation.feed_forward(layer, sequence, inputs, self.mlp(inputs, layer, adaptation))
        return adaptation.join(layer, sequence, self.drop_path(branch))


def run_blocks(
    blocks: Iterable[nn.Module], sequence: TokenSequence, adaptation: Adaptation, first: int = 0
) -> TokenSequence:
    """Pass a sequence through blocks, which count from `first`; its positions are added before each."""
    for layer, block in enumerate(blocks, start=first):
        sequence = adaptation.before_block(layer, sequence)
        if sequence.positions is not None:
            sequence = replace(sequence, tokens=sequence.tokens + sequence.positions)
        sequence = adaptation.block_input(layer, sequence)
        sequence = replace(sequence, tokens=_passed(block, sequence, layer, adaptation))
        sequence = adaptation.block_output(layer, sequence)
    return sequence


def _passed(block: nn.Module, sequence: TokenSequence, layer: int, adaptation: Adaptation) -> Tensor:
    """What a block makes of a sequence of T tokens, (B, T, C)."""
    if not (block.recompute and torch.is_grad_enabled()):
        outputs: Tensor = block(sequence, layer, adaptation)
        return outputs

    def passed(tokens: Tensor) -> Tensor:
        outputs: Tensor = block(replace(sequence, tokens=tokens), layer, adaptation)
        return outputs

    # The tokens stand by themselves, since it is by its arguments that the device's generator is found and kept.
    again: Tensor = checkpoint(passed, sequence.tokens, use_reentrant=False)
    return again
