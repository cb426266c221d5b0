"""What predicts hidden patches from those that were seen: a few blocks, then one linear layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models.initialization import WeightSource
from pointlora_cli.models.positions import embedded
from pointlora_cli.models.tokens import TokenLayout, TokenSequence
from pointlora_cli.models.transformer import Block, run_blocks
from pointlora_cli.specs.backbone import PlainBackboneSpec
from pointlora_cli.specs.pretraining import MaskingSpec


class MaskedDecoder(nn.Module):
    """Tokens of visible patches (B, V, C) -> tokens of the hidden ones (B, H, C).

    One learned token stands for every hidden patch; its position, of an embedding apart from the backbone's, says
    which one it is.
    """

    def __init__(self, backbone: PlainBackboneSpec, masking: MaskingSpec) -> None:
        super().__init__()
        width, hidden = backbone.width, backbone.position_width
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embedding = nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, width))
        rates = torch.linspace(0, masking.decoder_drop_path, masking.decoder_depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(width, masking.decoder_heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(width)

    def initialize(self, source: WeightSource, name: str) -> None:
        """Blocks by Glorot's rule, the position embedding as PyTorch does, the token by the generic rule."""
        source.normal(self.mask_token, f"{name}.mask_token")
        for part, module in self.named_modules(prefix=name):
            if not isinstance(module, nn.Linear):
                continue
            if part.startswith(f"{name}.position_embedding."):
                source.linear_uniform(module, part)
                continue
            source.uniform(module.weight, f"{part}.weight", math.sqrt(6 / sum(module.weight.shape)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, seen: TokenSequence, centers: Tensor, idle: Adaptation) -> Tensor:
        """Predict the tokens of the hidden patches.

        Args:
            seen: the visible patches, V normalised tokens and nothing else.
            centers: (B, V + H, 3) of all patches, the visible ones first.
            idle: an adaptation that does nothing in the blocks.

        Returns:
            (B, H, C), normalised.
        """
        batch, visible, _ = seen.tokens.shape
        hidden = centers.shape[1] - visible
        kind = self.norm.weight.dtype
        tokens = torch.cat([seen.tokens.to(kind), self.mask_token.expand(batch, hidden, -1)], dim=1)
        positions = embedded(self.position_embedding, centers).to(kind)
        layout = TokenLayout(queries=0, patches=visible + hidden)
        sequence = run_blocks(
            self.blocks, TokenSequence(tokens, positions, layout, seen.points, centers), idle
        )
        predicted: Tensor = self.norm(sequence.tokens[:, visible:])
        return predicted
