"""A backbone, an adaptation and a head as one classifier."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor

from pointlora_cli.adaptation.base import Adaptation
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.backbone import Backbone
from pointlora_cli.models.heads import build_head
from pointlora_cli.models.tokens import TokenSequence
from pointlora_cli.specs.head import HeadSpec
from pointlora_cli.specs.needs import Task


class Prediction(NamedTuple):
    """What a forward pass gives."""

    logits: Tensor  # (B, classes)
    feature: Tensor  # (B, F), the head's input
    sequence: TokenSequence  # the normalised tokens, and the adaptation's notes


class Classifier(AdaptedModel):
    """Clouds (B, N, 3) -> logits (B, classes)."""

    task: ClassVar[Task] = "classification"

    def __init__(
        self, backbone: Backbone, adaptation: Adaptation, classes: int, head: HeadSpec | None = None
    ) -> None:
        features = adaptation.feature_width(backbone.width, backbone.feature_width)
        name = adaptation.head or backbone.head
        super().__init__(backbone, adaptation, build_head(name, features, classes, head or HeadSpec()))

    def forward(self, points: Tensor) -> Prediction:
        """Classify clouds (B, N, 3)."""
        sequence = self.backbone(points, self.adaptation)
        feature = self.adaptation.pool(sequence, self.backbone.pool(sequence))
        return Prediction(self.head(feature), feature, sequence)
