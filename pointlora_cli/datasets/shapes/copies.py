"""Many like parts at once: rods, boxes, and copies of a part placed, turned and sized one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pointlora_cli.datasets.shapes.primitives import Array, Part, box, grid, join

_LATITUDE = np.linspace(-np.pi / 2, np.pi / 2, 10)[:, None]
_LONGITUDE = np.linspace(0.0, 2.0 * np.pi, 15)
_EGG: Array = grid(
    np.stack(
        np.broadcast_arrays(
            np.cos(_LATITUDE) * np.sin(_LONGITUDE),
            np.sin(_LATITUDE),
            np.cos(_LATITUDE) * np.cos(_LONGITUDE),
        ),
        axis=-1,
    )
).triangles


def rods(starts: Array, ends: Array, first: ArrayLike, last: ArrayLike, sides: int = 6) -> Part:
    """Straight rods between places (N, 3) without lids; their radii at both ends are one each or (N,)."""
    along = ends - starts
    along = along / np.maximum(np.sqrt((along**2).sum(axis=1, keepdims=True)), 1e-12)
    side = np.eye(3)[np.abs(along).argmin(axis=1)]
    side = side - (side * along).sum(axis=1, keepdims=True) * along
    side = side / np.sqrt((side**2).sum(axis=1, keepdims=True))
    up = np.cross(along, side)
    angles = (np.arange(sides) + 0.5) * (2.0 * np.pi / sides)
    circle = np.cos(angles)[:, None] * side[:, None] + np.sin(angles)[:, None] * up[:, None]  # (N, sides, 3)
    radii = [np.broadcast_to(np.asarray(value, dtype=np.float64), (len(starts),)) for value in (first, last)]
    a = starts[:, None] + radii[0][:, None, None] * circle
    d = ends[:, None] + radii[1][:, None, None] * circle
    b, c = np.roll(a, -1, axis=1), np.roll(d, -1, axis=1)
    return Part(np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 3, 3))


def strand(path: Array, radius: ArrayLike, sides: int = 8) -> Part:
    """Round strand along a finely cut curve (K, 3), of one radius or one for each place (K,)."""
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(path),))
    return rods(path[:-1], path[1:], radii[:-1], radii[1:], sides)


def egg(x: float, y: float, z: float) -> Part:
    """Ellipsoid of three half-axes about the origin, of few triangles."""
    return Part(_EGG * np.array([x, y, z]))


def ball(radius: float) -> Part:
    """Sphere about the origin, of few triangles."""
    return egg(radius, radius, radius)


def hoop(radius: float, thick: float) -> Part:
    """Round ring about the y axis and the origin, of few triangles."""
    angle = np.linspace(0.0, 2.0 * np.pi, 25)
    return strand(np.stack([radius * np.sin(angle), 0.0 * angle, radius * np.cos(angle)], axis=1), thick, 6)


def boxes(lowest: ArrayLike, sizes: ArrayLike) -> Part:
    """Boxes along the axes, given by their lowest corners and sizes, each (N, 3) or one for all (3,)."""
    low, size = np.broadcast_arrays(np.atleast_2d(lowest), np.atleast_2d(sizes))
    corners = box(1.0, 1.0, 1.0).triangles + np.array([0.5, 0.0, 0.5])  # (T, 3, 3)
    return Part((low[:, None, None] + size[:, None, None] * corners).reshape(-1, 3, 3))


def scattered(part: Part, places: Array, turns: Array, sizes: ArrayLike = 1.0) -> Part:
    """Copies of a part at places (N, 3), turned by matrices (N, 3, 3), of one size or one each (N,)."""
    scale = np.broadcast_to(np.asarray(sizes, dtype=np.float64), (len(places),))
    matrices = (scale[:, None, None] * turns).reshape(-1, 3)
    # One product of two matrices: batches of 3 x 3 ones are many times slower.
    corners = (part.triangles.reshape(-1, 3) @ matrices.T).reshape(-1, len(places), 3)
    return Part((corners + places).transpose(1, 0, 2).reshape(-1, 3, 3))


def shifted(places: Array, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    """Places (N, 3) moved by (x, y, z)."""
    return np.asarray(places + np.array([x, y, z]))


def around(part: Part, count: int) -> Part:
    """The part as many times around the y axis, evenly."""
    angles = np.arange(count, dtype=np.float64) * (2.0 * np.pi / count)
    return scattered(part, np.zeros((count, 3)), headings(angles))


def headings(angles: Array) -> Array:
    """Matrices (N, 3, 3) that turn about the y axis by angles (N,) in radians, from z towards x."""
    turns = np.zeros((len(angles), 3, 3))
    turns[:, 1, 1] = 1.0
    turns[:, 0, 0] = turns[:, 2, 2] = np.cos(angles)
    turns[:, 0, 2], turns[:, 2, 0] = np.sin(angles), -np.sin(angles)
    return turns


def mirrored(part: Part) -> Part:
    """The part and its mirror image on the other side of x = 0."""
    return join(part, part.scaled(x=-1.0))


def random_turns(rng: np.random.Generator, count: int) -> Array:
    """Draw rotation matrices (count, 3, 3) uniformly, from uniform unit quaternions."""
    quaternions = rng.standard_normal((count, 4))
    w, x, y, z = (quaternions / np.sqrt((quaternions**2).sum(axis=1, keepdims=True))).T
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], axis=1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], axis=1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1),
        ],
        axis=1,
    )
