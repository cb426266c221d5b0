"""PointLoRA (CVPR 2025, arXiv 2504.16023).

Three parts on a frozen backbone: LoRA at large projections, tokens selected at several scales that
join the sequence as prompts, and small prompt MLPs that all blocks share. The released code and the
paper differ; `PointLoRAMethod` makes every difference an option, and this file knows only options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation, Folded, Shape, Trained
from pointlora_cli.adaptation.lora import LowRankStack
from pointlora_cli.adaptation.prompt_mlp import PromptGates, PromptMLP, prompt_mlp_names, prompted
from pointlora_cli.adaptation.token_selection import MaskPredictor, score_entropy, select_tokens
from pointlora_cli.models.tokens import Patches, Scale, TokenSequence
from pointlora_cli.specs.pointlora import PointLoRAMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource
    from pointlora_cli.models.point_mae import PointMAE

PROMPT_OUTPUTS = {"qkv": 3, "proj": 1, "ffn": 1}
"""Outputs of the layer that a prompt MLP stands beside, in multiples of the token width."""


class PointLoRA(Adaptation):
    """LoRA, multi-scale token selection and shared prompt MLPs."""

    def __init__(self, shape: Shape, method: PointLoRAMethod) -> None:
        super().__init__(shape, method)
        width = shape.width
        self.method = method
        self.keep = tuple(scale.keep for scale in method.scales)
        scale = method.alpha / method.rank if method.scale_lora else 1.0
        self.low_rank = LowRankStack(shape.widths, method.sites, method.rank, scale)
        self.mask_predictor = MaskPredictor(width)
        hidden = method.prompt_width
        self.site_prompts = nn.ModuleDict(
            {site: PromptMLP(width, hidden, PROMPT_OUTPUTS[site] * width) for site in method.prompt_sites}
        )
        self.gates = PromptGates(shape.depth, method.prompt_sites)
        self.input_prompts = nn.ModuleDict(
            {part: PromptMLP(width, hidden, width) for part in ("patches", "selected")}
            if method.block_input_prompts
            else {}
        )

    def initialize(self, source: WeightSource) -> None:
        """Set all of the method's weights; the gates start at 1."""
        self.low_rank.initialize(source, "adaptation.low_rank")
        self.mask_predictor.initialize(source, "adaptation.mask_predictor")
        for group in ("site_prompts", "input_prompts"):
            for name, prompt in getattr(self, group).items():
                prompt.initialize(source, f"adaptation.{group}.{name}")

    def trained(self, model: AdaptedModel) -> Trained:
        """Own parts, the first half of the patch encoder, the position embedding, class token and head."""
        backbone = cast("PointMAE", model.backbone)  # the spec lets it be no other kind
        return [
            self.low_rank,
            self.mask_predictor,
            self.site_prompts,
            self.input_prompts,
            *([self.gates] if self.method.train_gate else []),
            backbone.patch_encoder.first,
            backbone.position_embedding,
            *backbone.class_tokens,
            model.head,
        ]

    def fold(self, model: AdaptedModel) -> Folded | None:
        """Add every low-rank term to its projection."""
        if not self.method.sites:
            return None
        kept = ["the token selection: it adds tokens of each cloud's own"]
        if self.method.prompt_sites:
            kept.append(f"the prompt MLPs beside {', '.join(self.method.prompt_sites)}: they are not linear")
        if self.method.block_input_prompts:
            kept.append("the prompt MLPs on block inputs: they are not linear")
        left = self.method.model_copy(update={"sites": ()})
        return Folded(self.low_rank.fold(model), left, tuple(kept))

    def scales(self, own: Scale) -> Sequence[Scale]:
        """The scales of the selection."""
        return [Scale(scale.centers, scale.neighbors) for scale in self.method.scales]

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Append the selected tokens of each scale."""
        selected = [
            select_tokens(scale, self.mask_predictor(scale.tokens), keep, gate=self.method.gate_scores)
            for scale, keep in zip(patches, self.keep, strict=True)
        ]
        notes = {f"scores{index}": scale.scores for index, scale in enumerate(selected)}
        notes |= {f"selected{index}": scale.indices for index, scale in enumerate(selected)}
        joined = sequence.with_extra(
            torch.cat([scale.tokens for scale in selected], dim=1),
            torch.cat([scale.positions for scale in selected], dim=1),
        )
        return replace(joined, notes=notes)

    def block_input(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Pass the patches and the selected tokens through their prompt MLPs, residually."""
        if not self.method.block_input_prompts:
            return sequence
        return prompted(sequence, self.input_prompts["patches"], self.input_prompts["selected"])

    def projection(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Add the low-rank term and the shared prompt MLP, where the site has them."""
        if site in self.low_rank.sites:
            outputs = outputs + self.low_rank(layer, site, inputs)
        return self._prompted(layer, site, inputs, outputs)

    def feed_forward(self, layer: int, sequence: TokenSequence, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Add the shared prompt MLP of the feed-forward network, where there is one."""
        return self._prompted(layer, "ffn", inputs, outputs)

    def _prompted(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        if site not in self.method.prompt_sites:
            return outputs
        gate = self.gates(layer, site).to(outputs.dtype)
        changed: Tensor = outputs + gate * self.site_prompts[site](inputs)
        return changed

    def regularization(self, sequence: TokenSequence) -> Tensor | None:
        """The entropy of the selection scores, with the sign and weights of the spec."""
        options = self.method.regularizer
        if options.weight == 0:
            return None
        scores = [sequence.notes[f"scores{index}"] for index in range(len(self.keep))]
        entropy = score_entropy(scores, options.scale_weights)
        sign = 1.0 if options.objective == "minimize-entropy" else -1.0
        return sign * options.weight * entropy

    def official_names(self, depth: int) -> dict[str, str]:
        """Names in the released code, which also moves each adapted projection to `linear`."""
        names = {}
        for layer in range(depth):
            official = f"blocks.blocks.{layer}"
            for site in self.method.sites:
                module = f"{official}.{'attn' if site in ('qkv', 'proj') else 'mlp'}.{site}"
                mine = f"blocks.{layer}.{site}"
                names[f"adaptation.low_rank.{mine}.A"] = f"{module}.lora_A"
                names[f"adaptation.low_rank.{mine}.B"] = f"{module}.lora_B"
                names[f"adaptation.gates.{mine}"] = f"{module}.weight"
                path = module.removeprefix(f"{official}.")
                names[f"backbone.blocks.{layer}.{path}.weight"] = f"{module}.linear.weight"
                names[f"backbone.blocks.{layer}.{path}.bias"] = f"{module}.linear.bias"
        prompts = {f"site_prompts.{site}": f"prompt_{site}_mlp" for site in self.method.prompt_sites}
        prompts |= {"input_prompts.patches": "prompt_mlp", "input_prompts.selected": "prompt_pos_mlp"}
        for mine, official in prompts.items():
            names |= prompt_mlp_names(f"adaptation.{mine}", f"blocks.{official}")
        for own_layer in ("fc1", "fc2"):
            for kind in ("weight", "bias"):
                names[f"adaptation.mask_predictor.{own_layer}.{kind}"] = (
                    f"lora_mask_predictor.{own_layer}.{kind}"
                )
        return names
