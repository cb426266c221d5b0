"""Probes: a frozen backbone, a trained class token and head."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pointlora_cli.adaptation.base import Adaptation, HeadName, Trained

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel


class MLP3Probe(Adaptation):
    """The class token, its position and the MLP-3 head train."""

    def trained(self, model: AdaptedModel) -> Trained:
        """The class token, its position, and the head."""
        return [*model.backbone.class_tokens, model.head]


class LinearProbe(MLP3Probe):
    """The same with one linear layer as the head."""

    head: ClassVar[HeadName | None] = "linear"
