"""PPT, positional prompt tuning (arXiv 2408.11567).

The patches of a second grouping join the end of the sequence, encoded by the same patch encoder and
position embedding, which train in part and in whole. Three small networks P, shared by all blocks, act
in each block, where x is its input with the positions added, and p and e are its patches and extra
tokens:

    p <- p + P_patches(p),   e <- e + P_extra(e),
    x <- x + attention(norm1 x),
    x <- x + feed-forward(norm2 x) + P_all(x),

all terms of the last line from the same x. The head, whose activation is GELU, sees the class token
beside the means of patches and extra tokens.

As in the released code, drop path never drops P_all, the second grouping is the backbone's own unless
the spec says otherwise (the extra tokens then start as copies of the patches), and the head starts by
the generic rule. In part segmentation the released code keeps the last norm and the layer of the
category frozen, and moves the patches' prompt network by one token; here the whole head trains, and
each network acts on its own tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation, HeadName, HeadStart, Shape, Trained
from pointlora_cli.adaptation.prompt_mlp import PromptMLP, prompt_mlp_names, prompted
from pointlora_cli.models.tokens import Patches, Scale, TokenSequence
from pointlora_cli.specs.method import PPTMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource
    from pointlora_cli.models.point_mae import PointMAE

OFFICIAL_PROMPTS = {"patches": "prompt_mlp", "extra": "prompt_pos_mlp", "all": "prompt_all_mlp"}
"""The three networks, and their official names."""


class PPT(Adaptation):
    """The tokens of a second grouping, and prompt MLPs at the input and beside the feed-forward network."""

    head: ClassVar[HeadName | None] = "mlp3-gelu"
    head_start: ClassVar[HeadStart] = "normal"

    def __init__(self, shape: Shape, method: PPTMethod) -> None:
        super().__init__(shape, method)
        self.method = method
        self.queries = shape.queries
        self.prompts = nn.ModuleDict(
            {part: PromptMLP(shape.width, method.width, shape.width) for part in OFFICIAL_PROMPTS}
        )

    def initialize(self, source: WeightSource) -> None:
        """Set the prompt MLPs."""
        for part in OFFICIAL_PROMPTS:
            self._prompt(part).initialize(source, f"adaptation.prompts.{part}")

    def trained(self, model: AdaptedModel) -> Trained:
        """The prompt MLPs, the first half of the patch encoder, the position embedding, class token and head."""
        backbone = cast("PointMAE", model.backbone)  # the spec lets it be no other kind
        return [
            self.prompts,
            backbone.patch_encoder.first,
            backbone.position_embedding,
            *backbone.class_tokens,
            model.head,
        ]

    def official_names(self, depth: int) -> dict[str, str]:
        """The prompt MLPs belong to the stack of blocks."""
        names: dict[str, str] = {}
        for part, official in OFFICIAL_PROMPTS.items():
            names |= prompt_mlp_names(f"adaptation.prompts.{part}", f"blocks.{official}")
        return names

    def scales(self, own: Scale) -> Sequence[Scale]:
        """The second grouping."""
        return [Scale(self.method.centers or own.centers, self.method.neighbors or own.neighbors)]

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Append the patches of the second grouping."""
        (extra,) = patches
        return sequence.with_extra(extra.tokens, extra.positions)

    def block_input(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Pass the patches and the extra tokens through their prompt MLPs, residually."""
        return prompted(sequence, self._prompt("patches"), self._prompt("extra"))

    def join(self, layer: int, sequence: TokenSequence, branch: Tensor) -> Tensor:
        """Add the third prompt MLP, of all tokens after attention."""
        joined: Tensor = sequence.tokens + branch + self._prompt("all")(sequence.tokens)
        return joined

    def pool(self, sequence: TokenSequence, feature: Tensor) -> Tensor:
        """The queries beside the means of patches and of extra tokens."""
        queries, _, patches, extra = torch.split(sequence.tokens, sequence.layout.sizes, dim=1)
        return torch.cat([queries.flatten(1), patches.mean(dim=1), extra.mean(dim=1)], dim=-1)

    def feature_width(self, width: int, own: int) -> int:
        """Each query, and two means."""
        return (self.queries + 2) * width

    def _prompt(self, part: str) -> PromptMLP:
        prompt = self.prompts[part]
        assert isinstance(prompt, PromptMLP)
        return prompt
