"""The adaptation methods and their options."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.needs import MethodSpec, Need
from pointlora_cli.specs.pointlora import PointLoRAMethod
from pointlora_cli.specs.sites import Site, require_distinct

PLAIN_BLOCKS = tuple(Need)
"""The needs of a method defined on Point-MAE's own blocks."""


class FullMethod(MethodSpec):
    """Full fine-tuning: every weight trains."""

    name: Literal["full"] = "full"


class LinearMethod(MethodSpec):
    """Linear probe: the class token and one linear layer train."""

    name: Literal["linear"] = "linear"
    unsegmented: ClassVar[str | None] = "it is a head of classification"


class MLP3Method(MethodSpec):
    """MLP-3 probe: the class token and the three-layer head train."""

    name: Literal["mlp3"] = "mlp3"
    unsegmented: ClassVar[str | None] = "it is a head of classification"


class LoRAMethod(MethodSpec):
    """Plain LoRA (ICLR 2022): W + alpha / rank * B A at chosen projections of every block."""

    name: Literal["lora"] = "lora"
    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=8.0, gt=0)
    sites: tuple[Site, ...] = Field(
        default=("qkv",), min_length=1, description="Projections that get A and B."
    )

    @model_validator(mode="after")
    def _sites_fit(self) -> Self:
        require_distinct(self.sites)
        return self


class BitFitMethod(MethodSpec):
    """BitFit (ACL 2022): every bias trains, with the class token and the head."""

    name: Literal["bitfit"] = "bitfit"


class VPTMethod(MethodSpec):
    """Visual prompt tuning (ECCV 2022): learned tokens at the end of the sequence."""

    name: Literal["vpt"] = "vpt"
    needs: ClassVar[tuple[Need, ...]] = (Need.ONE_SEQUENCE, Need.OPEN_ATTENTION)
    variant: Literal["deep", "shallow"] = Field(
        default="deep",
        description="deep: new tokens for every block; shallow: one set, from the first block on.",
    )
    tokens: int = Field(default=10, ge=1, le=1024, description="Prompt tokens.")


class AdapterMethod(MethodSpec):
    """Bottleneck adapters (ICML 2019) at every feed-forward network."""

    name: Literal["adapter"] = "adapter"
    width: int = Field(default=64, ge=1, le=65_536, description="Channels of the bottleneck.")
    placement: Literal["parallel", "sequential"] = Field(
        default="parallel", description="Beside the feed-forward network, or after it."
    )


class SSFMethod(MethodSpec):
    """SSF (NeurIPS 2022): a scale and a shift for each channel after every frozen layer."""

    name: Literal["ssf"] = "ssf"


class IDPTMethod(MethodSpec):
    """IDPT (ICCV 2023): one prompt before the last block, generated from the cloud's own tokens."""

    name: Literal["idpt"] = "idpt"
    needs: ClassVar[tuple[Need, ...]] = PLAIN_BLOCKS
    neighbors: int = Field(
        default=20,
        ge=1,
        le=1024,
        description="Nearest patches of each, by their features, in the graph that makes the prompt; the "
        "patch itself is one.",
    )

    def problems(self, centers: int) -> list[str]:
        """More neighbors than patches."""
        return self._more_than(centers, ("method.neighbors", self.neighbors))


class DAPTMethod(MethodSpec):
    """DAPT (CVPR 2024): dynamic adapters, scale and shift everywhere, and prompts made by the adapters.

    The defaults are those released for PB_T50_RS; `--method dapt` takes those of the run's own data set.
    """

    name: Literal["dapt"] = "dapt"
    needs: ClassVar[tuple[Need, ...]] = PLAIN_BLOCKS
    rank: int = Field(
        default=64,
        ge=1,
        le=65_536,
        description="Channels of the adapters' bottleneck.",
    )
    dropout: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Dropout inside the adapters.",
    )
    prompt_pooling: Literal["mean", "max", "none"] = Field(
        default="mean",
        description="How the prompts enter the head's feature.",
    )
    patch_pooling: Literal["mean", "max", "none"] = Field(
        default="max",
        description="How the patches enter the head's feature.",
    )


class PPTMethod(MethodSpec):
    """PPT, positional prompt tuning (arXiv 2408.11567): tokens of a second grouping, and shared prompt MLPs."""

    name: Literal["ppt"] = "ppt"
    needs: ClassVar[tuple[Need, ...]] = PLAIN_BLOCKS
    width: int = Field(default=256, ge=1, le=65_536, description="Hidden channels of the shared prompt MLPs.")
    centers: int | None = Field(
        default=None, ge=1, le=4096, description="Patches of the second grouping; null: the backbone's."
    )
    neighbors: int | None = Field(
        default=None, ge=1, le=1024, description="Points of such a patch; null: the backbone's."
    )

    def groupings(self) -> tuple[tuple[str, int], ...]:
        """Those of the second grouping that are its own."""
        given = (("centers", self.centers), ("neighbors", self.neighbors))
        return tuple((key, value) for key, value in given if value is not None)


class PointGSTMethod(MethodSpec):
    """PointGST (TPAMI 2025): adapters in the spectral domain of the patch centers' graph."""

    name: Literal["pointgst"] = "pointgst"
    needs: ClassVar[tuple[Need, ...]] = (Need.ONE_SEQUENCE, Need.ONE_STREAM)
    rank: int = Field(default=36, ge=1, le=65_536, description="Channels of the adapters.")
    local: int = Field(
        default=32,
        ge=2,
        le=4096,
        description="Patches of a local group, along a Z-order curve; must divide tokenizer.centers.",
    )
    graph: Literal["exact", "released"] = Field(
        default="exact",
        description="The unit of distance in the graph. exact: the smallest distance between two centers "
        "of the cloud, so that no prediction depends on the batch. released: the smallest positive entry of "
        "the whole batch's float32 distance matrix, which in effect is rounding on its diagonal, so that "
        "results depend on the batch and the machine.",
    )

    def problems(self, centers: int) -> list[str]:
        """Local groups that do not come out even."""
        if centers % self.local == 0:
            return []
        return [f"method.local ({self.local}) does not divide tokenizer.centers ({centers})"]


class PriorGrouping(Spec):
    """The patches of Point-PEFT's prior."""

    centers: int = Field(default=64, ge=1, le=4096, description="Patches of a cloud.")
    neighbors: int = Field(default=32, ge=1, le=1024, description="Points of a patch.")


class PointPEFTMethod(MethodSpec):
    """Point-PEFT (AAAI 2024): prompts from a bank of pre-trained features, and adapters of near patches.

    It runs on the plain backbones: point-mae, act, point-bert and recon-plain.
    """

    name: Literal["point-peft"] = "point-peft"
    needs: ClassVar[tuple[Need, ...]] = PLAIN_BLOCKS
    unsegmented: ClassVar[str | None] = (
        "it is published for classification alone: its bank holds features of whole clouds"
    )
    tokens: int = Field(
        default=10,
        ge=3,
        le=1024,
        description="Prompt tokens: the cloud's own feature, the summary of what the bank holds near it, and "
        "its nearest features in the bank, two fewer than there are tokens.",
    )
    prompted_layers: int = Field(default=6, ge=0, le=1024, description="Blocks with prompts, from the first.")
    width: int = Field(default=16, ge=1, le=65_536, description="Channels of the two adapters of each block.")
    prompt_width: int = Field(
        default=8, ge=1, le=65_536, description="Channels of the adapter of the prompts."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout inside adapters and of prompts.")
    local_centers: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Patches around which others gather; null: half of tokenizer.centers.",
    )
    local_neighbors: int = Field(
        default=16, ge=1, le=1024, description="Patches that gather around one; itself among them."
    )
    gather: Literal["per-sample", "released"] = Field(
        default="per-sample",
        description="How the blocks with prompts find a patch's neighbors. per-sample: among its own "
        "cloud's patches; released: at the misaligned places of the official code, which belong to other "
        "clouds of the batch, so that results depend on the batch.",
    )
    prior: PriorGrouping = PriorGrouping()

    def groupings(self) -> tuple[tuple[str, int], ...]:
        """The prior's."""
        return (("prior.centers", self.prior.centers), ("prior.neighbors", self.prior.neighbors))

    def problems(self, centers: int) -> list[str]:
        """Local groups of more patches than there are."""
        return self._more_than(
            centers,
            ("method.local_centers", self.local_centers),
            ("method.local_neighbors", self.local_neighbors),
        )


AnyMethod = Annotated[
    FullMethod
    | LinearMethod
    | MLP3Method
    | BitFitMethod
    | LoRAMethod
    | AdapterMethod
    | SSFMethod
    | VPTMethod
    | IDPTMethod
    | DAPTMethod
    | PPTMethod
    | PointGSTMethod
    | PointPEFTMethod
    | PointLoRAMethod,
    Field(discriminator="name"),
]
