"""Batch normalisation by the statistics of all processes of a run, exact for shares of any sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from pointlora_cli.models.normalization import RowBatchNorm, RowStatistics


class SynchronizedRowBatchNorm(RowBatchNorm):
    """The same over the rows of all processes, which have one each at least."""

    def __init__(self, norm: RowBatchNorm, group: dist.ProcessGroup) -> None:
        """Take the place of `norm`, with its weights and statistics."""
        super().__init__(len(norm.running_mean), eps=norm.eps, momentum=norm.momentum)
        _take_over(self, norm)
        self.group = group

    def forward(self, rows: Tensor) -> tuple[Tensor, RowStatistics | None]:
        """Normalise (rows, C); in training by the statistics of the rows of all, which are returned."""
        if not self.training:
            return super().forward(rows)
        normal, mean, variance = _normalized(rows, self.weight, self.bias, self.eps, self.group)
        return normal, RowStatistics(mean, variance)


class SynchronizedBatchNorm1d(nn.BatchNorm1d):
    """The same over the inputs (B, C) or (B, C, L) of all processes."""

    def __init__(self, norm: nn.BatchNorm1d, group: dist.ProcessGroup) -> None:
        """Take the place of `norm`, with its weights and statistics."""
        super().__init__(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        _take_over(self, norm)
        self.group = group

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in training by the statistics of all inputs, which are tracked."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None  # as it was made
        assert self.num_batches_tracked is not None and self.momentum is not None
        rows = input if input.ndim == 2 else input.movedim(1, -1)
        normal, mean, variance = _normalized(
            rows.reshape(-1, self.num_features), self.weight, self.bias, self.eps, self.group
        )
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.num_batches_tracked.add_(1)
        normal = normal.view(rows.shape)
        return normal if input.ndim == 2 else normal.movedim(-1, 1)


def synchronize_batch_norm(model: nn.Module, group: dist.ProcessGroup) -> None:
    """Put a synchronised batch norm in the place of each; parameters stay the same, and so do all names."""
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, RowBatchNorm):
                setattr(parent, name, SynchronizedRowBatchNorm(module, group))
            elif isinstance(module, nn.BatchNorm1d):
                setattr(parent, name, SynchronizedBatchNorm1d(module, group))


def _take_over(new: RowBatchNorm | nn.BatchNorm1d, old: RowBatchNorm | nn.BatchNorm1d) -> None:
    for name, parameter in old.named_parameters():
        setattr(new, name, parameter)
    for name, buffer in old.named_buffers():
        setattr(new, name, buffer)
    new.train(old.training)


def _normalized(
    rows: Tensor, weight: Tensor, bias: Tensor, eps: float, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (n, C) normalised, and mean and unbiased variance (C,) of the rows of all processes."""
    normal, mean, variance = _Normalize.apply(rows, weight, bias, eps, group)  # type: ignore[no-untyped-call]
    return normal, mean, variance


class _Normalize(torch.autograd.Function):
    """One message of statistics forward, and one of two sums backward."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float, group: dist.ProcessGroup
    ) -> tuple[Tensor, Tensor, Tensor]:
        exact = rows.to(torch.promote_types(rows.dtype, torch.float32))
        own_mean = exact.mean(dim=0)
        own = torch.cat([exact.new_full((1,), len(rows)), own_mean, (exact - own_mean).square().sum(dim=0)])
        of_all = _of_all(own, group)
        counts, means, squares = torch.split(of_all, [1, rows.shape[1], rows.shape[1]], dim=1)
        count = counts.sum()
        mean = (counts * means).sum(dim=0) / count
        # Squares about the common mean from those about each process's own (Chan, Golub and LeVeque).
        total = (squares + counts * (means - mean).square()).sum(dim=0)
        scale = torch.rsqrt(total / count + eps)
        ctx.save_for_backward(rows, weight, mean, scale, count)
        ctx.group = group
        unbiased = total / (count - 1).clamp(min=1)
        ctx.mark_non_differentiable(mean, unbiased)
        normal = (exact - mean) * (scale * weight) + bias
        return normal.to(rows.dtype), mean, unbiased

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, scale, count = ctx.saved_tensors
        gradient_exact = gradient.to(mean.dtype)
        normal = (rows.to(mean.dtype) - mean) * scale
        of_bias, of_weight = gradient_exact.sum(dim=0), (gradient_exact * normal).sum(dim=0)
        of_rows = None
        if ctx.needs_input_grad[0]:
            sums = torch.stack([of_bias, of_weight])
            dist.all_reduce(sums, group=ctx.group)
            of_rows = (gradient_exact - (sums[0] + normal * sums[1]) / count) * (scale * weight)
            of_rows = of_rows.to(rows.dtype)
        return of_rows, of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, None


def _of_all(own: Tensor, group: dist.ProcessGroup) -> Tensor:
    """The vector (n,) of each process: (processes, n)."""
    of_all = own.new_zeros(group.size(), len(own))
    of_all[group.rank()] = own
    dist.all_reduce(of_all, group=group)  # adds zeros: it is the gathering that every backend has
    return of_all
