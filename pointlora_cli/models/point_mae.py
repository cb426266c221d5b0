"""Point-MAE (ECCV 2022) as it is fine-tuned, and the backbones that share its network."""

from __future__ import annotations

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
from pointlora_cli.models.positions import embedded
from pointlora_cli.models.tokens import Patches, Scale, TokenLayout, TokenSequence
from pointlora_cli.models.transformer import Block, run_blocks
from pointlora_cli.specs.backbone import PlainBackboneSpec, TokenizerSpec


class PointMAE(Backbone):
    """Clouds (B, N, 3) -> normalised tokens [class token | prompts | patches | what the adaptation added].

    Pre-training and part segmentation know no class token.
    """

    official: ClassVar[OfficialNames] = official_layouts.POINT_MAE

    def __init__(
        self, spec: PlainBackboneSpec, tokenizer: TokenizerSpec, *, class_token: bool = True
    ) -> None:
        super().__init__()
        width = spec.width
        self.width = width
        self.scale = Scale(tokenizer.centers, tokenizer.neighbors)
        self.skip_near_origin = tokenizer.skip_near_origin
        self.patch_encoder = PatchEncoder(width, spec.encoder_widths)
        self.position_embedding = nn.Sequential(
            nn.Linear(3, spec.position_width), nn.GELU(), nn.Linear(spec.position_width, width)
        )
        self.cls_token, self.cls_pos = (
            nn.Parameter(torch.zeros(1, 1, width)) if class_token else None for _ in range(2)
        )
        rates = torch.linspace(0, spec.drop_path, spec.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(self._block(spec, rate) for rate in rates)
        self.norm = nn.LayerNorm(width)

    def _block(self, spec: PlainBackboneSpec, drop_path: float) -> nn.Module:
        return Block(spec.width, spec.heads, drop_path)

    @property
    def shape(self) -> Shape:
        """What methods must know."""
        rates = tuple(cast("Block", block).drop_path.rate for block in self.blocks)
        return Shape((self.width,) * len(self.blocks), len(self.queries), self.scale.centers, rates)

    @property
    def queries(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """The learned tokens (1, 1, C) that stand for the whole cloud, each with its position."""
        return self._class_query()

    def _class_query(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        if self.cls_token is None or self.cls_pos is None:
            return []
        return [(self.cls_token, self.cls_pos)]

    @property
    def class_tokens(self) -> list[nn.Parameter]:
        """What trains with a probe: the class token and its position, where there is one."""
        return [parameter for parameter in (self.cls_token, self.cls_pos) if parameter is not None]

    @property
    def undecayed(self) -> list[nn.Parameter]:
        """Parameters of more than one dimension without weight decay: learned tokens (not their positions)."""
        return [token for token, _ in self.queries]

    def linear(self, layer: int, site: str) -> nn.Linear:
        """A projection of a block: qkv, proj, fc1 or fc2."""
        return cast("Block", self.blocks[layer]).linear(site)

    @property
    def feature_width(self) -> int:
        """Channels of `pool`."""
        return (len(self.queries) + 1) * self.width

    def pool(self, sequence: TokenSequence) -> Tensor:
        """The queries beside the maximum of all other tokens, (B, (Q + 1) C)."""
        queries, others = sequence.tokens.tensor_split([sequence.layout.queries], dim=1)
        return torch.cat([queries.flatten(1), others.amax(dim=1)], dim=-1)

    def forward(self, points: Tensor, adaptation: Adaptation) -> TokenSequence:
        """Encode clouds (B, N, 3).

        Raises:
            ValueError: a grouping asks for more centers or neighbors than there are points.
        """
        sequence = run_blocks(self.blocks, self._entered(points, adaptation), adaptation)
        return self.finished(sequence, adaptation)

    def block_outputs(
        self, points: Tensor, adaptation: Adaptation, layers: Sequence[int]
    ) -> list[TokenSequence]:
        """What leaves some blocks, in ascending order, on the way of clouds (B, N, 3); not normalised.

        Raises:
            ValueError: a grouping asks for more centers or neighbors than there are points.
        """
        outputs, blocks, done = [], list(self.blocks), 0
        sequence = self._entered(points, adaptation)
        for layer in layers:
            sequence = run_blocks(blocks[done : layer + 1], sequence, adaptation, first=done)
            outputs.append(sequence)
            done = layer + 1
        return outputs

    def finished(self, sequence: TokenSequence, adaptation: Adaptation) -> TokenSequence:
        """What leaves a block, normalised."""
        return adaptation.leave(replace(sequence, tokens=self.norm(sequence.tokens)))

    def _entered(self, points: Tensor, adaptation: Adaptation) -> TokenSequence:
        """What enters the first block."""
        own, *wanted = self.patches(points, [self.scale, *adaptation.scales(self.scale)])
        batch, queries = len(points), self.queries
        sequence = TokenSequence(
            torch.cat([*(token.expand(batch, -1, -1) for token, _ in queries), own.tokens], dim=1),
            torch.cat([*(position.expand(batch, -1, -1) for _, position in queries), own.positions], dim=1),
            TokenLayout(queries=len(queries), patches=self.scale.centers),
            points,
            own.centers,
        )
        return adaptation.enter(sequence, wanted)

    def _bridged(self, tokens: Tensor) -> Tensor:
        """What the patch encoder gives (B, G, E), as the transformer takes it (B, G, C)."""
        return tokens

    def patches(self, points: Tensor, scales: list[Scale]) -> list[Patches]:
        """Group and encode each distinct scale once, whoever asked for it."""
        distinct = list(dict.fromkeys(scales))
        groupings = group(points, distinct, skip_near_origin=self.skip_near_origin)
        counts = [scale.centers for scale in distinct]
        most = groupings[counts.index(max(counts))].centers
        positions = embedded(self.position_embedding, most)  # (B, most, C)
        encoded = [self.patch_encoder(grouping.neighborhoods) for grouping in groupings]
        if self.training:
            for scale in scales:  # each request counts, as each is a pass in the official code
                self.patch_encoder.track(encoded[distinct.index(scale)][1])
        # What the blocks add to stays in the type of the parameters, also where they compute in bfloat16.
        kind = self.norm.weight.dtype
        patches = {
            scale: Patches(
                grouping.centers, self._bridged(tokens).to(kind), positions[:, : scale.centers].to(kind)
            )
            for scale, grouping, (tokens, _) in zip(distinct, groupings, encoded, strict=True)
        }
        return [patches[scale] for scale in scales]


class ACT(PointMAE):
    """ACT (ICLR 2023): the same network from another pre-training, its class token included."""

    official: ClassVar[OfficialNames] = official_layouts.ACT


class ReConPlain(PointMAE):
    """ReCon's patch weights in plain blocks: what "ReCon" stands for in PPT, PointGST and others."""

    official: ClassVar[OfficialNames] = official_layouts.RECON_PLAIN
