"""The checked point cloud that every reader returns and the rest of the house relies on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import cloud_error

# float32 has 24 bits. Coordinates up to 16 times the extent spend 4 of them on where the cloud is, which
# leaves an error below a millionth of the extent; beyond that the position is taken out first.
OFFSET_RATIO = 16.0
# Between these, squared distances are ordinary float32 numbers (1.2e-38 to 3.4e38).
SMALLEST_EXTENT = 1e-18
LARGEST_EXTENT = 1e18


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points of one file, finite, at least two of them distinct.

    Attributes:
        points: (N, 3) float32, in the file's unit and order, less `offset`.
        offset: (3,) float64, what was subtracted from the file's coordinates; zeros where float32 holds
            them well.
        source: path of the file.
        warnings: one short sentence for everything that was repaired.
    """

    points: NDArray[np.float32]
    offset: NDArray[np.float64]
    source: str
    warnings: tuple[str, ...]


def from_coordinates(
    coordinates: NDArray[np.float64], source: Path | str, warnings: tuple[str, ...] = ()
) -> PointCloud:
    """Checks coordinates and casts them to float32 without losing the shape.

    Rows that are NaN or infinite are dropped with a warning. The midpoint of the bounding box is
    subtracted when coordinates exceed 16 times the extent; it depends neither on the order of the points
    nor on duplicates.

    Args:
        coordinates: (N, 3) float64; may hold NaN and infinities.
        source: path that messages begin with.
        warnings: what the reader repaired already.

    Raises:
        CloudError: no point, no finite point, only one, all at one place, or an extent outside
            1e-18 to 1e18 (squared distances would leave float32).
    """
    path = Path(source)
    coordinates, warnings = _finite_rows(coordinates, path, warnings)
    count = len(coordinates)
    if count == 1:
        raise cloud_error(path, "only 1 point", "give a cloud of at least 2 distinct points")
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    half_extent = float((high / 2 - low / 2).max())  # halves first: high - low may overflow
    _check_extent(half_extent * 2, bool((low == high).all()), count, path)
    offset = np.zeros(3)
    if max(np.abs(low).max(), np.abs(high).max()) > OFFSET_RATIO * 2 * half_extent:
        offset = low / 2 + high / 2
    points = np.empty((count, 3), np.float32)
    np.subtract(coordinates, offset, out=points, casting="same_kind")  # in float64, then cast
    return PointCloud(points, offset, str(source), warnings)


def _finite_rows(
    coordinates: NDArray[np.float64], path: Path, warnings: tuple[str, ...]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    count = len(coordinates)
    if count == 0:
        raise cloud_error(path, "no points", "give a cloud of at least 2 distinct points")
    finite = np.isfinite(coordinates).all(axis=1)
    kept = int(np.count_nonzero(finite))
    if kept == count:
        return coordinates, warnings
    if kept == 0:
        raise cloud_error(path, f"all {count:,} points are NaN or infinite")
    dropped = f"dropped {count - kept:,} of {count:,} points that are NaN or infinite"
    return coordinates[finite], (*warnings, dropped)


def _check_extent(extent: float, at_one_place: bool, count: int, path: Path) -> None:
    if at_one_place:
        raise cloud_error(
            path, f"all {count:,} points are at the same place", "give a cloud of at least 2 distinct points"
        )
    if not SMALLEST_EXTENT <= extent <= LARGEST_EXTENT:
        raise cloud_error(
            path,
            f"the cloud is {extent:.3g} wide, outside {SMALLEST_EXTENT:g} to {LARGEST_EXTENT:g}",
            "look for corrupt coordinates, or change the unit",
        )
