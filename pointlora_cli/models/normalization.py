"""Batch normalisation over rows whose running statistics are updated apart from the pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RowStatistics(NamedTuple):
    """Mean and unbiased variance (C,) of one training pass."""

    mean: Tensor
    variance: Tensor


class RowBatchNorm(nn.Module):
    """BatchNorm1d on (rows, C) that leaves it to the caller when, and how often, statistics are tracked.

    The official networks run their patch encoder once per scale, also where two scales are the same.
    The second pass changes nothing but the running statistics, so we compute once and track twice.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def forward(self, rows: Tensor) -> tuple[Tensor, RowStatistics | None]:
        """Normalise (rows, C); in training by the rows' own statistics, which are returned."""
        if not self.training:
            normal = F.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
            return normal, None
        # With momentum 1 the kernel writes the statistics of this pass.
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        normal = F.batch_norm(
            rows, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps
        )
        return normal, RowStatistics(mean, variance)

    @torch.no_grad()
    def track(self, statistics: RowStatistics) -> None:
        """Move the running statistics as one pass of BatchNorm1d would."""
        self.running_mean.lerp_(statistics.mean, self.momentum)
        self.running_var.lerp_(statistics.variance, self.momentum)
        self.num_batches_tracked.add_(1)
