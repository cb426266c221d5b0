"""What a file describes before sampling, triangulation of polygons, and points drawn from a surface."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error


@dataclass(frozen=True, eq=False)
class Geometry:
    """What a reader found in a file.

    Attributes:
        vertices: (V, 3) float64; may hold NaN and infinities.
        triangles: (T, 3) indices into `vertices`, all in range; (0, 3) for a plain cloud.
        warnings: what the reader repaired.
    """

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))
    warnings: tuple[str, ...] = ()


def triangulated(
    path: Path, sizes: NDArray[np.int64], corners: NDArray[np.int64], vertex_count: int
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Cuts polygons into fans of triangles.

    Args:
        path: the file, for messages.
        sizes: (F,) number of corners of each face; faces of fewer than 3 are dropped with a warning.
        corners: (sum of sizes,) vertex indices of all faces, one face after the other.
        vertex_count: number of vertices of the file.

    Returns:
        Triangles (T, 3), and warnings.

    Raises:
        CloudError: a face names a vertex that the file does not hold.
    """
    outside = (corners < 0) | (corners >= vertex_count)
    if outside.any():
        first = int(np.argmax(outside))
        face = int(np.searchsorted(np.cumsum(sizes), first, side="right"))
        raise cloud_error(
            path,
            f"face {face + 1:,} names vertex {int(corners[first])}; the file holds {vertex_count:,} vertices "
            f"(0 to {vertex_count - 1})",
            EXPORT_AGAIN,
        )
    small = int(np.count_nonzero(sizes < 3))
    warnings = (f"dropped {small:,} of {len(sizes):,} faces that have fewer than 3 corners",) if small else ()
    fan_sizes = np.maximum(sizes - 2, 0)  # (F,) triangles per face
    face_of_triangle = np.repeat(np.arange(len(sizes)), fan_sizes)
    first_corner = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)[face_of_triangle]
    first_triangle = (np.cumsum(fan_sizes) - fan_sizes)[face_of_triangle]
    step = first_corner + np.arange(len(face_of_triangle)) - first_triangle
    triangles = np.stack([corners[first_corner], corners[step + 1], corners[step + 2]], axis=1)
    return triangles.astype(np.int64, copy=False), warnings


def sampled(geometry: Geometry, count: int, seed: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Points of a geometry: drawn evenly from its surface, or its vertices where it has none.

    Args:
        geometry: vertices and triangles.
        count: number of points drawn from a surface.
        seed: the same seed draws the same points.

    Returns:
        Coordinates (count, 3), or (V, 3) where all triangles have zero area or there are none; warnings.
    """
    vertices, triangles, warnings = geometry.vertices, geometry.triangles, geometry.warnings
    if not len(triangles):
        return vertices, warnings
    finite = np.asarray(np.isfinite(vertices).all(axis=1))
    whole = np.asarray(finite[triangles].all(axis=1))
    if not whole.all():
        bad = int(np.count_nonzero(~whole))
        warnings += (f"dropped {bad:,} of {len(whole):,} triangles with a NaN or infinite corner",)
        triangles = triangles[whole]
    areas = _relative_areas(vertices, triangles)
    total = np.cumsum(areas)
    if not areas.sum() > 0:
        return vertices, (*warnings, "the faces have no area; took the vertices instead")
    generator = np.random.Generator(np.random.PCG64(seed))
    chosen = np.searchsorted(total, generator.random(count) * total[-1], side="right")
    chosen = np.minimum(chosen, int(np.flatnonzero(areas)[-1]))  # rounding may point behind the last one
    a, b, c = (vertices[triangles[chosen, corner]] for corner in range(3))  # (count, 3) each
    root, share = np.sqrt(generator.random((count, 1))), generator.random((count, 1))
    return a * (1 - root) + b * (root * (1 - share)) + c * (root * share), warnings


def _relative_areas(vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Areas (T,) up to a common factor, which keeps huge and tiny meshes from over- and underflowing."""
    origin = vertices[triangles[:, 0]]
    first = vertices[triangles[:, 1]] - origin
    second = vertices[triangles[:, 2]] - origin
    largest = max(np.abs(first).max(initial=0.0), np.abs(second).max(initial=0.0))
    if not 0 < largest < np.inf:
        return np.zeros(len(triangles))
    cross = np.cross(first / largest, second / largest)
    areas: NDArray[np.float64] = np.sqrt((cross**2).sum(axis=1))
    return areas
