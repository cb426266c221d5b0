"""The pre-trained network, and how a cloud becomes its tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.base import Spec

LARGEST_WIDTH = 65_536


class TokenizerSpec(Spec):
    """Patches of a cloud: farthest-point centers and their nearest neighbors."""

    centers: int = Field(default=64, ge=1, le=4096, description="Patches (groups) of a cloud.")
    neighbors: int = Field(default=32, ge=1, le=1024, description="Points of a patch (group size).")
    skip_near_origin: bool = Field(
        default=False,
        description="Never choose a center with squared norm <= 1e-3, as the official CUDA sampler does.",
    )


class BackboneSpec(Spec):
    """What every backbone has: where its weights come from, a mini-PointNet and a transformer."""

    name: str
    init: Literal["checkpoint", "random"] = Field(
        default="checkpoint",
        description="Start from a pre-trained checkpoint, or from seeded random weights.",
    )
    weights: str | None = Field(
        default=None,
        description="A checkpoint file, or a downloaded one by its name in the catalogue, as "
        "point-mae/scan_hardest; null: the backbone's published pre-training.",
    )
    width: int = Field(default=384, ge=8, le=4096, description="Channels of a token.")
    depth: int = Field(default=12, ge=1, le=64, description="Transformer blocks.")
    heads: int = Field(default=6, ge=1, le=64, description="Attention heads; must divide the width.")
    drop_path: float = Field(default=0.1, ge=0, lt=1, description="Stochastic depth of the last block.")
    encoder_widths: tuple[int, int, int] = Field(
        default=(128, 256, 512), description="Channels inside the patch encoder."
    )
    position_width: int = Field(
        default=128, ge=1, le=LARGEST_WIDTH, description="Hidden channels of the position MLP."
    )

    @property
    def catalog_entry(self) -> str:
        """The catalogue's entry of the published pre-training."""
        return self.name

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        if not all(1 <= width <= LARGEST_WIDTH for width in self.encoder_widths):
            raise ValueError(f"encoder_widths must be between 1 and {LARGEST_WIDTH}")
        if self.init == "random" and self.weights is not None:
            raise ValueError(
                "weights are given, but init is 'random': set init to 'checkpoint' or drop weights"
            )
        return self


class PointMAESpec(BackboneSpec):
    """Point-MAE (ECCV 2022): a mini-PointNet patch encoder and a plain transformer."""

    name: Literal["point-mae"] = "point-mae"


class ACTSpec(BackboneSpec):
    """ACT (ICLR 2023): Point-MAE's network, pre-trained with a class token by an image teacher."""

    name: Literal["act"] = "act"


class PointBERTSpec(BackboneSpec):
    """Point-BERT (CVPR 2022): a narrower patch encoder, bridged to the transformer."""

    name: Literal["point-bert"] = "point-bert"
    patch_width: int = Field(
        default=256, ge=1, le=LARGEST_WIDTH, description="Channels of a patch before the bridge."
    )


class ReConSpec(BackboneSpec):
    """ReCon (ICML 2023): three query tokens, cross attention, residuals from the normalised input."""

    name: Literal["recon"] = "recon"
    drop_path: float = Field(default=0.2, ge=0, lt=1, description="Stochastic depth of the last block.")


class ReConPlainSpec(BackboneSpec):
    """ReCon's patch weights in Point-MAE's plain blocks, as PPT and PointGST use them."""

    name: Literal["recon-plain"] = "recon-plain"

    @property
    def catalog_entry(self) -> str:
        """The same file as ReCon's."""
        return "recon"


AnyBackbone = Annotated[
    PointMAESpec | ACTSpec | PointBERTSpec | ReConSpec | ReConPlainSpec, Field(discriminator="name")
]
