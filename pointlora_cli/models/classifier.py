"""A backbone, an adaptation and a head as one classifier."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models.backbone import Backbone
from pointlora_cli.models.heads import build_head
from pointlora_cli.models.tokens import TokenSequence


class Prediction(NamedTuple):
    """What a forward pass gives."""

    logits: Tensor  # (B, classes)
    feature: Tensor  # (B, F), the head's input
    sequence: TokenSequence  # the normalised tokens, and the adaptation's notes


class Classifier(nn.Module):
    """Clouds (B, N, 3) -> logits (B, classes)."""

    def __init__(self, backbone: Backbone, adaptation: Adaptation, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.adaptation = adaptation
        features = adaptation.feature_width(backbone.width, backbone.feature_width)
        self.head = build_head(adaptation.head or backbone.head, features, classes)

    def forward(self, points: Tensor) -> Prediction:
        """Classify clouds (B, N, 3)."""
        sequence = self.backbone(points, self.adaptation)
        feature = self.adaptation.pool(sequence, self.backbone.pool(sequence))
        return Prediction(self.head(feature), feature, sequence)

    def freeze(self) -> None:
        """Let exactly those parameters train that the adaptation lists."""
        self.requires_grad_(False)
        for part in self.adaptation.trained(self):
            part.requires_grad_(True)

    def undecayed(self) -> set[nn.Parameter]:
        """Parameters of more than one dimension without weight decay: learned tokens (not their positions)."""
        return {*self.backbone.undecayed, *self.adaptation.undecayed()}
