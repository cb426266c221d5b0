"""Small steps that several classes share: drawing choices, and supports such as legs and pedestals."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from pointlora_cli.datasets.shapes.primitives import Array, Part, cylinder, frustum, plate, revolve, tube

Choice = TypeVar("Choice")


def pick(rng: np.random.Generator, *choices: Choice) -> Choice:
    """Draw one of the choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Draw True with a probability."""
    return bool(rng.random() < probability)


def smooth_profile(heights: ArrayLike, radii: ArrayLike, count: int = 16) -> tuple[Array, Array]:
    """Return radii and heights (count,) of a smooth curve through a few given ones (K,).

    A cubic between neighbours whose slopes vanish where the radius turns, so that it never overshoots.
    """
    x, y = np.asarray(heights, dtype=np.float64), np.asarray(radii, dtype=np.float64)
    slope = np.diff(y) / np.diff(x)
    same_way = slope[:-1] * slope[1:] > 0.0
    tangent = np.zeros_like(y)
    tangent[1:-1] = np.where(
        same_way, 2 * slope[:-1] * slope[1:] / np.where(same_way, slope[:-1] + slope[1:], 1), 0
    )
    tangent[0], tangent[-1] = slope[0], slope[-1]
    at = np.linspace(x[0], x[-1], count)
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    width = x[left + 1] - x[left]
    t = (at - x[left]) / width
    curve = (
        (1 + 2 * t) * (1 - t) ** 2 * y[left]
        + t * (1 - t) ** 2 * width * tangent[left]
        + t**2 * (3 - 2 * t) * y[left + 1]
        + t**2 * (t - 1) * width * tangent[left + 1]
    )
    return curve, at


def four_legs(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Part]:
    """Legs under a (width, depth) top at a height: round or square, straight or splayed, maybe braced."""
    thickness = rng.uniform(0.012, 0.035) * (1.0 + height)
    sides = pick(rng, 4, 10)
    splay = pick(rng, 1.0, 1.0, rng.uniform(1.0, 1.25))
    taper = rng.uniform(0.5, 1.0)
    x, z = width / 2 - thickness, depth / 2 - thickness
    corners = [(x, z), (-x, z), (-x, -z), (x, -z)]
    legs = [
        tube([(splay * i, 0.0, splay * j), (i, height, j)], [taper * thickness, thickness], sides)
        for i, j in corners
    ]
    if not chance(rng, 0.35):
        return legs
    level = rng.uniform(0.15, 0.5)
    out = splay + (1.0 - splay) * level
    feet = [(out * i, level * height, out * j) for i, j in corners]
    pairs = pick(rng, ((0, 3), (1, 2)), ((0, 1), (1, 2), (2, 3), (3, 0)), ((0, 2), (1, 3)))
    return legs + [tube([feet[a], feet[b]], 0.6 * thickness, sides, capped=False) for a, b in pairs]


def pedestal(rng: np.random.Generator, reach: float, height: float) -> list[Part]:
    """Central column of a height on a round foot, a cross or a star that spans a radius."""
    column = rng.uniform(0.02, 0.05) + 0.05 * reach
    foot = pick(rng, "disc", "dome", "star")
    if foot == "disc":
        base = [cylinder(reach, rng.uniform(0.015, 0.04))]
    elif foot == "dome":
        base = [
            revolve([0.0, reach, 0.8 * reach, column], [0.0, 0.0, 0.25 * column, rng.uniform(0.04, 0.12)])
        ]
    else:
        count, rise = pick(rng, 3, 4, 5), rng.uniform(0.03, 0.1)
        arm = tube([(0.0, rise + 0.02, 0.0), (0.0, 0.02, reach)], [0.7 * column, 0.5 * column], 6)
        base = [arm.turned("y", 360.0 / count * k) for k in range(count)]
    return [*base, frustum(column, column * rng.uniform(0.6, 1.0), height, capped=False)]


def slab(rng: np.random.Generator, width: float, depth: float, thickness: float) -> Part:
    """Lying plate with square or randomly rounded corners."""
    return plate(width, depth, thickness, pick(rng, 0.0, rng.uniform(0.0, 0.5)) * min(width, depth))
