"""The frame of published clouds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normalized_cloud(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """A cloud (N, 3) with its mean at the origin and its largest norm 1, by all its points, in float64.

    A cloud whose points are all equal becomes that many points at the origin.
    """
    centered = points.astype(np.float64)
    centered -= centered.mean(axis=0)
    largest = np.sqrt(np.einsum("ij,ij->i", centered, centered).max())
    if largest > 0:
        centered /= largest
    return centered.astype(np.float32)
