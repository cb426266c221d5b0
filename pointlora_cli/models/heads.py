"""Classification heads: a pooled feature (B, F) -> logits (B, classes)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

_HIDDEN = 256
_DROPOUT = 0.5


class LinearHead(nn.Module):
    """One linear layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, classes))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, F) -> (B, classes)."""
        logits: Tensor = self.layers(feature)
        return logits


class MLP3Head(nn.Module):
    """Point-MAE's head: three linear layers with batch norm, ReLU and dropout between them."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_hidden_layer(features), *_hidden_layer(_HIDDEN), nn.Linear(_HIDDEN, classes)
        )

    def forward(self, feature: Tensor) -> Tensor:
        """(B, F) -> (B, classes)."""
        logits: Tensor = self.layers(feature)
        return logits


def _hidden_layer(inputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, _HIDDEN), nn.BatchNorm1d(_HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT)]


HEADS: dict[Literal["mlp3", "linear"], type[LinearHead] | type[MLP3Head]] = {
    "mlp3": MLP3Head,
    "linear": LinearHead,
}
