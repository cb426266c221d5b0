"""Point-M2AE (NeurIPS 2022, arXiv 2205.14401) as it is fine-tuned: three levels, from fine to coarse.

The patches of a level are neighbourhoods of the finer level's centers, their tokens are merged from
that level's tokens, and attention reaches only centers that are nearer than the level's radius. There
is no class token. The released networks pool in two ways: mean + max of all tokens (ModelNet40), and
the mean of all beside the max of all but the first (ScanObjectNN).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation, Shape
from pointlora_cli.models import official_layouts
from pointlora_cli.models.backbone import Backbone
from pointlora_cli.models.grouping import group
from pointlora_cli.models.official import OfficialNames
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.positions import embedded
from pointlora_cli.models.tokens import Scale, TokenLayout, TokenSequence
from pointlora_cli.models.transformer import Block, run_blocks
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.neighbors import nearest_neighbors, squared_distances
from pointlora_cli.specs.backbone import PointM2AESpec, TokenizerSpec


class Level(nn.Module):
    """One level: patches -> tokens, the positions of their centers, and the blocks."""

    def __init__(self, patch_encoder: PatchEncoder, width: int, heads: int, drop_paths: list[float]) -> None:
        super().__init__()
        self.width = width
        self.patch_encoder = patch_encoder
        self.position_embedding = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, heads, rate) for rate in drop_paths)

    @property
    def _kind(self) -> torch.dtype:
        """What the blocks add to stays in this type, also where they compute in bfloat16."""
        return next(self.parameters()).dtype

    def encode(self, patches: Tensor) -> Tensor:
        """Patches (B, G, K, I) -> tokens (B, G, C), in the type of the parameters."""
        tokens, statistics = self.patch_encoder(patches)
        if statistics is not None:
            self.patch_encoder.track(statistics)
        encoded: Tensor = tokens.to(self._kind)
        return encoded

    def locate(self, centers: Tensor) -> Tensor:
        """Centers (B, G, 3) -> positions (B, G, C), in the type of the parameters."""
        return embedded(self.position_embedding, centers).to(self._kind)


def reach(centers: Tensor, radius: float) -> Tensor | None:
    """Which centers (B, G, 3) each may attend to, (B, 1, G, G): those nearer than `radius`; None where it is 0."""
    return (squared_distances(centers, centers) < radius**2)[:, None] if radius else None


class PointM2AE(Backbone):
    """Clouds (B, N, 3) -> normalised tokens of the coarsest level; blocks count through all levels."""

    official: ClassVar[OfficialNames] = official_layouts.POINT_M2AE

    def __init__(self, spec: PointM2AESpec, tokenizer: TokenizerSpec) -> None:
        super().__init__()
        self.width = spec.widths[-1]
        self.scales = [Scale(*sizes) for sizes in zip(spec.groups, spec.neighbors, strict=True)]
        self.radii = spec.radii
        self.pooling = spec.pooling
        self.skip_near_origin = tokenizer.skip_near_origin
        rates = torch.linspace(0, spec.drop_path, sum(spec.depths), device="cpu").tolist()
        ends = list(accumulate(spec.depths))
        self.levels = nn.ModuleList(
            Level(encoder, width, spec.heads, rates[end - depth : end])
            for encoder, width, depth, end in zip(
                self._encoders(spec), spec.widths, spec.depths, ends, strict=True
            )
        )
        self.norm = nn.LayerNorm(self.width)

    @staticmethod
    def _encoders(spec: PointM2AESpec) -> list[PatchEncoder]:
        """Of coordinates at the finest level, of the finer level's tokens at the others."""
        fine, middle, coarse = spec.widths
        return [
            PatchEncoder(fine, spec.encoder_widths),
            *(
                PatchEncoder(width, (inputs, inputs, width), inputs)
                for inputs, width in ((fine, middle), (middle, coarse))
            ),
        ]

    @property
    def _levels(self) -> list[Level]:
        return [cast("Level", level) for level in self.levels]

    @property
    def shape(self) -> Shape:
        """What methods must know; the centers are the coarsest level's."""
        widths = tuple(level.width for level in self._levels for _ in level.blocks)
        rates = tuple(cast("Block", block).drop_path.rate for level in self._levels for block in level.blocks)
        return Shape(widths, 0, self.scales[-1].centers, rates)

    @property
    def feature_width(self) -> int:
        """Channels of `pool`."""
        return self.width if self.pooling == "sum" else 2 * self.width

    def linear(self, layer: int, site: str) -> nn.Linear:
        """A projection of a block: qkv, proj, fc1 or fc2."""
        blocks = [block for level in self._levels for block in level.blocks]
        return cast("Block", blocks[layer]).linear(site)

    def pool(self, sequence: TokenSequence) -> Tensor:
        """Mean and maximum of the tokens: summed (B, C), or side by side (B, 2 C)."""
        mean = sequence.tokens.mean(dim=1)
        if self.pooling == "sum":
            return mean + sequence.tokens.amax(dim=1)
        # The released network skips the first token, as if it were a class token.
        return torch.cat([mean, sequence.tokens[:, 1:].amax(dim=1)], dim=-1)

    def forward(self, points: Tensor, adaptation: Adaptation) -> TokenSequence:
        """Encode clouds (B, N, 3). An adaptation enters at the finest level; it is asked for no scales.

        Raises:
            ValueError: a level asks for more centers or neighbors than there are points.
        """
        finest, *coarser = self._levels
        (patches,) = group(points, [self.scales[0]], skip_near_origin=self.skip_near_origin)
        sequence = adaptation.enter(
            self._sequence(0, finest, patches.neighborhoods, points, patches.centers), ()
        )
        sequence = run_blocks(finest.blocks, sequence, adaptation)
        first = len(finest.blocks)
        for number, level in enumerate(coarser, start=1):
            # Farthest-point order is greedy: the centers of fewer are the first of more.
            centers = sequence.centers[:, : self.scales[number].centers]
            neighbors, _ = nearest_neighbors(centers, sequence.centers, self.scales[number].neighbors)
            merged = self._sequence(number, level, gather(sequence.tokens, neighbors), points, centers)
            sequence = run_blocks(level.blocks, replace(merged, notes=sequence.notes), adaptation, first)
            first += len(level.blocks)
        return adaptation.leave(replace(sequence, tokens=self.norm(sequence.tokens)))

    def _sequence(
        self, number: int, level: Level, patches: Tensor, points: Tensor, centers: Tensor
    ) -> TokenSequence:
        """What enters a level's blocks, of its patches (B, G, K, I) and their centers (B, G, 3)."""
        return TokenSequence(
            level.encode(patches),
            level.locate(centers),
            TokenLayout(queries=0, patches=centers.shape[1]),
            points,
            centers,
            mask=reach(centers, self.radii[number]),
        )
