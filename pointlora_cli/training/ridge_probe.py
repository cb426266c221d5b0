"""A linear probe in closed form: ridge regression of features onto classes.

Nothing is trained by steps, nothing is drawn, and the one number to choose, how strongly weights are held down, is
taken by the error that each cloud of the training set has where it is left out. That error, too, has a closed form
(D. Allen's PRESS, 1974: the residual over one minus the cloud's leverage), so that a probe is one decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_STRENGTHS = 10.0 ** torch.arange(-4, 3, dtype=torch.float64)  # times the mean squared singular value


@dataclass(frozen=True)
class RidgeProbe:
    """A linear map of standardised features to one value for each class."""

    mean: Tensor  # (F,)
    scale: Tensor  # (F,)
    weights: Tensor  # (F, classes)
    bias: Tensor  # (classes,)

    def predict(self, features: Tensor) -> Tensor:
        """Classes (n,) int64 of features (n, F)."""
        standard = (features.double() - self.mean) / self.scale
        return (standard @ self.weights + self.bias).argmax(dim=1)

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """Share of features (n, F) whose class is that of `labels` (n,) int64."""
        return (self.predict(features) == labels).double().mean().item()


def fit_ridge_probe(features: Tensor, labels: Tensor, classes: int) -> RidgeProbe:
    """Fit a probe, in float64.

    Args:
        features: (n, F), n >= 2; what does not vary among them is of no account.
        labels: (n,) int64 on the same device.
        classes: how many there are.

    Raises:
        ValueError: fewer than two clouds, or not one label for each.
    """
    if features.dim() != 2 or len(features) < 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"a probe needs features (n, F) of two clouds or more, each with a label, got "
            f"{tuple(features.shape)} and {tuple(labels.shape)}"
        )
    features = features.double()
    mean = features.mean(dim=0)
    scale = features.std(dim=0, correction=0)
    scale = torch.where(scale > 0, scale, 1)
    targets = torch.nn.functional.one_hot(labels, classes).double()
    bias = targets.mean(dim=0)
    targets = targets - bias
    left, values, right = torch.linalg.svd((features - mean) / scale, full_matrices=False)
    wanted = left.T @ targets  # (r, classes)
    squares = values.square()
    strengths = _STRENGTHS.to(features.device) * squares.mean().clamp_min(1e-12)
    errors = torch.stack([_left_out_error(left, wanted, targets, squares, one) for one in strengths])
    strength = strengths[errors.argmin()]
    weights = right.T @ (wanted * (values / (squares + strength))[:, None])
    return RidgeProbe(mean, scale, weights, bias)


def _left_out_error(
    left: Tensor, wanted: Tensor, targets: Tensor, squares: Tensor, strength: Tensor
) -> Tensor:
    """Mean squared error of each cloud where the fit does without it."""
    kept = squares / (squares + strength)  # (r,)
    leverage = 1 / len(left) + (left.square() * kept).sum(dim=1)  # the mean counts, too
    residual = targets - left @ (wanted * kept[:, None])
    return (residual / (1 - leverage).clamp_min(1e-9)[:, None]).square().mean()
