"""The values that travel between a backbone and the adaptation attached to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class Scale(NamedTuple):
    """How finely a cloud is cut into patches."""

    centers: int
    neighbors: int


class Grouping(NamedTuple):
    """Patches of a cloud at one scale, in farthest-point order."""

    centers: Tensor  # (B, G, 3)
    neighborhoods: Tensor  # (B, G, K, 3), relative to their centers
    center_indices: Tensor  # (B, G) into the cloud
    neighbor_indices: Tensor  # (B, G, K) into the cloud, nearest first


class Patches(NamedTuple):
    """Encoded patches of one scale."""

    centers: Tensor  # (B, G, 3)
    tokens: Tensor  # (B, G, C)
    positions: Tensor  # (B, G, C)


class TokenLayout(NamedTuple):
    """Which part of a sequence is what: [queries | patches | extra]."""

    queries: int
    patches: int
    extra: int


@dataclass(frozen=True)
class TokenSequence:
    """What enters the transformer, or leaves it."""

    tokens: Tensor  # (B, T, C)
    positions: Tensor  # (B, T, C), added before every block
    layout: TokenLayout
    notes: dict[str, Tensor] = field(default_factory=dict)
    """What an adaptation remembers of this pass, for its loss."""
