"""The adaptation methods and their options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.base import Spec

Site = Literal["qkv", "proj", "fc1", "fc2"]


class FullMethod(Spec):
    """Full fine-tuning: every weight trains."""

    name: Literal["full"] = "full"


class LinearMethod(Spec):
    """Linear probe: the class token and one linear layer train."""

    name: Literal["linear"] = "linear"


class MLP3Method(Spec):
    """MLP-3 probe: the class token and the three-layer head train."""

    name: Literal["mlp3"] = "mlp3"


def _distinct(sites: tuple[Site, ...]) -> None:
    if len(set(sites)) != len(sites):
        raise ValueError(f"sites holds a name twice: {', '.join(sites)}")


class LoRAMethod(Spec):
    """Plain LoRA (ICLR 2022): W + alpha / rank * B A at chosen projections of every block."""

    name: Literal["lora"] = "lora"
    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=8.0, gt=0)
    sites: tuple[Site, ...] = Field(
        default=("qkv",), min_length=1, description="Projections that get A and B."
    )

    @model_validator(mode="after")
    def _sites_fit(self) -> Self:
        _distinct(self.sites)
        return self


class SelectionScale(Spec):
    """One scale of PointLoRA's token selection."""

    centers: int = Field(ge=1, le=4096, description="Patches of this scale.")
    neighbors: int = Field(ge=1, le=1024, description="Points of a patch.")
    keep: int = Field(ge=1, description="Tokens kept: the highest scores.")

    @model_validator(mode="after")
    def _keep_fits(self) -> Self:
        if self.keep > self.centers:
            raise ValueError(f"keep ({self.keep}) is more than centers ({self.centers})")
        return self


class SelectionRegularizer(Spec):
    """The entropy term on the selection scores, added to the task loss."""

    weight: float = Field(default=0.004, ge=0, description="Lambda; 0 switches the term off.")
    objective: Literal["minimize-entropy", "maximize-entropy"] = Field(
        default="maximize-entropy",
        description="The paper minimises the entropy (scores go to 0 or 1); the released code has the "
        "opposite sign (scores go to 0.5).",
    )
    scale_weights: tuple[float, ...] | None = Field(
        default=None,
        description="Sum over scales of weight * mean; null: one mean over the tokens of all scales.",
    )


_RELEASED: dict[str, Any] = {
    "sites": ("qkv", "proj"),
    "scale_lora": False,
    "block_input_prompts": True,
    "prompt_sites": ("qkv", "proj"),
}
_PAPER: dict[str, Any] = {
    "sites": ("qkv", "fc1", "fc2"),
    "scale_lora": True,
    "block_input_prompts": False,
    "prompt_sites": ("qkv", "ffn"),
    "regularizer": {"objective": "minimize-entropy"},
}


class PointLoRAMethod(Spec):
    """PointLoRA (CVPR 2025): LoRA, multi-scale token selection and shared prompt MLPs.

    `variant` sets the defaults of every option in which the released code and the paper differ;
    each can still be set by itself.
    """

    name: Literal["pointlora"] = "pointlora"
    variant: Literal["released", "paper"] = Field(
        default="released", description="released: what the official code does; paper: what the paper writes."
    )
    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=8.0, gt=0)
    scale_lora: bool = Field(default=False, description="Apply alpha / rank. released: no; paper: yes.")
    sites: tuple[Site, ...] = Field(
        default=("qkv", "proj"),
        description="Where LoRA goes; empty: nowhere. released: qkv, proj; paper: qkv, fc1, fc2.",
    )
    prompt_width: int = Field(
        default=32, ge=1, le=65_536, description="Hidden channels of the shared prompt MLPs."
    )
    prompt_sites: tuple[Literal["qkv", "proj", "ffn"], ...] = Field(
        default=("qkv", "proj"),
        description="Layers with a shared prompt MLP beside them. released: qkv, proj; paper: qkv, ffn.",
    )
    block_input_prompts: bool = Field(
        default=True,
        description="Two more shared prompt MLPs on the block inputs: one for the patches, one for the "
        "selected tokens. released: yes; paper: no.",
    )
    scales: tuple[SelectionScale, ...] = Field(
        default=(
            SelectionScale(centers=128, neighbors=32, keep=32),
            SelectionScale(centers=64, neighbors=64, keep=8),
        ),
        min_length=1,
        description="Scales of the token selection.",
    )
    regularizer: SelectionRegularizer = SelectionRegularizer()
    gate_scores: bool = Field(
        default=False,
        description="Multiply each kept token by its score, so that the task loss trains the selection.",
    )
    train_gate: bool = Field(
        default=False, description="Train the scalar gate of each prompt MLP. Both variants: a constant 1."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_variant(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        variant = values.get("variant", "released")
        defaults = dict(_PAPER if variant == "paper" else _RELEASED)
        regularizer = values.get("regularizer", {})
        if isinstance(regularizer, dict):
            defaults["regularizer"] = {**defaults.get("regularizer", {}), **regularizer}
            if variant == "released" and "scale_weights" not in regularizer:
                # The released code gives its second scale a quarter of the weight of the first.
                count = len(values["scales"]) if isinstance(values.get("scales"), list | tuple) else 2
                defaults["regularizer"]["scale_weights"] = (1.0,) + (0.25,) * (count - 1)
            values = {key: value for key, value in values.items() if key != "regularizer"}
        return {**defaults, **values}

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        _distinct(self.sites)
        if len(set(self.prompt_sites)) != len(self.prompt_sites):
            raise ValueError(f"prompt_sites holds a name twice: {', '.join(self.prompt_sites)}")
        weights = self.regularizer.scale_weights
        if weights is not None and len(weights) != len(self.scales):
            raise ValueError(
                f"regularizer.scale_weights holds {len(weights)} weights for {len(self.scales)} scales"
            )
        return self


class BitFitMethod(Spec):
    """BitFit (ACL 2022): every bias trains, with the class token and the head."""

    name: Literal["bitfit"] = "bitfit"


class VPTMethod(Spec):
    """Visual prompt tuning (ECCV 2022): learned tokens at the end of the sequence."""

    name: Literal["vpt"] = "vpt"
    variant: Literal["deep", "shallow"] = Field(
        default="deep",
        description="deep: new tokens for every block; shallow: one set, from the first block on.",
    )
    tokens: int = Field(default=10, ge=1, le=1024, description="Prompt tokens.")


class AdapterMethod(Spec):
    """Bottleneck adapters (ICML 2019) at every feed-forward network."""

    name: Literal["adapter"] = "adapter"
    width: int = Field(default=64, ge=1, le=65_536, description="Channels of the bottleneck.")
    placement: Literal["parallel", "sequential"] = Field(
        default="parallel", description="Beside the feed-forward network, or after it."
    )


class IDPTMethod(Spec):
    """IDPT (ICCV 2023): one prompt before the last block, generated from the cloud's own tokens."""

    name: Literal["idpt"] = "idpt"
    neighbors: int = Field(
        default=20,
        ge=1,
        le=1024,
        description="Nearest patches of each, by their features, in the graph that makes the prompt; the "
        "patch itself is one.",
    )


class DAPTMethod(Spec):
    """DAPT (CVPR 2024): dynamic adapters, scale and shift everywhere, and prompts made by the adapters.

    The defaults are those released for PB_T50_RS. The others: OBJ_BG has dropout 0.5; OBJ_ONLY dropout 0
    and no patch pooling; ModelNet40 rank 72, dropout 0 and no prompt pooling. Drop path is 0.3, but 0.1
    for OBJ_ONLY and ModelNet40.
    """

    name: Literal["dapt"] = "dapt"
    rank: int = Field(
        default=64,
        ge=1,
        le=65_536,
        description="Channels of the adapters' bottleneck. Released: 64; ModelNet40: 72.",
    )
    dropout: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Dropout inside the adapters. Released: PB_T50_RS 0.2; OBJ_BG 0.5; OBJ_ONLY and ModelNet40 0.",
    )
    prompt_pooling: Literal["mean", "max", "none"] = Field(
        default="mean",
        description="How the prompts enter the head's feature. Released: mean; ModelNet40: none.",
    )
    patch_pooling: Literal["mean", "max", "none"] = Field(
        default="max",
        description="How the patches enter the head's feature. Released: max; OBJ_ONLY: none.",
    )


class PPTMethod(Spec):
    """PPT, positional prompt tuning (arXiv 2408.11567): tokens of a second grouping, and shared prompt MLPs."""

    name: Literal["ppt"] = "ppt"
    width: int = Field(default=256, ge=1, le=65_536, description="Hidden channels of the shared prompt MLPs.")
    centers: int | None = Field(
        default=None, ge=1, le=4096, description="Patches of the second grouping; null: the backbone's."
    )
    neighbors: int | None = Field(
        default=None, ge=1, le=1024, description="Points of such a patch; null: the backbone's."
    )


class PointGSTMethod(Spec):
    """PointGST (TPAMI 2025): adapters in the spectral domain of the patch centers' graph."""

    name: Literal["pointgst"] = "pointgst"
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


class PriorGrouping(Spec):
    """The patches of Point-PEFT's prior."""

    centers: int = Field(default=64, ge=1, le=4096, description="Patches of a cloud.")
    neighbors: int = Field(default=32, ge=1, le=1024, description="Points of a patch.")


class PointPEFTMethod(Spec):
    """Point-PEFT (AAAI 2024): prompts from a bank of pre-trained features, and adapters of near patches.

    It runs on the plain backbones: point-mae, act, point-bert and recon-plain.
    """

    name: Literal["point-peft"] = "point-peft"
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


AnyMethod = Annotated[
    FullMethod
    | LinearMethod
    | MLP3Method
    | BitFitMethod
    | LoRAMethod
    | AdapterMethod
    | VPTMethod
    | IDPTMethod
    | DAPTMethod
    | PPTMethod
    | PointGSTMethod
    | PointPEFTMethod
    | PointLoRAMethod,
    Field(discriminator="name"),
]
