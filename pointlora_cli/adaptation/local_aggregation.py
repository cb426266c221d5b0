"""Point-PEFT's aggregation of patches: attention in groups of near patches, and the way back to each patch.

With l a local center, N(l) the nearest patches of l, A a small attention and norm a batch norm,

    z = t + A(LayerNorm t) for the tokens t of N(l),   s_l = GELU(norm(max over N(l) of z)) + 0.3 t_l,
    t_i <- t_i + 0.3 sum over l of w_il s_l,   w_il ~ 1 / (|c_i - c_l|^2 + 1e-8),   sum over l of w_il = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.models.transformer import DropPath
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.neighbors import nearest_neighbors, squared_distances
from pointlora_cli.ops.pooling import maximum
from pointlora_cli.ops.sampling import farthest_point_sampling

if TYPE_CHECKING:
    from pointlora_cli.models.initialization import WeightSource

HEADS = 6
HEAD_WIDTH = 3
CENTER_SHARE = 0.3
LOCAL_SHARE = 0.3
_EPSILON = 1e-8


class LocalGroups(NamedTuple):
    """Which patches stand together, and how much of each group comes back to each patch."""

    centers: Tensor  # (B, L) indices of patches
    members: Tensor  # (B, L, K) indices of patches
    weights: Tensor  # (B, G, L)


def local_groups(centers: Tensor, count: int, size: int) -> LocalGroups:
    """Group patches by their centers (B, G, 3): `count` local centers, `size` nearest patches of each."""
    chosen = farthest_point_sampling(centers, count)
    local = gather(centers, chosen)  # (B, L, 3)
    members, _ = nearest_neighbors(local, centers, size)
    inverse = 1 / (squared_distances(centers, local) + _EPSILON)  # (B, G, L)
    return LocalGroups(chosen, members, inverse / inverse.sum(dim=-1, keepdim=True))


def released_gather(values: Tensor, indices: Tensor, stride: int) -> Tensor:
    """As `gather`, with the released code's mistake: rows of cloud b are sought from b `stride` on.

    Args:
        values: (B, N, C); all clouds' rows form one table.
        indices: (B, ...) int64, below `stride`.
        stride: rows that the code believes a cloud to have; fewer than N, it reads other clouds' rows.
    """
    starts = stride * torch.arange(len(values), device=values.device)
    shifted = indices + starts.view(-1, *[1] * (indices.dim() - 1))
    return values.flatten(0, 1)[shifted]


class LocalAttention(nn.Module):
    """Multi-head self-attention of few channels; its scale is of all heads' channels, as in the released code."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * HEADS * HEAD_WIDTH, bias=False)
        self.proj = nn.Linear(HEADS * HEAD_WIDTH, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(R, K, C) -> (R, K, C)."""
        groups, size, _ = tokens.shape
        query, key, value = (
            self.qkv(tokens).view(groups, size, 3, HEADS, HEAD_WIDTH).permute(2, 0, 3, 1, 4).unbind(0)
        )
        scale = (HEADS * HEAD_WIDTH) ** -0.5
        mixed = F.scaled_dot_product_attention(query, key, value, scale=scale)  # (R, H, K, 3)
        outputs: Tensor = self.proj(mixed.transpose(1, 2).reshape(groups, size, -1))
        return outputs


class LocalAggregation(nn.Module):
    """What is one for all blocks; the batch norm and the drop path are each block's own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = LocalAttention(width)

    def initialize(self, source: WeightSource, name: str) -> None:
        """The generic rule."""
        source.linear_normal(self.attention.qkv, f"{name}.attention.qkv")
        source.linear_normal(self.attention.proj, f"{name}.attention.proj")
        nn.init.ones_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def forward(
        self,
        patches: Tensor,
        groups: LocalGroups,
        pick: Callable[[Tensor], Tensor],
        group_norm: nn.Module,
        drop_path: DropPath,
    ) -> Tensor:
        """Patches (B, G, C) -> the same; `pick` gives the tokens (B, ..., C) at indices (B, ...)."""
        members = pick(groups.members).flatten(0, 1)  # (B*L, K, C)
        members = members + drop_path(self.attention(self.norm(members)))
        pooled = F.gelu(group_norm(maximum(members, dim=1))).view(*groups.centers.shape, -1)
        summaries = pooled + CENTER_SHARE * pick(groups.centers)  # (B, L, C)
        return patches + LOCAL_SHARE * (groups.weights.to(summaries.dtype) @ summaries)
