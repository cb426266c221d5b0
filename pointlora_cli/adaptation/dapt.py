"""DAPT (CVPR 2024, arXiv 2403.01439): dynamic adapters, scale and shift, and prompts made by the adapters.

SS(x) = gamma x + beta follows every frozen layer of the transformer, each with a gamma and beta of its
own: the patch encoder, both norms of a block, its four projections, and the last norm. In each block an
adapter stands beside the feed-forward network. Its strength s is a scalar of each token:

    u = SS(norm2 x),   v = norm(u),   s = ReLU(w v + b),   a = s up(dropout(GELU(down v))),
    x <- x + drop path(feed-forward(u) + a),   prompt = SS(mean over all tokens of GELU(a)).

The prompt enters the sequence behind the class token, so the next block sees it, and the sequence grows
by one with each block: [class token | newest, ..., oldest prompt | patches]. The positions are added
once, before the first block, where all other methods add them before every block.

The head sees the class token beside the prompts' mean and the patches' maximum; which of the two, the
released options change from data set to data set. The last block's prompt reaches the head in no other
way: without `prompt_pooling` its scale and shift have no gradient, though they count as trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.adaptation.bottleneck import Bottleneck
from pointlora_cli.adaptation.scale_shift import UNFOLDED, ScaleShiftStack
from pointlora_cli.models.tokens import Patches, TokenSequence
from pointlora_cli.specs.method import DAPTMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource

OFFICIAL_PLACES = {
    "norm1": "1",
    "norm2": "2",
    "prompt": "3",
    "qkv": "attn.1",
    "proj": "attn.2",
    "fc1": "mlp.1",
    "fc2": "mlp.2",
}
"""Places of a scale and shift in a block, and the modules and numbers of their official names."""


class DynamicAdapter(nn.Module):
    """A bottleneck whose output each token scales by a strength of its own."""

    def __init__(self, width: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.strength = nn.Linear(width, 1)
        self.bottleneck = Bottleneck(width, rank, dropout)

    def initialize(self, source: WeightSource, name: str) -> None:
        """The bottleneck starts at nothing; the strength as a default linear layer without its bias."""
        nn.init.ones_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)
        bound = 1 / math.sqrt(self.strength.in_features)
        source.uniform(self.strength.weight, f"{name}.strength.weight", bound)
        nn.init.zeros_(self.strength.bias)
        self.bottleneck.initialize(source, f"{name}.bottleneck")

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        normal = self.norm(tokens)
        adapted: Tensor = F.relu(self.strength(normal)) * self.bottleneck(normal)
        return adapted


class DAPT(Adaptation):
    """Adapters that also make prompts, scale and shift everywhere; class token and head train with them."""

    unfolded = UNFOLDED

    def __init__(self, shape: Shape, method: DAPTMethod) -> None:
        super().__init__(shape, method)
        self.method = method
        self.queries = shape.queries
        self.adapters = nn.ModuleList(
            DynamicAdapter(width, method.rank, method.dropout) for width in shape.widths
        )
        self.scale_shift = ScaleShiftStack(shape.widths, {"prompt": 1})

    def initialize(self, source: WeightSource) -> None:
        """Set all of the method's weights."""
        self.scale_shift.initialize(source, "adaptation.scale_shift")
        for layer in range(len(self.adapters)):
            self._adapter(layer).initialize(source, f"adaptation.adapters.{layer}")

    def trained(self, model: AdaptedModel) -> Trained:
        """All own parts, the class token and its position, and the head."""
        return [self, *model.backbone.class_tokens, model.head]

    def _adapter(self, layer: int) -> DynamicAdapter:
        return cast("DynamicAdapter", self.adapters[layer])

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Scale and shift the patches, then add the positions, once for all blocks."""
        assert sequence.positions is not None  # of a backbone that adds them
        tokens = self.scale_shift.enter(sequence).tokens
        return replace(sequence, tokens=tokens + sequence.positions, positions=None)

    def normalized(self, layer: int, place: Literal["norm1", "norm2"], tokens: Tensor) -> Tensor:
        """Scale and shift what a norm gives."""
        shifted: Tensor = self.scale_shift(layer, place, tokens)
        return shifted

    def projection(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Scale and shift what a projection gives."""
        shifted: Tensor = self.scale_shift(layer, site, outputs)
        return shifted

    def feed_forward(self, layer: int, sequence: TokenSequence, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Add the adapter, and note the prompt that it makes."""
        adapted = self._adapter(layer)(inputs)
        prompt = F.gelu(adapted).mean(dim=1, keepdim=True)
        sequence.notes["prompt"] = self.scale_shift(layer, "prompt", prompt)
        total: Tensor = outputs + adapted
        return total

    def block_output(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Put the block's prompt in."""
        return sequence.with_prompts(sequence.notes["prompt"])

    def leave(self, sequence: TokenSequence) -> TokenSequence:
        """Scale and shift what the last norm gives."""
        return self.scale_shift.leave(sequence)

    def pool(self, sequence: TokenSequence, feature: Tensor) -> Tensor:
        """The queries beside the pooled prompts and patches, as far as the spec wants them."""
        queries, prompts, patches, _ = torch.split(sequence.tokens, sequence.layout.sizes, dim=1)
        pooled = [
            part.mean(dim=1) if pooling == "mean" else part.amax(dim=1)
            for part, pooling in zip((prompts, patches), self._poolings(), strict=True)
            if pooling != "none"
        ]
        return torch.cat([queries.flatten(1), *pooled], dim=-1)

    def feature_width(self, width: int, own: int) -> int:
        """F of `pool`."""
        return (self.queries + sum(pooling != "none" for pooling in self._poolings())) * width

    def _poolings(self) -> tuple[str, str]:
        return self.method.prompt_pooling, self.method.patch_pooling

    def official_names(self, depth: int) -> dict[str, str]:
        """Names in the released code, which numbers the scales and shifts of each module from 1."""
        names = {}
        for kind in ("gamma", "beta"):
            names[f"adaptation.scale_shift.patches.{kind}"] = f"tfts_{kind}_1"
            names[f"adaptation.scale_shift.norm.{kind}"] = f"tfts_{kind}_2"
        for layer in range(depth):
            mine, official = f"adaptation.scale_shift.blocks.{layer}", f"blocks.blocks.{layer}"
            for place, where in OFFICIAL_PLACES.items():
                module, _, number = where.rpartition(".")
                for kind in ("gamma", "beta"):
                    names[f"{mine}.{place}.{kind}"] = ".".join(
                        filter(None, (official, module, f"tfts_{kind}_{number}"))
                    )
            for own, theirs in (
                ("norm", "adapter_layer_norm_before"),
                ("strength", "scale"),
                ("bottleneck.down", "down_proj"),
                ("bottleneck.up", "up_proj"),
            ):
                for kind in ("weight", "bias"):
                    names[f"adaptation.adapters.{layer}.{own}.{kind}"] = (
                        f"{official}.Adapter_MLP.{theirs}.{kind}"
                    )
        return names
