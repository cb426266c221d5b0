"""The mini-PointNet that turns the points of a patch, or their tokens, into one token."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pointlora_cli.models.normalization import RowBatchNorm, RowStatistics
from pointlora_cli.ops.pooling import maximum

_COORDINATES = 3  # of a point


class PointMLP(nn.Module):
    """linear1, batch norm, ReLU, linear2 on (rows, channels)."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(inputs, hidden)
        self.norm = RowBatchNorm(hidden)
        self.linear2 = nn.Linear(hidden, outputs)


class DeepPointMLP(PointMLP):
    """The same, and another batch norm, ReLU and linear3 behind it."""

    def __init__(self, inputs: int, hidden1: int, hidden2: int, outputs: int) -> None:
        super().__init__(inputs, hidden1, hidden2)
        self.norm2 = RowBatchNorm(hidden2)
        self.linear3 = nn.Linear(hidden2, outputs)


class EncoderStatistics(NamedTuple):
    """Batch statistics of one training pass, not yet tracked."""

    first: RowStatistics
    second: RowStatistics
    deeper: RowStatistics | None = None  # where `first` has a layer more


class PatchEncoder(nn.Module):
    """Patches (B, G, K, I) -> tokens (B, G, C): of coordinates (Point-BERT, Point-MAE), or of tokens (Point-M2AE).

    `first` sees each point; its maximum over the patch joins each point as [global, local] and
    enters `second`, whose maximum is the token. The 1x1 convolutions of the official code are matrix
    products here, and the first layer of `second` is split by columns, so that its global half is
    computed once per patch instead of once per point: the same sums in another order.
    """

    def __init__(
        self, width: int, widths: tuple[int, ...] = (128, 256, 512), inputs: int = _COORDINATES
    ) -> None:
        super().__init__()
        self.inputs = inputs
        *of_points, hidden = widths  # three in all, or four as in PointGPT's large encoder
        self.first = (PointMLP if len(of_points) == 2 else DeepPointMLP)(inputs, *of_points)
        self.second = PointMLP(2 * of_points[-1], hidden, width)
        self.recompute = False  # in the backward pass, instead of keeping what it needs

    def forward(self, patches: Tensor, wanted: int | None = None) -> tuple[Tensor, EncoderStatistics | None]:
        """Encode (B, G, K, I); in training also return the statistics to `track`.

        `wanted`: tokens of the first so many patches of each cloud alone; the statistics are of all patches.
        """
        if not (self.recompute and torch.is_grad_enabled()):
            return self._encoded(patches, wanted)
        again: tuple[Tensor, EncoderStatistics | None] = checkpoint(
            self._encoded, patches, wanted, use_reentrant=False
        )
        return again

    def _encoded(self, patches: Tensor, wanted: int | None) -> tuple[Tensor, EncoderStatistics | None]:
        if not self.training:  # no patch has to do with another
            patches = patches[:, :wanted]
        batch, groups, size, _ = patches.shape
        # Coordinates keep float32: eight bits of mantissa would move the points.
        exact = torch.autocast(patches.device.type, enabled=False)
        with exact if self.inputs == _COORDINATES else nullcontext():
            rows = self.first.linear1(patches.flatten(0, 2))  # (B*G*K, hidden1)
        rows, first = self.first.norm(rows)
        local, deeper = self.first.linear2(F.relu(rows)), None  # (B*G*K, local)
        if isinstance(self.first, DeepPointMLP):
            local, deeper = self.first.norm2(local)
            local = self.first.linear3(F.relu(local))
        pooled = maximum(local.view(batch * groups, size, -1), dim=1)  # (B*G, local)

        from_global, from_local = self.second.linear1.weight.chunk(2, dim=1)
        once = F.linear(pooled, from_global, self.second.linear1.bias)  # (B*G, hidden2)
        each = F.linear(local, from_local).view(batch * groups, size, -1) + once[:, None]
        rows, second = self.second.norm(each.flatten(0, 1))
        rows = rows.view(batch, groups, size, -1)[:, :wanted]
        tokens = maximum(self.second.linear2(F.relu(rows)), dim=2)
        statistics = None if first is None or second is None else EncoderStatistics(first, second, deeper)
        return tokens, statistics

    def track(self, statistics: EncoderStatistics) -> None:
        """Update the running statistics of all batch norms as one official pass would."""
        self.first.norm.track(statistics.first)
        if isinstance(self.first, DeepPointMLP) and statistics.deeper is not None:
            self.first.norm2.track(statistics.deeper)
        self.second.norm.track(statistics.second)
