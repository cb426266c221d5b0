"""PointLoRA's options."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.needs import MethodSpec, Need
from pointlora_cli.specs.sites import Site, require_distinct


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


class PointLoRAMethod(MethodSpec):
    """PointLoRA (CVPR 2025): LoRA, multi-scale token selection and shared prompt MLPs.

    `variant` sets the defaults of every option in which the released code and the paper differ;
    each can still be set by itself.
    """

    name: Literal["pointlora"] = "pointlora"
    needs: ClassVar[tuple[Need, ...]] = (Need.ONE_SEQUENCE, Need.OPEN_ATTENTION)
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
        require_distinct(self.sites)
        if len(set(self.prompt_sites)) != len(self.prompt_sites):
            raise ValueError(f"prompt_sites holds a name twice: {', '.join(self.prompt_sites)}")
        weights = self.regularizer.scale_weights
        if weights is not None and len(weights) != len(self.scales):
            raise ValueError(
                f"regularizer.scale_weights holds {len(weights)} weights for {len(self.scales)} scales"
            )
        return self

    def groupings(self) -> tuple[tuple[str, int], ...]:
        """Centers and neighbors of every scale."""
        return tuple(
            (f"scales.{index}.{key}", getattr(scale, key))
            for index, scale in enumerate(self.scales)
            for key in ("centers", "neighbors")
        )
