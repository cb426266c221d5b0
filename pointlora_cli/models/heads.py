"""Classification heads: a pooled feature (B, F) -> logits (B, classes)."""

from __future__ import annotations

from torch import Tensor, nn

from pointlora_cli.adaptation.base import HeadName
from pointlora_cli.specs.head import HeadSpec


class Head(nn.Module):
    """Layers from a feature to logits."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, F) -> (B, classes)."""
        logits: Tensor = self.layers(feature)
        return logits


def build_head(name: HeadName, features: int, classes: int, spec: HeadSpec) -> Head:
    """One linear layer; Point-BERT's head of two; Point-MAE's of three with batch norm, activation and dropout."""
    width, dropout = spec.width, spec.dropout
    if name == "linear":
        return Head(nn.Linear(features, classes))
    if name == "mlp2":
        return Head(nn.Linear(features, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, classes))
    activation = nn.GELU if name == "mlp3-gelu" else nn.ReLU
    hidden: list[nn.Module] = []
    for inputs in (features, width):
        hidden += [nn.Linear(inputs, width), nn.BatchNorm1d(width), activation(), nn.Dropout(dropout)]
    return Head(*hidden, nn.Linear(width, classes))
