"""Seeded stratified splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratified_split(
    labels: NDArray[np.int64], fraction: float, seed: int, names: Sequence[str] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices (n,) into a larger and a held-out part, class by class.

    Each class gives the nearest whole number to `fraction` of its members, at least one and never
    all; a class with a single member gives none. Members are ranked by a hash of the seed and their
    names, so that one that joins or leaves moves at most those at the border.

    Args:
        labels: (n,) class of each member.
        fraction: share to hold out.
        seed: another seed holds out others.
        names: (n) names, unique within a class; None: the members' places.

    Returns:
        sorted indices of the larger part and of the held-out part.
    """
    held: list[int] = []
    for label in np.unique(labels):
        members = [int(index) for index in np.flatnonzero(labels == label)]
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        members.sort(key=lambda index: _rank(seed, names[index] if names else str(index)))
        held += members[:count]
    held_out = np.array(sorted(held), dtype=np.int64)
    rest = np.setdiff1d(np.arange(len(labels)), held_out).astype(np.int64)
    return rest, held_out


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()
