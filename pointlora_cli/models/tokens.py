"""The values that travel between a backbone and the adaptation attached to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
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
    """Which part of a sequence is what: [queries | prompts | patches | extra]."""

    queries: int
    patches: int
    extra: int = 0
    prompts: int = 0

    @property
    def first_patch(self) -> int:
        """Where the patches begin."""
        return self.queries + self.prompts

    @property
    def sizes(self) -> list[int]:
        """Tokens of each part, in the order of the sequence."""
        return [self.queries, self.prompts, self.patches, self.extra]


@dataclass(frozen=True)
class TokenSequence:
    """What enters the transformer, or a block, or leaves it."""

    tokens: Tensor  # (B, T, C)
    positions: Tensor | None  # (B, T, C), added before every block; None: nothing is added
    layout: TokenLayout
    points: Tensor  # (B, N, 3): the cloud
    centers: Tensor  # (B, G, 3): those of the patches
    notes: dict[str, Tensor] = field(default_factory=dict)
    """What an adaptation remembers of this pass."""
    mask: Tensor | None = None  # (B, 1, T, T): which tokens each may attend to; None: all

    @property
    def patches(self) -> Tensor:
        """The tokens of the patches, (B, G, C)."""
        start = self.layout.first_patch
        return self.tokens[:, start : start + self.layout.patches]

    def with_extra(self, tokens: Tensor, positions: Tensor) -> TokenSequence:
        """The sequence with tokens (B, E, C) and their positions at its end, E more of the extra part."""
        assert self.positions is not None  # of a backbone that adds them
        return replace(
            self,
            tokens=torch.cat([self.tokens, tokens], dim=1),
            positions=torch.cat([self.positions, positions], dim=1),
            layout=self.layout._replace(extra=self.layout.extra + tokens.shape[1]),
        )

    def with_prompts(self, tokens: Tensor, positions: Tensor | None = None) -> TokenSequence:
        """The sequence with prompts (B, P, C) right behind its queries, before the prompts that it has.

        Their positions are ignored where the sequence has none.
        """

        def inserted(values: Tensor, more: Tensor) -> Tensor:
            queries, others = values.tensor_split([self.layout.queries], dim=1)
            return torch.cat([queries, more.to(values.dtype), others], dim=1)

        layout = self.layout._replace(prompts=self.layout.prompts + tokens.shape[1])
        longer = replace(self, tokens=inserted(self.tokens, tokens), layout=layout)
        if self.positions is None:
            return longer
        assert positions is not None  # where the others have some
        return replace(longer, positions=inserted(self.positions, positions))

    def without_prompts(self) -> TokenSequence:
        """The sequence without its prompts."""

        def cut(values: Tensor) -> Tensor:
            parts = values.tensor_split([self.layout.queries, self.layout.first_patch], dim=1)
            return torch.cat([parts[0], parts[2]], dim=1)

        return replace(
            self,
            tokens=cut(self.tokens),
            positions=None if self.positions is None else cut(self.positions),
            layout=self.layout._replace(prompts=0),
        )

    def without_extra(self) -> TokenSequence:
        """The sequence without its extra part."""
        own = sum(self.layout.sizes) - self.layout.extra
        return replace(
            self,
            tokens=self.tokens[:, :own],
            positions=None if self.positions is None else self.positions[:, :own],
            layout=self.layout._replace(extra=0),
        )
