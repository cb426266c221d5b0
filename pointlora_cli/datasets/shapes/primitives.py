"""Surfaces that shapes are put together from: boxes, turned and swept surfaces, plates, lofts.

Every surface is a `Part`: a soup of flat triangles. Its area is therefore an exact sum, sampling it
uniformly is exact too, and both stay so however a part is stretched or placed. Round surfaces are
polyhedra with their corners on the true surface; at `SIDES` corners a turn they stay within half a
per cent of their radius, below the pose and sensor noise of the clouds.

Axes: x to the right, y up, z to the front. Unless stated otherwise a part stands on the plane y = 0
with the y axis through its middle. Lengths are in metres, angles in degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
Axis: TypeAlias = Literal["x", "y", "z"]

SIDES = 32  # corners of a full circle


@dataclass(frozen=True, eq=False)
class Part:
    """A placed surface made of triangles (T, 3 corners, 3 coordinates)."""

    triangles: Array

    @property
    def areas(self) -> Array:
        """Area of every triangle (T,)."""
        edge = self.triangles[:, 1:] - self.triangles[:, :1]  # (T, 2, 3)
        (ax, ay, az), (bx, by, bz) = edge[:, 0].T, edge[:, 1].T
        normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)  # np.cross is four times slower
        return np.asarray(0.5 * np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2))

    @property
    def area(self) -> float:
        """Total area."""
        return float(self.areas.sum())

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Part:
        """Return the part shifted by (x, y, z)."""
        return Part(self.triangles + np.array([x, y, z]))

    def turned(self, axis: Axis, degrees: float) -> Part:
        """Return the part turned about a coordinate axis, counter-clockwise seen from the axis' tip."""
        return Part(self.triangles @ rotation(axis, degrees).T)

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Part:
        """Return the part stretched along the axes about the origin; -1 mirrors."""
        return Part(self.triangles * np.array([x, y, z]))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Draw points (count, 3) independently and uniformly over the area."""
        return sample_surface([self], count, rng)


def sample_surface(parts: Sequence[Part], count: int, rng: np.random.Generator) -> Array:
    """Draw points (count, 3) independently and uniformly over the area of all parts together."""
    whole = Part(np.concatenate([part.triangles for part in parts]))
    cumulative = np.cumsum(whole.areas)
    if not cumulative[-1] > 0.0:
        raise ValueError("a surface to sample needs an area above zero")
    draws = rng.random((3, count))
    chosen = np.searchsorted(cumulative, draws[0] * cumulative[-1], side="right")
    corners = whole.triangles[np.minimum(chosen, len(cumulative) - 1)]  # (count, 3, 3)
    along, across = np.sqrt(draws[1]), draws[2]  # the root evens out the density over a triangle
    weights = np.stack([1.0 - along, along * (1.0 - across), along * across], axis=1)  # (count, 3)
    return np.asarray((corners * weights[:, :, None]).sum(axis=1))


def rotation(axis: Axis, degrees: float) -> Array:
    """Return the matrix (3, 3) that turns column vectors about a coordinate axis."""
    angle = np.deg2rad(degrees)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second] = -np.sin(angle)
    matrix[second, first] = np.sin(angle)
    return matrix


# --- general surfaces ---------------------------------------------------------------------------------


def grid(vertices: Array) -> Part:
    """Surface through a net of vertices (A, B, 3), two triangles a mesh."""
    a, b, c, d = vertices[:-1, :-1], vertices[1:, :-1], vertices[1:, 1:], vertices[:-1, 1:]
    return Part(np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 3, 3))


def fan(ring: Array) -> Part:
    """Lid over a closed ring (K, 3) of corners, which must be visible from their mean."""
    corners = np.stack(
        [np.broadcast_to(ring.mean(axis=0), ring.shape), ring, np.roll(ring, -1, axis=0)], axis=1
    )
    return Part(corners)


def join(*parts: Part) -> Part:
    """Return several parts as one."""
    return Part(np.concatenate([part.triangles for part in parts]))


def loft(rings: Array, capped: bool = True) -> Part:
    """Skin over closed rings (S, K, 3), with lids over the first and the last if `capped`."""
    skin = grid(np.concatenate([rings, rings[:, :1]], axis=1))
    return join(fan(rings[0]), skin, fan(rings[-1])) if capped else skin


def tube(path: ArrayLike, radius: ArrayLike, sides: int = 12, capped: bool = True) -> Part:
    """Tube along a polyline (K, 3), mitred at the bends, with one radius or one for each point (K,).

    Four sides give a square bar, `radius` being half its diagonal, with faces along x and z if upright.
    """
    points = np.asarray(path, dtype=np.float64)
    steps = np.diff(points, axis=0)
    steps = steps / np.sqrt((steps**2).sum(axis=1, keepdims=True))
    angles = (np.arange(sides) + 0.5) * (2.0 * np.pi / sides)
    side = np.eye(3)[np.argmin(np.abs(steps[0]))]
    side = side - (side @ steps[0]) * steps[0]
    side = side / np.sqrt(side @ side)
    up = np.array(
        [  # step × side, written out: np.cross is slow on single vectors
            steps[0, 1] * side[2] - steps[0, 2] * side[1],
            steps[0, 2] * side[0] - steps[0, 0] * side[2],
            steps[0, 0] * side[1] - steps[0, 1] * side[0],
        ]
    )
    offsets = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * up  # (sides, 3), across steps[0]
    rings = [offsets]
    for step, following in pairwise(steps):
        bisector = step + following
        mitre = offsets - np.outer(offsets @ bisector / (step @ bisector), step)
        offsets = mitre - np.outer(mitre @ following, following)
        rings.append(mitre)
    rings.append(offsets)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(points),))
    return loft(points[:, None] + radii[:, None, None] * np.stack(rings), capped)


def revolve(radii: ArrayLike, heights: ArrayLike, start: float = 0.0, stop: float = 360.0) -> Part:
    """Surface of revolution: a profile of radii (P,) at heights (P,) turned about y from z towards x."""
    count = max(3, int(np.ceil(SIDES * abs(stop - start) / 360.0)))
    angles = np.deg2rad(np.linspace(start, stop, count + 1))
    radius, height = np.asarray(radii, dtype=np.float64), np.asarray(heights, dtype=np.float64)
    vertices = np.empty((len(radius), count + 1, 3))
    vertices[..., 0] = radius[:, None] * np.sin(angles)
    vertices[..., 1] = height[:, None]
    vertices[..., 2] = radius[:, None] * np.cos(angles)
    return grid(vertices)


def extrude(outline: Array, height: float) -> Part:
    """Prism of a height over an outline (K, 2) in (x, z), whose corners must be visible from their mean."""
    rings = np.empty((2, len(outline), 3))
    rings[:, :, 0], rings[:, :, 2] = outline[:, 0], outline[:, 1]
    rings[:, :, 1] = np.array([[0.0], [height]])
    return loft(rings)


# --- turned surfaces ----------------------------------------------------------------------------------


def cylinder(radius: float, height: float, capped: bool = True) -> Part:
    """Upright cylinder, with both lids if `capped`."""
    return frustum(radius, radius, height, capped)


def frustum(bottom: float, top: float, height: float, capped: bool = True) -> Part:
    """Upright truncated cone of two radii, with both lids if `capped`; a radius of zero makes a cone."""
    if capped:
        return revolve([0.0, bottom, top, 0.0], [0.0, 0.0, height, height])
    return revolve([bottom, top], [0.0, height])


def disc(radius: float) -> Part:
    """Flat disc in the plane y = 0."""
    return annulus(0.0, radius)


def annulus(inner: float, outer: float) -> Part:
    """Flat ring between two radii in the plane y = 0."""
    return revolve([inner, outer], [0.0, 0.0])


def sphere(radius: float, lowest: float = -90.0, highest: float = 90.0) -> Part:
    """Sphere about the origin, or its zone between two latitudes."""
    return ellipsoid(radius, radius, radius, lowest, highest)


def ellipsoid(x: float, y: float, z: float, lowest: float = -90.0, highest: float = 90.0) -> Part:
    """Ellipsoid about the origin of three half-axes, or its zone between two latitudes."""
    count = max(3, int(np.ceil(SIDES * (highest - lowest) / 360.0)))
    latitude = np.deg2rad(np.linspace(lowest, highest, count + 1))
    return revolve(np.cos(latitude), np.sin(latitude)).scaled(x, y, z)


def torus(major: float, minor: float, start: float = 0.0, stop: float = 360.0) -> Part:
    """Ring about the y axis and the origin; only the piece from `start` to `stop` if given."""
    angle = np.linspace(0.0, 2.0 * np.pi, SIDES // 2 + 1)
    return revolve(major + minor * np.cos(angle), minor * np.sin(angle), start, stop)


# --- flat-sided parts ---------------------------------------------------------------------------------


def box(width: float, height: float, depth: float) -> Part:
    """Box of sizes along x, y and z."""
    return tapered_box((width, depth), (width, depth), height)


def tapered_box(
    bottom: tuple[float, float], top: tuple[float, float], height: float, shift: float = 0.0
) -> Part:
    """Box whose bottom and top differ in (width, depth), the top moved by `shift` along z."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    rings = np.empty((2, 4, 3))
    rings[0, :, ::2], rings[1, :, ::2] = corners * bottom, corners * top
    rings[:, :, 1] = np.array([[0.0], [height]])
    rings[1, :, 2] += shift
    return loft(rings)


def plate(width: float, depth: float, thickness: float, corner: float = 0.0) -> Part:
    """Flat plate with corners rounded by a radius, `thickness` being its height along y."""
    return extrude(rounded_rectangle(width, depth, corner), thickness)


def panel(width: float, height: float, thickness: float, corner: float = 0.0) -> Part:
    """Upright plate with corners rounded by a radius, `thickness` being its depth along z."""
    return upright(plate(width, height, thickness, corner)).moved(y=height / 2, z=thickness / 2)


def upright(part: Part) -> Part:
    """Turn a lying part up: what pointed to z points up, what pointed up points to -z."""
    return part.turned("x", -90.0)


def rounded_rectangle(width: float, depth: float, corner: float) -> Array:
    """Outline (K, 2) of a rectangle about the origin, its corners rounded by a radius."""
    radius = min(corner, width / 2, depth / 2)
    angle = np.deg2rad(np.linspace(0.0, 90.0, 5 if radius > 0.0 else 1))
    cosine, sine = radius * np.cos(angle), radius * np.sin(angle)
    x, z = width / 2 - radius, depth / 2 - radius
    return np.concatenate(
        [
            np.stack([x + cosine, z + sine], axis=1),
            np.stack([-x - sine, z + cosine], axis=1),
            np.stack([-x - cosine, -z - sine], axis=1),
            np.stack([x + sine, -z - cosine], axis=1),
        ]
    )


def ellipse(width: float, depth: float) -> Array:
    """Outline (SIDES, 2) of an ellipse about the origin."""
    angle = np.arange(SIDES) * (2.0 * np.pi / SIDES)
    return np.stack([width / 2 * np.cos(angle), depth / 2 * np.sin(angle)], axis=1)
