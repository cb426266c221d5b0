"""PointGPT (NeurIPS 2023, arXiv 2305.11487) as it is fine-tuned: a chain of patches, read in one direction.

The sequence is [start, class token, patches], each token sees itself and those before it, and both
residuals of a block start from the NORMALISED value. Two consequences of the released code are kept: the
positions of the first two tokens are the class token's and then the start's, so each has the other's; and
the class token, which stands before all patches, says nothing of the cloud.

The released fine-tuning also has a generator, four more blocks that predict each patch from those before
it, for a loss of its own. PointGST leaves it out, and so is it here: the logits do not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation, Shape
from pointlora_cli.models import official_layouts
from pointlora_cli.models.backbone import Backbone
from pointlora_cli.models.grouping import group
from pointlora_cli.models.official import OfficialNames
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.tokens import Scale, TokenLayout, TokenSequence
from pointlora_cli.models.transformer import Attention, Block, run_blocks
from pointlora_cli.ops.chains import nearest_chain
from pointlora_cli.ops.gathering import gather
from pointlora_cli.specs.backbone import PointGPTSpec, TokenizerSpec

_QUERIES = 2  # start and class token
_TEMPERATURE = 10_000.0


class PointGPTBlock(Block):
    """x <- norm1(x), x <- x + attention(x), x <- x + feed-forward(norm2 x); qkv has a bias."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__(width, heads, drop_path)
        self.attn = Attention(width, heads, qkv_bias=True)

    def forward(self, sequence: TokenSequence, layer: int, adaptation: Adaptation) -> Tensor:
        """A sequence of T tokens -> (B, T, C)."""
        normalized = adaptation.normalized(layer, "norm1", self.norm1(sequence.tokens))
        return self._from_inputs(replace(sequence, tokens=normalized), normalized, layer, adaptation)


def coordinate_waves(points: Tensor, width: int) -> Tensor:
    """Sines and cosines of coordinates (B, N, 3), as positions (B, N, width).

    Each axis has as many channels, an even number, sine and cosine of each frequency side by side; what
    is left of `width` at the end is zero.
    """
    channels = width // 3 // 2 * 2  # of an axis
    exponents = torch.arange(0, channels, 2, device=points.device, dtype=points.dtype) / channels
    angles = (points * (2 * math.pi))[..., None] / _TEMPERATURE**exponents  # (B, N, 3, channels / 2)
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(2)
    return nn.functional.pad(waves, (0, width - waves.shape[-1]))


class PointGPT(Backbone):
    """Clouds (B, N, 3) -> normalised tokens [start, class token | patches in their chain]."""

    official: ClassVar[OfficialNames] = official_layouts.POINT_GPT

    def __init__(self, spec: PointGPTSpec, tokenizer: TokenizerSpec) -> None:
        super().__init__()
        self.width = spec.width
        self.scale = Scale(tokenizer.centers, tokenizer.neighbors)
        self.skip_near_origin = tokenizer.skip_near_origin
        self.patch_encoder = PatchEncoder(spec.width, spec.encoder_widths)
        self.start = nn.Parameter(torch.zeros(spec.width))
        self.start_pos, self.cls_token, self.cls_pos = (
            nn.Parameter(torch.zeros(1, 1, spec.width)) for _ in range(3)
        )
        rates = torch.linspace(0, spec.drop_path, spec.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(PointGPTBlock(spec.width, spec.heads, rate) for rate in rates)
        self.blocks_norm = nn.LayerNorm(spec.width)
        self.norm = nn.LayerNorm(spec.width)

    @property
    def shape(self) -> Shape:
        """What methods must know."""
        rates = tuple(cast("Block", block).drop_path.rate for block in self.blocks)
        return Shape((self.width,) * len(self.blocks), _QUERIES, self.scale.centers, rates)

    @property
    def class_tokens(self) -> list[nn.Parameter]:
        """The class token, its position, and the last norm, which the project counts among what is the head's."""
        return [self.cls_token, self.cls_pos, self.norm.weight, self.norm.bias]

    @property
    def undecayed(self) -> list[nn.Parameter]:
        """The class token; the start has but one dimension."""
        return [self.cls_token]

    def linear(self, layer: int, site: str) -> nn.Linear:
        """A projection of a block: qkv, proj, fc1 or fc2."""
        return cast("Block", self.blocks[layer]).linear(site)

    @property
    def feature_width(self) -> int:
        """Channels of `pool`."""
        return 2 * self.width

    def pool(self, sequence: TokenSequence) -> Tensor:
        """The class token beside the maximum of all behind it, (B, 2 C)."""
        _, queries, others = sequence.tokens.tensor_split([1, sequence.layout.queries], dim=1)
        return torch.cat([queries.flatten(1), others.amax(dim=1)], dim=-1)

    def forward(self, points: Tensor, adaptation: Adaptation) -> TokenSequence:
        """Encode clouds (B, N, 3). An adaptation is asked for no scales.

        Raises:
            ValueError: the grouping asks for more centers or neighbors than there are points.
        """
        sequence = run_blocks(self.blocks, adaptation.enter(self._entered(points), ()), adaptation)
        return adaptation.leave(replace(sequence, tokens=self.norm(self.blocks_norm(sequence.tokens))))

    def patches(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The patches of clouds (B, N, 3) in their chain: centers (B, G, 3), neighborhoods (B, G, K, 3)."""
        (grouping,) = group(points, [self.scale], skip_near_origin=self.skip_near_origin)
        order = nearest_chain(grouping.centers)
        neighborhoods = gather(grouping.neighborhoods.flatten(2), order)
        return gather(grouping.centers, order), neighborhoods.view(grouping.neighborhoods.shape)

    def _entered(self, points: Tensor) -> TokenSequence:
        """What enters the first block."""
        centers, neighborhoods = self.patches(points)
        tokens, statistics = self.patch_encoder(neighborhoods)
        if statistics is not None:
            self.patch_encoder.track(statistics)
        # What the blocks add to stays in the type of the parameters, also where they compute in bfloat16.
        kind = self.norm.weight.dtype
        positions = coordinate_waves(centers, self.width)
        return TokenSequence(
            self._behind([self.start.view(1, 1, -1), self.cls_token], tokens.to(kind)),
            self._behind([self.cls_pos, self.start_pos], positions.to(kind)),
            TokenLayout(queries=_QUERIES, patches=self.scale.centers),
            points,
            centers,
            mask=self._mask(points),
        )

    @staticmethod
    def _behind(first: Sequence[Tensor], values: Tensor) -> Tensor:
        """Values (B, G, C) behind some that are the same for all clouds, (1, 1, C) each."""
        return torch.cat([*(value.expand(len(values), -1, -1) for value in first), values], dim=1)

    def _mask(self, points: Tensor) -> Tensor:
        """Each token may attend to itself and to those before it, (B, 1, T, T)."""
        length = _QUERIES + self.scale.centers
        allowed = torch.ones(length, length, dtype=torch.bool, device=points.device).tril()
        return allowed.expand(len(points), 1, -1, -1)
