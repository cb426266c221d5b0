"""PointGST (TPAMI 2025, arXiv 2410.08114): adapters in the spectral domain of the patch centers' graph.

U is the graph Fourier basis of a cloud's centers, and U_s that of each local group of them, cut from
their Z-order. Beside the feed-forward network of each block, an adapter takes all tokens x after
attention, without a norm, to a few channels, h = down(x), and filters the patches p among them:

    filter(U, p) = U^T (f + SiLU(W norm(f) + b)),    f = U p,
    h <- SiLU(h);    patches of h += filter(U, p) + filter(U_s, p);    x += up(h).

Both filters share W and b and have a norm each. As in the released code, U stands first where its
transpose would be the transform (its eigenvectors are columns), so the method depends on their signs.

What the released code calls the smallest distance is rounding (see `ops.spectral`). The default here
computes the graph of each cloud exactly and alone; `graph: released` does as the released code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.models.tokens import Patches, TokenSequence
from pointlora_cli.ops.curves import z_order
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.spectral import exact_basis, released_basis
from pointlora_cli.specs.method import PointGSTMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource


class Spectrum(NamedTuple):
    """The bases of a batch, the same for all blocks."""

    cloud: Tensor  # (B, G, G): of all centers
    groups: Tensor  # (B, S, n, n): of the S local groups of n centers
    order: Tensor  # (B, G): which patch stands in each place of the curve
    places: Tensor  # (B, G): the place of each patch


class SpectralAdapter(nn.Module):
    """down, the two filters, up."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank)
        self.cloud_norm = nn.LayerNorm(rank)
        self.group_norm = nn.LayerNorm(rank)
        self.filter = nn.Linear(rank, rank)
        self.up = nn.Linear(rank, width)

    def initialize(self, source: WeightSource, name: str) -> None:
        """Down as Xavier; filter and up zero, so the adapter starts at nothing."""
        rank, width = self.down.weight.shape
        source.uniform(self.down.weight, f"{name}.down.weight", math.sqrt(6 / (rank + width)))
        source.uniform(self.down.bias, f"{name}.down.bias", 1 / math.sqrt(width))
        for layer in (self.filter, self.up):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for norm in (self.cloud_norm, self.group_norm):
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)

    def forward(self, tokens: Tensor, first_patch: int, spectrum: Spectrum) -> Tensor:
        """(B, T, C) -> (B, T, C); the patches are the G tokens from `first_patch` on."""
        low = self.down(tokens)  # (B, T, rank)
        last = first_patch + spectrum.order.shape[1]
        patches = low[:, first_patch:last]
        in_groups = gather(patches, spectrum.order).view(*spectrum.groups.shape[:3], -1)
        by_group = self._filtered(spectrum.groups, in_groups, self.group_norm).flatten(1, 2)
        change = self._filtered(spectrum.cloud, patches, self.cloud_norm) + gather(by_group, spectrum.places)
        before, hidden, after = F.silu(low).tensor_split([first_patch, last], dim=1)
        outputs: Tensor = self.up(torch.cat([before, (hidden + change).to(hidden.dtype), after], dim=1))
        return outputs

    def _filtered(self, basis: Tensor, values: Tensor, norm: nn.Module) -> Tensor:
        """(..., n, n) and (..., n, rank) -> (..., n, rank)."""
        found = basis @ values
        found = found + F.silu(self.filter(norm(found)))
        changed: Tensor = basis.transpose(-2, -1) @ found
        return changed


class PointGST(Adaptation):
    """A spectral adapter in each block; the class token and the head train with them."""

    def __init__(self, shape: Shape, method: PointGSTMethod) -> None:
        super().__init__(shape, method)
        self.local = method.local
        self.basis = exact_basis if method.graph == "exact" else released_basis
        self.adapters = nn.ModuleList(SpectralAdapter(width, method.rank) for width in shape.widths)

    def initialize(self, source: WeightSource) -> None:
        """Set every adapter."""
        for layer, adapter in enumerate(self.adapters):
            assert isinstance(adapter, SpectralAdapter)
            adapter.initialize(source, f"adaptation.adapters.{layer}")

    def trained(self, model: AdaptedModel) -> Trained:
        """The adapters, the class token and its position, and the head."""
        return [self.adapters, *model.backbone.class_tokens, model.head]

    def official_names(self, depth: int) -> dict[str, str]:
        """Each adapter belongs to its block."""
        parts = {
            "down": "down",
            "cloud_norm": "norm_ly1",
            "group_norm": "norm_ly2",
            "filter": "adapt1",
            "up": "up",
        }
        return {
            f"adaptation.adapters.{layer}.{own}.{kind}": f"blocks.blocks.{layer}.gft_adapter.{official}.{kind}"
            for layer in range(depth)
            for own, official in parts.items()
            for kind in ("weight", "bias")
        }

    @torch.no_grad()
    def spectrum(self, centers: Tensor) -> Spectrum:
        """The bases of centers (B, G, 3)."""
        order = z_order(centers)
        groups = gather(centers, order).view(len(centers), -1, self.local, 3)
        return Spectrum(self.basis(centers[:, None])[:, 0], self.basis(groups), order, order.argsort(dim=1))

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Note the bases, once for all blocks."""
        spectrum = self.spectrum(sequence.centers)
        kind = sequence.tokens.dtype
        spectrum = spectrum._replace(cloud=spectrum.cloud.to(kind), groups=spectrum.groups.to(kind))
        return replace(sequence, notes={**sequence.notes, **spectrum._asdict()})

    def join(self, layer: int, sequence: TokenSequence, branch: Tensor) -> Tensor:
        """Add the adapter of the tokens after attention, which drop path leaves alone."""
        spectrum = Spectrum(*(sequence.notes[name] for name in Spectrum._fields))
        adapted = self.adapters[layer](sequence.tokens, sequence.layout.first_patch, spectrum)
        joined: Tensor = sequence.tokens + branch + adapted
        return joined
