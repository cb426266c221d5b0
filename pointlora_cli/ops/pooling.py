"""The maximum over points."""

from __future__ import annotations

import torch
from torch import Tensor


def maximum(values: Tensor, dim: int) -> Tensor:
    """The maximum (..., C) along one dimension of values (..., K, ..., C); its gradient goes to one of them.

    Which of equal ones gets it is open. `amax` divides the gradient among them, for which it keeps all values and
    compares them anew; here the place of the largest is kept, in a K-th of the memory, and the backward pass is
    several times as fast. Where no gradient is wanted, `amax` is the faster one.
    """
    if torch.is_grad_enabled() and values.requires_grad:
        return values.max(dim=dim).values
    return values.amax(dim=dim)
