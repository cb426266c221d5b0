"""PointLoRA's multi-scale token selection: score the patches of each scale, keep the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.models.tokens import Patches
from pointlora_cli.ops.gathering import gather

if TYPE_CHECKING:
    from pointlora_cli.models.initialization import WeightSource

EPSILON = 1e-6
"""Inside the logarithms of the entropy."""


class MaskPredictor(nn.Module):
    """Scores each token between 0 and 1; one instance serves every scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width // 2)
        self.fc2 = nn.Linear(width // 2, 1)

    def initialize(self, source: WeightSource, name: str) -> None:
        """PyTorch's default, which the released code keeps."""
        source.linear_uniform(self.fc1, f"{name}.fc1")
        source.linear_uniform(self.fc2, f"{name}.fc2")

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, G, C) -> scores (B, G)."""
        # The order of close scores decides what is kept, so they stay in float32.
        with torch.autocast(tokens.device.type, enabled=False):
            hidden = F.relu(self.fc1(tokens.to(self.fc1.weight.dtype)))
            return torch.sigmoid(self.fc2(hidden)).squeeze(-1)


class Selected(NamedTuple):
    """What one scale contributes."""

    tokens: Tensor  # (B, keep, C), highest score first
    positions: Tensor  # (B, keep, C)
    scores: Tensor  # (B, G) of all patches of the scale
    indices: Tensor  # (B, keep) into the scale's patches


def select_tokens(patches: Patches, scores: Tensor, keep: int, *, gate: bool) -> Selected:
    """Keep the `keep` highest-scoring patches, and their positions.

    The choice itself has no gradient; with `gate` the kept tokens are multiplied by their scores,
    which gives the scores one from the task.
    """
    indices = scores.topk(keep, dim=1).indices
    tokens = gather(patches.tokens, indices)
    if gate:
        tokens = tokens * scores.gather(1, indices).unsqueeze(-1)
    return Selected(tokens, gather(patches.positions, indices), scores, indices)


def score_entropy(scores: Sequence[Tensor], scale_weights: Sequence[float] | None) -> Tensor:
    """Binary entropy of the scores, in nats, as one scalar.

    Args:
        scores: (B, G) of each scale.
        scale_weights: sum over scales of weight * mean (the released code); None: one mean over all
            tokens of all scales (the paper).
    """
    entropies = [
        -(score * torch.log(score + EPSILON) + (1 - score) * torch.log(1 - score + EPSILON))
        for score in scores
    ]
    if scale_weights is None:
        return torch.cat(entropies, dim=1).mean()
    means = [weight * entropy.mean() for weight, entropy in zip(scale_weights, entropies, strict=True)]
    return torch.stack(means).sum()
