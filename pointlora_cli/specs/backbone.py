"""The pre-trained network, and how a cloud becomes its tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.needs import Need

LARGEST_WIDTH = 65_536


class TokenizerSpec(Spec):
    """Patches of a cloud: farthest-point centers and their nearest neighbors."""

    centers: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Patches (groups) of a cloud; not for point-m2ae, which has backbone.groups.",
    )
    neighbors: int = Field(
        default=32,
        ge=1,
        le=1024,
        description="Points of a patch (group size); not for point-m2ae, which has backbone.neighbors.",
    )
    skip_near_origin: bool = Field(
        default=False,
        description="Never choose a center with squared norm <= 1e-3, as the official CUDA sampler does.",
    )


class BackboneSpec(Spec):
    """What every backbone has: where its weights come from, a mini-PointNet, and attention blocks."""

    name: str
    lacks: ClassVar[Mapping[Need, str]] = {}
    """What a method might need and does not find here, in words that follow "which"."""
    unsegmented: ClassVar[str | None] = None
    """Why there is no part segmentation on it; None where there is."""
    init: Literal["checkpoint", "random"] = Field(
        default="checkpoint",
        description="Start from a pre-trained checkpoint, or from seeded random weights.",
    )
    weights: str | None = Field(
        default=None,
        description="A checkpoint file, the run directory of a pre-training, or a downloaded checkpoint by its name "
        "in the catalogue, as point-mae/scan_hardest; embedded: the small one that comes with the package; null: the "
        "backbone's published pre-training.",
    )
    heads: int = Field(default=6, ge=1, le=64, description="Attention heads; must divide the width.")
    drop_path: float = Field(default=0.1, ge=0, lt=1, description="Stochastic depth of the last block.")
    encoder_widths: tuple[int, ...] = Field(
        default=(128, 256, 512),
        min_length=3,
        max_length=3,
        description="Channels inside the patch encoder.",
    )

    @property
    def catalog_entry(self) -> str:
        """The catalogue's entry of the published pre-training."""
        return self.name

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if not all(1 <= width <= LARGEST_WIDTH for width in self.encoder_widths):
            raise ValueError(f"encoder_widths must be between 1 and {LARGEST_WIDTH}")
        if self.init == "random" and self.weights is not None:
            raise ValueError(
                "weights are given, but init is 'random': set init to 'checkpoint' or drop weights"
            )
        return self

    def groupings(self, tokenizer: TokenizerSpec) -> tuple[tuple[str, int], ...]:
        """What cannot be more than the points of a cloud, by its key."""
        return (("tokenizer.centers", tokenizer.centers), ("tokenizer.neighbors", tokenizer.neighbors))


class PlainBackboneSpec(BackboneSpec):
    """A backbone of one scale."""

    width: int = Field(default=384, ge=8, le=4096, description="Channels of a token.")
    depth: int = Field(default=12, ge=1, le=64, description="Transformer blocks.")
    position_width: int = Field(
        default=128, ge=1, le=LARGEST_WIDTH, description="Hidden channels of the position MLP."
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class PointMAESpec(PlainBackboneSpec):
    """Point-MAE (ECCV 2022): a mini-PointNet patch encoder and a plain transformer."""

    name: Literal["point-mae"] = "point-mae"


class ACTSpec(PlainBackboneSpec):
    """ACT (ICLR 2023): Point-MAE's network, pre-trained with a class token by an image teacher."""

    name: Literal["act"] = "act"


class PointBERTSpec(PlainBackboneSpec):
    """Point-BERT (CVPR 2022): a narrower patch encoder, bridged to the transformer."""

    name: Literal["point-bert"] = "point-bert"
    unsegmented: ClassVar[str | None] = "its segmentation network is another one, not built here"
    patch_width: int = Field(
        default=256, ge=1, le=LARGEST_WIDTH, description="Channels of a patch before the bridge."
    )


class ReConSpec(PlainBackboneSpec):
    """ReCon (ICML 2023): three query tokens, cross attention, residuals from the normalised input."""

    name: Literal["recon"] = "recon"
    lacks: ClassVar[Mapping[Need, str]] = {
        Need.ONE_STREAM: "leads queries and patches apart through each block",
        Need.PLAIN_RESIDUALS: "adds to normalised values",
    }
    drop_path: float = Field(default=0.2, ge=0, lt=1, description="Stochastic depth of the last block.")


class ReConPlainSpec(PlainBackboneSpec):
    """ReCon's patch weights in Point-MAE's plain blocks, as PPT and PointGST use them."""

    name: Literal["recon-plain"] = "recon-plain"

    @property
    def catalog_entry(self) -> str:
        """The same file as ReCon's."""
        return "recon"


Three = tuple[int, int, int]


class PointM2AESpec(BackboneSpec):
    """Point-M2AE (NeurIPS 2022): three levels, from fine to coarse; `tokenizer` gives it no sizes."""

    name: Literal["point-m2ae"] = "point-m2ae"
    lacks: ClassVar[Mapping[Need, str]] = {
        Need.ONE_SEQUENCE: "has no class token, and other patches at each level"
    }
    unsegmented: ClassVar[str | None] = "its segmentation network is another one, not built here"
    heads: int = Field(default=6, ge=1, le=64, description="Attention heads; must divide every width.")
    widths: Three = Field(default=(96, 192, 384), description="Channels of a token, by level.")
    depths: Three = Field(default=(5, 5, 5), description="Transformer blocks, by level.")
    groups: Three = Field(default=(512, 256, 64), description="Patches of a cloud, by level; not rising.")
    neighbors: Three = Field(
        default=(32, 16, 16),
        description="Points of a patch, or finer patches of a coarser one, by level; ModelNet40: 16, 8, 8.",
    )
    radii: tuple[float, float, float] = Field(
        default=(0.32, 0.64, 1.28),
        description="Attention reaches centers nearer than this, by level; 0: all of them.",
    )
    pooling: Literal["concat", "sum"] = Field(
        default="concat",
        description="Mean and max of the tokens side by side, as published for ScanObjectNN (its max skips "
        "the first token), or summed, as for ModelNet40.",
    )

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        problems = [
            f"{key} must be between {low} and {high}"
            for key, low, high in (
                ("widths", 8, 4096),
                ("depths", 1, 64),
                ("groups", 1, 4096),
                ("neighbors", 1, 1024),
            )
            if not all(low <= value <= high for value in getattr(self, key))
        ]
        if any(width % self.heads for width in self.widths):
            problems.append(f"heads ({self.heads}) must divide every one of widths {list(self.widths)}")
        if not all(0 <= radius < math.inf for radius in self.radii):
            problems.append("radii must be 0 or more")
        if list(self.groups) != sorted(self.groups, reverse=True):
            problems.append(f"groups {list(self.groups)} must not rise from level to level")
        for finer, neighbors in zip(self.groups[:-1], self.neighbors[1:], strict=True):
            if neighbors > finer:
                problems.append(f"neighbors {list(self.neighbors)}: the finer level has but {finer} groups")
        if self.pooling == "concat" and self.groups[-1] < 2:
            problems.append("pooling 'concat' needs two groups at the coarsest level")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def groupings(self, tokenizer: TokenizerSpec) -> tuple[tuple[str, int], ...]:
        """Those of the finest level: the coarser ones group its centers."""
        return (("backbone.groups.0", self.groups[0]), ("backbone.neighbors.0", self.neighbors[0]))


class PointGPTSpec(BackboneSpec):
    """PointGPT (NeurIPS 2023): patches in a chain from near to near, each seeing only those before it.

    The defaults are those of PointGPT-L, the one whose pre-training the catalogue has, with the drop path of its
    fine-tuning. No file of the smaller ones was ever read here.
    """

    name: Literal["point-gpt"] = "point-gpt"
    lacks: ClassVar[Mapping[Need, str]] = {
        Need.PLAIN_RESIDUALS: "adds to normalised values",
        Need.OPEN_ATTENTION: "lets each token see only those before it",
    }
    unsegmented: ClassVar[str | None] = "its segmentation network is another one, not built here"
    width: int = Field(default=1024, ge=8, le=4096, description="Channels of a token.")
    depth: int = Field(default=24, ge=1, le=64, description="Transformer blocks.")
    heads: int = Field(default=16, ge=1, le=64, description="Attention heads; must divide the width.")
    drop_path: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Stochastic depth of the last block.",
    )
    encoder_widths: tuple[int, ...] = Field(
        default=(256, 512, 1024, 2048),
        min_length=3,
        max_length=4,
        description="Channels inside the patch encoder: four for the large one, three for that of the other "
        "backbones.",
    )

    @property
    def catalog_entry(self) -> str:
        """The pre-training of PointGPT-L."""
        return "pointgpt-l"

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


AnyBackbone = Annotated[
    PointMAESpec | ACTSpec | PointBERTSpec | ReConSpec | ReConPlainSpec | PointM2AESpec | PointGPTSpec,
    Field(discriminator="name"),
]
