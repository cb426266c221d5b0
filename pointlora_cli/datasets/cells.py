"""Standing in for the points of a very large cloud: one place for each small cell of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_FINEST = 1 << 10  # cells along the longest side
_ENOUGH = 0.75  # share of the cells allowed that ends the search


class Cells(NamedTuple):
    """The occupied cells of a cloud."""

    means: NDArray[np.float32]  # (R, 3), of the points in each
    cell: NDArray[np.int64]  # (N,) that each point is in
    size: float  # of a cell's side


def occupied_cells(points: NDArray[np.float32], most: int) -> Cells:
    """Divide a cloud (N, 3) into equal cubes, so small that many are occupied, but at most `most`.

    They are never smaller than a thousandth of its longest side, and depend on no order of the points.
    """
    low = points.min(axis=0).astype(np.float64)
    places = points - low  # float64
    extent = float(places.max())
    along, fits, fails = _FINEST, 1, _FINEST + 1
    while True:
        keys = _keys(places, along / extent, along)
        occupied = 1 + int(
            np.count_nonzero(np.diff(np.sort(keys)))
        )  # of np.unique, sorting is the quick half
        if occupied <= most and (occupied >= _ENOUGH * most or fails - along <= 1):
            break
        fits, fails = (along, fails) if occupied <= most else (fits, along)
        guess = int(along * np.sqrt(0.9 * most / occupied))  # as of a surface
        along = min(max(guess, fits + 1), fails - 1) if fails - fits > 1 else fits
    _, cell, counts = np.unique(keys, return_inverse=True, return_counts=True)
    sums = [np.bincount(cell, weights=places[:, axis]) for axis in range(3)]
    means = np.stack(sums, axis=1) / counts[:, None] + low
    return Cells(means.astype(np.float32), cell.astype(np.int64), extent / along)


def _keys(places: NDArray[np.float64], per_unit: float, along: int) -> NDArray[np.int64]:
    """One number (N,) for the cell of each place (N, 3), which are at least 0."""
    index = np.minimum((places * per_unit).astype(np.int64), along - 1)
    keys: NDArray[np.int64] = (index[:, 0] * along + index[:, 1]) * along + index[:, 2]
    return keys
