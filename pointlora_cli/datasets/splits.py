"""Seeded stratified splits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_split(
    labels: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices (n,) into a larger and a held-out part, class by class.

    Each class gives the nearest whole number to `fraction` of its members, at least one and never
    all; a class with a single member gives none.

    Returns:
        sorted indices of the larger part and of the held-out part.
    """
    held = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        shuffled = np.random.RandomState([seed, int(label)]).permutation(members)
        held.append(shuffled[:count])
    held_out = np.sort(np.concatenate(held)).astype(np.int64)
    rest = np.setdiff1d(np.arange(len(labels)), held_out).astype(np.int64)
    return rest, held_out
