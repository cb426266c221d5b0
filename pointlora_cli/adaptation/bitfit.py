"""BitFit (ACL 2022, arXiv 2106.10199): only biases train.

As in ACT's code, the biases are those of the whole backbone, patch encoder and position embedding
included, and the class token and the head train with them. (qkv of these backbones has no bias.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointlora_cli.adaptation.base import Adaptation, Trained

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel


class BitFit(Adaptation):
    """Every bias of the backbone, the class token and the head train."""

    def trained(self, model: AdaptedModel) -> Trained:
        """The `bias` of every module of the backbone, the class token and its position, and the head."""
        biases = [
            parameter
            for module in model.backbone.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if name == "bias"
        ]
        return [*biases, *model.backbone.class_tokens, model.head]
