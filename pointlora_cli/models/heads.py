"""Classification heads: a pooled feature (B, F) -> logits (B, classes)."""

from __future__ import annotations

from torch import Tensor, nn

from pointlora_cli.adaptation.base import HeadName

_HIDDEN = 256
_DROPOUT = 0.5


class Head(nn.Module):
    """Layers from a feature to logits."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, F) -> (B, classes)."""
        logits: Tensor = self.layers(feature)
        return logits


def build_head(name: HeadName, features: int, classes: int) -> Head:
    """One linear layer; Point-BERT's head of two; Point-MAE's of three with batch norm, activation and dropout."""
    if name == "linear":
        return Head(nn.Linear(features, classes))
    if name == "mlp2":
        return Head(
            nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, classes)
        )
    activation = nn.GELU if name == "mlp3-gelu" else nn.ReLU
    hidden: list[nn.Module] = []
    for inputs in (features, _HIDDEN):
        hidden += [nn.Linear(inputs, _HIDDEN), nn.BatchNorm1d(_HIDDEN), activation(), nn.Dropout(_DROPOUT)]
    return Head(*hidden, nn.Linear(_HIDDEN, classes))
