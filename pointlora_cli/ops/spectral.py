"""The graph Fourier basis of a few points: the eigenvectors of their normalised Laplacian.

Every pair of points is joined by a weight of 1 / distance, where the unit of distance is so small that
no pair is nearer than 1; each point is joined to itself by 1. With the weights W and their row sums d,

    L = I - diag(d)^-1/2 W diag(d)^-1/2,    L = U diag(eigenvalues) U^T.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pointlora_cli.ops.neighbors import squared_distances

_EPSILON = 1e-6  # beside the row sums
_NEARLY = 0.999  # of the largest component: as large, up to rounding


def exact_basis(points: Tensor) -> Tensor:
    """The bases of the S groups of each cloud, the same whatever stands beside the cloud.

    Distances are taken by differences, and all is computed in float64: eigenvalues lie close together,
    and rounding in float32 would turn their eigenvectors visibly. The unit is the smallest distance
    between different points of one group, over the groups of a cloud; copies of a point count as
    one unit apart. An eigenvector has no sign of its own: here its largest component is positive, or
    the first of those that are as large.

    Args:
        points: (B, S, n, 3).

    Returns:
        (B, S, n, n) float64: an eigenvector in each column, eigenvalues ascending.
    """
    clouds, groups, size, _ = points.shape
    points = points.detach().double().flatten(0, 1)
    distances = squared_distances(points, points).sqrt_().view(clouds, groups, size, size)
    units = _smallest_positive(distances.flatten(1))[:, None, None, None]
    return _with_signs(torch.linalg.eigh(graph_laplacian(distances, units)).eigenvectors)


def released_basis(points: Tensor) -> Tensor:
    """The same as PointGST's released code computes it, in the type of `points`; it depends on the batch.

    The unit is the smallest positive entry of all distance matrices of the batch. They come from a
    product of matrices, so the diagonal is not zero but rounding, and in float32 that rounding is the
    unit. Signs are as the solver leaves them.

    Args:
        points: (B, S, n, 3).

    Returns:
        (B, S, n, n): an eigenvector in each column, eigenvalues ascending.
    """
    clouds, groups, size, _ = points.shape
    points = points.detach().flatten(0, 1)
    distances = torch.cdist(points, points)
    units = _smallest_positive(distances.flatten()[None])[:, None, None]
    vectors: Tensor = torch.linalg.eigh(graph_laplacian(distances, units)).eigenvectors
    return vectors.view(clouds, groups, size, size)


def graph_laplacian(distances: Tensor, units: Tensor) -> Tensor:
    """The normalised Laplacian (..., n, n) of distances (..., n, n), in units that broadcast to them."""
    identity = torch.eye(distances.shape[-1], dtype=distances.dtype, device=distances.device)
    # Only copies of a point are nearer than the unit; their weight would be infinite.
    apart = torch.where(identity > 0, 1 + distances / units, (distances / units).clamp_min(1))
    weights = 1 / apart
    scale = torch.rsqrt(weights.sum(dim=-1) + _EPSILON)
    return identity - scale[..., :, None] * weights * scale[..., None, :]


def _smallest_positive(rows: Tensor) -> Tensor:
    """(B, M) -> (B,), 1 where nothing is positive."""
    smallest = torch.where(rows > 0, rows, torch.inf).amin(dim=1)
    return torch.where(smallest.isinf(), 1.0, smallest)


def _with_signs(vectors: Tensor) -> Tensor:
    """Make the largest component of each column of (..., n, n) positive."""
    sizes = vectors.abs()
    is_largest = sizes >= _NEARLY * sizes.amax(dim=-2, keepdim=True)
    first = is_largest.to(torch.uint8).argmax(dim=-2, keepdim=True)
    return vectors * vectors.gather(-2, first).sign()
