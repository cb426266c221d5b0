"""ReCon (ICML 2023) as it is fine-tuned: a stream of patches, and one of queries that look at them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models import official_layouts
from pointlora_cli.models.official import OfficialNames
from pointlora_cli.models.point_mae import PointMAE
from pointlora_cli.models.tokens import TokenSequence
from pointlora_cli.models.transformer import Block, PlainFeedForward
from pointlora_cli.specs.backbone import PlainBackboneSpec, ReConSpec, TokenizerSpec


class CrossAttention(nn.Module):
    """Queries (B, Q, C) look at patches (B, G, C); q and kv have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, queries: Tensor, patches: Tensor) -> Tensor:
        """(B, Q, C) -> (B, Q, C)."""
        batch, count, width = queries.shape
        query = self.q(queries).view(batch, count, self.heads, -1).transpose(1, 2)
        key, value = (
            self.kv(patches).view(batch, -1, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(queries.shape)
        looked: Tensor = self.proj(mixed)
        return looked


class ReConBlock(Block):
    """Both residuals start from the NORMALISED value: x <- norm(x), x <- x + f(x).

    The patches never see the queries. The places of an adaptation are those of the patches' branch.
    """

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__(width, heads, drop_path)
        self.norm1_contrast = nn.LayerNorm(width)
        self.attn_contrast = CrossAttention(width, heads)
        self.norm2_contrast = nn.LayerNorm(width)
        self.mlp_contrast = PlainFeedForward(width, 4 * width)

    def forward(self, sequence: TokenSequence, layer: int, adaptation: Adaptation) -> Tensor:
        """A sequence of T tokens -> (B, T, C)."""
        queries, patches = sequence.tokens.tensor_split([sequence.layout.queries], dim=1)
        patches = adaptation.normalized(layer, "norm1", self.norm1(patches))
        queries = self.norm1_contrast(queries)
        queries = queries + self.drop_path(self.attn_contrast(queries, patches))
        patches = patches + self.drop_path(self.attn(patches, layer, adaptation))
        patches = adaptation.normalized(layer, "norm2", self.norm2(patches))
        queries = self.norm2_contrast(queries)
        queries = queries + self.drop_path(self.mlp_contrast(queries))
        sequence = replace(sequence, tokens=patches)
        branch = adaptation.feed_forward(layer, sequence, patches, self.mlp(patches, layer, adaptation))
        patches = adaptation.join(layer, sequence, self.drop_path(branch))
        return torch.cat([queries, patches], dim=1)


class ReCon(PointMAE):
    """Clouds (B, N, 3) -> normalised tokens [class, image and text query | patches]."""

    official: ClassVar[OfficialNames] = official_layouts.RECON

    def __init__(self, spec: ReConSpec, tokenizer: TokenizerSpec) -> None:
        super().__init__(spec, tokenizer)
        self.img_token, self.img_pos, self.text_token, self.text_pos = (
            nn.Parameter(torch.zeros(1, 1, spec.width)) for _ in range(4)
        )

    def _block(self, spec: PlainBackboneSpec, drop_path: float) -> nn.Module:
        return ReConBlock(spec.width, spec.heads, drop_path)

    @property
    def queries(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """Class, image and text, each with its position."""
        return [
            *self._class_query(),
            (self.img_token, self.img_pos),
            (self.text_token, self.text_pos),
        ]
