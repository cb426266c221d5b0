"""Point-PEFT (AAAI 2024, arXiv 2310.03059): a prompt from prior knowledge, and geometry-aware adapters.

A frozen copy of the pre-trained network, the prior, gives a feature f of each cloud. A bank holds the
normalised features K of the training clouds. With V the k columns of K nearest to f / |f|, and w the
softmax of their cosines,

    prompt of block i = dropout(e_i) + P_i([f, w V, V]),   P_i(x) = x + up(dropout(act(down x))).

The first blocks have such prompts, behind the class token and without positions; each block takes its
own away again. Every block does, after attention,

    y = drop path(feed-forward(norm2 x)),   x <- x + y + 0.7 A_i(y),

then aggregates near patches (`local_aggregation`), and passes all tokens through a residual adapter.
Act is x sigmoid(1.702 x). The biases of the frozen projections and norms train too, qkv having none.

The bank is a buffer, and so in the adapter: a trained model needs no training data. While a training
cloud is learned, its own feature is in the bank, as in the released code. The prior is the base's own
weights, and in no adapter.

In the released code the blocks with prompts look for a patch's neighbours at places of other tokens and
of other clouds of the batch, among centers that are sampled from the cloud and learned prompt points.
Here each patch finds those of its own cloud, unless `gather` says otherwise; then only do the prompt
points have a use. They are there to train either way, like a gate of each block that is never used, and
the prompts of the blocks that have none: the published count holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.adaptation.bottleneck import QuickBottleneck
from pointlora_cli.adaptation.local_aggregation import (
    LocalAggregation,
    LocalGroups,
    local_groups,
    released_gather,
)
from pointlora_cli.adaptation.prior import Prior
from pointlora_cli.models.tokens import Patches, Scale, TokenSequence
from pointlora_cli.models.transformer import Block, DropPath
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.method import PointPEFTMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.backbone import Backbone
    from pointlora_cli.models.initialization import WeightSource
    from pointlora_cli.models.point_mae import PointMAE

BANK = "adaptation.bank"
BRANCH_SHARE = 0.7
OFFICIAL_ADAPTERS = {"prompt": "cp_adapter", "branch": "adapter", "output": "adapter1"}


class PointPEFTBlock(nn.Module):
    """What one block gets."""

    def __init__(self, width: int, drop_path: float, method: PointPEFTMethod) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.empty(method.tokens, width))
        self.gate = nn.Parameter(torch.empty(1))
        self.dropout = nn.Dropout(method.dropout)
        self.prompt = QuickBottleneck(width, method.prompt_width, method.dropout, residual=True)
        self.branch = QuickBottleneck(width, method.width, method.dropout)
        self.output = QuickBottleneck(width, method.width, method.dropout, residual=True)
        self.group_norm = nn.BatchNorm1d(width)
        self.drop_path = DropPath(drop_path)

    def initialize(self, source: WeightSource, name: str) -> None:
        """Set all of it; the gate starts at 0."""
        source.normal(self.embeddings, f"{name}.embeddings")
        nn.init.zeros_(self.gate)
        nn.init.ones_(self.group_norm.weight)
        nn.init.zeros_(self.group_norm.bias)
        for part in OFFICIAL_ADAPTERS:
            cast("QuickBottleneck", getattr(self, part)).initialize(source, f"{name}.{part}")


class PointPEFT(Adaptation):
    """Prompts from a bank, adapters, local aggregation, and biases."""

    drops_attention: ClassVar[bool] = False
    bank: Tensor  # (C, n), columns of norm 1

    def __init__(self, shape: Shape, method: PointPEFTMethod) -> None:
        super().__init__(shape, method)
        self.method = method
        self.width = shape.width
        self.local_centers = method.local_centers or max(1, shape.centers // 2)
        self.prior: Prior | None = None
        rates = shape.drop_paths or (0.0,) * shape.depth
        self.blocks = nn.ModuleList(PointPEFTBlock(shape.width, rate, method) for rate in rates)
        self.aggregation = LocalAggregation(shape.width)
        self.points = nn.Parameter(torch.empty(method.tokens, 3))
        self.register_buffer("bank", torch.zeros(shape.width, 0))

    def initialize(self, source: WeightSource) -> None:
        """Set all of the method's weights; the bank stays empty."""
        for layer in range(len(self.blocks)):
            self._block(layer).initialize(source, f"adaptation.blocks.{layer}")
        self.aggregation.initialize(source, "adaptation.aggregation")
        source.normal(self.points, "adaptation.points")

    def start_from(self, backbone: Backbone) -> None:
        """Keep a copy as the prior."""
        scale = Scale(self.method.prior.centers, self.method.prior.neighbors)
        self.prior = Prior(cast("PointMAE", backbone), scale)  # the spec lets it be no other kind

    def fill_bank(self, features: Tensor) -> None:
        """Keep the prior's features (n, C) of the training clouds.

        Raises:
            ValueError: they are fewer than a prompt takes from the bank.
        """
        if len(features) < self.nearest:
            raise ValueError(f"the bank needs {self.nearest} features, not {len(features)}")
        self.bank = F.normalize(features, dim=-1).T.contiguous().to(self.bank)

    def resize(self, sizes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for another bank, if it can be one."""
        size = sizes.get(BANK, ())
        if len(size) == len(self.bank.shape) and size[0] == self.width and size[1] >= self.nearest:
            self.bank = self.bank.new_zeros(size)

    @property
    def nearest(self) -> int:
        """Features that a prompt takes from the bank."""
        return self.method.tokens - 2

    def trained(self, model: AdaptedModel) -> Trained:
        """All own parts, biases of the blocks, class token and its position, the last norm, and the head."""
        backbone = cast("PointMAE", model.backbone)
        biases = [
            layer.bias
            for block in (cast("Block", block) for block in backbone.blocks)
            for layer in (block.norm1, block.norm2, block.attn.proj, block.mlp.fc1, block.mlp.fc2)
        ]
        return [self, *biases, *backbone.class_tokens, backbone.norm, model.head]

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Note what the bank says of each cloud, and which patches are near each other."""
        notes = {"prompt": self._retrieved(sequence.points)}
        notes |= self._groups(sequence.centers)._asdict()
        if self._is_misaligned:
            own = self.points.expand(len(sequence.points), -1, -1).to(sequence.points.dtype)
            cloud = torch.cat([own, sequence.points], dim=1)
            chosen = farthest_point_sampling(cloud, sequence.layout.patches)
            released = self._groups(gather(cloud, chosen))._asdict()
            notes |= {f"released {name}": value for name, value in released.items()}
        return replace(sequence, notes=notes)

    def _groups(self, centers: Tensor) -> LocalGroups:
        return local_groups(centers, self.local_centers, self.method.local_neighbors)

    def _retrieved(self, points: Tensor) -> Tensor:
        """Clouds (B, N, 3) -> their own features, a summary of the nearest in the bank, and those, (B, T, C)."""
        assert self.prior is not None  # the base was loaded
        with torch.autocast(points.device.type, enabled=False):
            own = self.prior(points).to(self.bank.dtype)
            cosines, indices = (F.normalize(own, dim=-1) @ self.bank).topk(self.nearest, dim=-1)
            near = self.bank.T[indices]  # (B, k, C)
            summary = cosines.softmax(dim=-1)[:, None] @ near
            return torch.cat([own[:, None], summary, near], dim=1)

    def block_input(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Put the block's prompts in."""
        if layer >= self.method.prompted_layers:
            return sequence
        block = self._block(layer)
        prompts = block.dropout(block.embeddings) + block.prompt(sequence.notes["prompt"])
        return sequence.with_prompts(prompts, torch.zeros_like(prompts))

    def join(self, layer: int, sequence: TokenSequence, branch: Tensor) -> Tensor:
        """Add the adapter of the feed-forward branch."""
        joined: Tensor = sequence.tokens + branch + BRANCH_SHARE * self._block(layer).branch(branch)
        return joined

    def block_output(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Aggregate near patches, take the prompts away, and adapt what is left."""
        notes, layout = sequence.notes, sequence.layout
        queries, prompts, patches, _ = torch.split(sequence.tokens, layout.sizes, dim=1)
        if layout.prompts and self._is_misaligned:
            groups = LocalGroups(*(notes[f"released {name}"] for name in LocalGroups._fields))
            pick = partial(released_gather, torch.cat([prompts, patches], dim=1), stride=layout.patches)
        else:
            groups = LocalGroups(*(notes[name] for name in LocalGroups._fields))
            pick = partial(gather, patches)
        block = self._block(layer)
        patches = self.aggregation(patches, groups, pick, block.group_norm, block.drop_path)
        kept = block.output(torch.cat([queries, patches], dim=1))
        return replace(sequence.without_prompts(), tokens=kept)

    @property
    def _is_misaligned(self) -> bool:
        return self.method.gather == "released" and self.method.prompted_layers > 0

    def _block(self, layer: int) -> PointPEFTBlock:
        return cast("PointPEFTBlock", self.blocks[layer])

    def official_names(self, depth: int) -> dict[str, str]:
        """Names in the released code; its bank is a file of its own, whose only entry has no name."""
        names = {"adaptation.points": "prompt_cor", BANK: "bank"}
        for own, official in (
            ("norm.weight", "norm3.weight"),
            ("norm.bias", "norm3.bias"),
            ("attention.qkv.weight", "attn1.qkv.weight"),
            ("attention.proj.weight", "attn1.proj.weight"),
            ("attention.proj.bias", "attn1.proj.bias"),
        ):
            names[f"adaptation.aggregation.{own}"] = f"blocks.{official}"
        for layer in range(depth):
            mine, official = f"adaptation.blocks.{layer}", f"blocks.blocks.{layer}"
            names[f"{mine}.embeddings"] = f"{official}.prompt_embeddings"
            names[f"{mine}.gate"] = f"{official}.ad_gate"
            for part, name in OFFICIAL_ADAPTERS.items():
                for own, theirs in (("down", "ln1"), ("up", "ln2")):
                    for kind in ("weight", "bias"):
                        names[f"{mine}.{part}.{own}.{kind}"] = f"{official}.{name}.{theirs}.{kind}"
            for entry in self._block(layer).group_norm.state_dict():
                names[f"{mine}.group_norm.{entry}"] = f"{official}.out_transform.0.{entry}"
        return names
