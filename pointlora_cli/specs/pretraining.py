"""Masked pre-training: how much is hidden, and what predicts it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pointlora_cli.specs.backbone import PlainBackboneSpec, TokenizerSpec
from pointlora_cli.specs.base import Spec

Distance = Literal["chamfer-l2", "chamfer-l1"]


class MaskingSpec(Spec):
    """Masked point modelling, after Point-MAE (ECCV 2022); the decoder is as wide as the backbone."""

    ratio: float = Field(
        default=0.6, gt=0, lt=1, description="Share of the patches that are hidden, rounded down to a count."
    )
    decoder_depth: int = Field(
        default=4, ge=1, le=64, description="Transformer blocks that predict the hidden."
    )
    decoder_heads: int = Field(default=6, ge=1, le=64, description="Their heads; must divide the width.")
    decoder_drop_path: float = Field(
        default=0.1, ge=0, lt=1, description="Stochastic depth of the last of them."
    )
    distance: Distance = Field(
        default="chamfer-l2",
        description="Between predicted and true points of a hidden patch: Chamfer of squared distances, or of "
        "distances.",
    )

    stored_points: int | None = Field(
        default=None,
        ge=8,
        le=65536,
        description="Points of a training cloud that are kept in memory, of which each step draws data.points at "
        "random; null: all of a data set that has a fixed number (8,192 of ModelNet40 and ShapeNet-55), else twice "
        "data.points.",
    )
    probe: bool = Field(
        default=True,
        description="Tell at each evaluation how well a linear classifier does on the features: ridge regression in "
        "closed form, on the data's own classes, else on the built-in shapes.",
    )

    def hidden(self, centers: int) -> int:
        """How many of a cloud's patches are hidden."""
        return int(self.ratio * centers)

    def problems(self, backbone: PlainBackboneSpec, tokenizer: TokenizerSpec) -> list[str]:
        """What does not fit the rest of the spec, each in words that start with the option's key."""
        found = []
        if backbone.width % self.decoder_heads:
            found.append(
                f"decoder_heads ({self.decoder_heads}) must divide backbone.width ({backbone.width})"
            )
        if not self.hidden(tokenizer.centers):
            found.append(f"ratio ({self.ratio}) hides none of tokenizer.centers ({tokenizer.centers})")
        return found
