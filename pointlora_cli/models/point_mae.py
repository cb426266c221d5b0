"""The Point-MAE encoder (ECCV 2022) as it is fine-tuned."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models.grouping import group
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.tokens import Patches, Scale, TokenLayout, TokenSequence
from pointlora_cli.models.transformer import Block
from pointlora_cli.specs.backbone import BackboneSpec, TokenizerSpec


class PointMAE(nn.Module):
    """Clouds (B, N, 3) -> normalised tokens [class token | patches | what the adaptation added]."""

    def __init__(self, spec: BackboneSpec, tokenizer: TokenizerSpec) -> None:
        super().__init__()
        width = spec.width
        self.width = width
        self.scale = Scale(tokenizer.centers, tokenizer.neighbors)
        self.skip_near_origin = tokenizer.skip_near_origin
        self.patch_encoder = PatchEncoder(width, spec.encoder_widths)
        self.position_embedding = nn.Sequential(
            nn.Linear(3, spec.position_width), nn.GELU(), nn.Linear(spec.position_width, width)
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_pos = nn.Parameter(torch.zeros(1, 1, width))
        rates = torch.linspace(0, spec.drop_path, spec.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(width, spec.heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(width)

    def forward(self, points: Tensor, adaptation: Adaptation) -> TokenSequence:
        """Encode clouds (B, N, 3).

        Raises:
            ValueError: a grouping asks for more centers or neighbors than there are points.
        """
        own, *wanted = self._patches(points, [self.scale, *adaptation.scales(self.scale)])
        batch = points.shape[0]
        sequence = TokenSequence(
            torch.cat([self.cls_token.expand(batch, -1, -1), own.tokens], dim=1),
            torch.cat([self.cls_pos.expand(batch, -1, -1), own.positions], dim=1),
            TokenLayout(queries=1, patches=self.scale.centers, extra=0),
        )
        sequence = adaptation.enter(sequence, wanted)
        tokens = sequence.tokens
        for layer, block in enumerate(self.blocks):
            tokens = adaptation.block_input(layer, tokens + sequence.positions, sequence.layout)
            tokens = block(tokens, layer, adaptation)
            tokens = adaptation.block_output(layer, tokens, sequence.layout)
        return replace(sequence, tokens=self.norm(tokens))

    def _patches(self, points: Tensor, scales: list[Scale]) -> list[Patches]:
        """Group and encode each distinct scale once, whoever asked for it."""
        distinct = list(dict.fromkeys(scales))
        groupings = group(points, distinct, skip_near_origin=self.skip_near_origin)
        most = max(groupings, key=lambda grouping: grouping.centers.shape[1])
        with torch.autocast(points.device.type, enabled=False):
            hidden = self.position_embedding[0](most.centers)  # coordinates keep float32
        positions = self.position_embedding[2](self.position_embedding[1](hidden))  # (B, most, C)
        encoded = [self.patch_encoder(grouping.neighborhoods) for grouping in groupings]
        if self.training:
            for scale in scales:  # each request counts, as each is a pass in the official code
                self.patch_encoder.track(encoded[distinct.index(scale)][1])
        # What the blocks add to stays in the type of the parameters, also where they compute in bfloat16.
        kind = self.cls_token.dtype
        patches = {
            scale: Patches(grouping.centers, tokens.to(kind), positions[:, : scale.centers].to(kind))
            for scale, grouping, (tokens, _) in zip(distinct, groupings, encoded, strict=True)
        }
        return [patches[scale] for scale in scales]
