"""What else a scan does: noise along rays, lines, uneven density, holes, neighbours, stray or too few points.

All functions take a generator and change no argument. What draws from a larger set of points keeps exactly as
many as asked for.
"""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.primitives import Array, rotation
from pointlora_cli.datasets.shapes.scanning import CLIPPED_AT, random_direction

SPARE = 4
"""Points to draw for each that `thin_with_distance` or `scan_in_lines` keeps: how uneven the density can become."""

_MOST_HOLES = 6
_FEWEST = 8


def place_scanner(points: Array, rng: np.random.Generator) -> Array:
    """Draw where a scanner (3,) stands: two to five radii from the middle of points (N, 3), rarely below them."""
    heading, rise = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-0.2, 1.0)
    level = np.sqrt(1.0 - rise * rise)
    way = np.array([level * np.sin(heading), rise, level * np.cos(heading)])
    return np.asarray(points.mean(axis=0) + rng.uniform(2.0, 5.0) * _radius(points) * way)


def thin_with_distance(
    points: Array, count: int, scanner: Array, power: float, rng: np.random.Generator
) -> Array:
    """Draw `count` of points (N, 3) without replacement, by chances that fall with a power of the distance.

    A turning laser's rays part with the distance, so that it meets a surface with a density that falls with its
    square. Exponential draws times the inverse chances, the smallest first, are such a drawing.
    """
    distance = np.sqrt(((points - scanner) ** 2).sum(axis=1))
    keys = rng.standard_exponential(len(points)) * (distance / distance.mean()) ** power
    return _smallest(points, keys, count)


def scan_in_lines(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Cut points (N, 3) down to `count`, even in plan and close to parallel lines, as scanned from the air.

    The plan is divided into fields, as many as there shall be points, longer across the lines than along them.
    Of each field the points nearest to its line are kept, one of each field before a second of any.
    """
    heading, longer = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(1.0, 4.0)
    across = points[:, 0] * np.cos(heading) + points[:, 2] * np.sin(heading)
    along = points[:, 2] * np.cos(heading) - points[:, 0] * np.sin(heading)
    step = np.sqrt(max(float(np.ptp(across) * np.ptp(along)), 1e-12) / (count * longer))
    line = across / (longer * step)
    offset = np.abs(line - np.round(line))
    field = np.stack([np.round(line), np.round(along / step)], axis=1).astype(np.int64)
    number = (field[:, 0] - field[:, 0].min()) * (np.ptp(field[:, 1]) + 1) + field[:, 1] - field[:, 1].min()
    order = np.lexsort([offset, number])
    ordered = number[order]
    first = np.searchsorted(ordered, ordered)  # where the field of each begins
    rank = np.empty(len(points))
    rank[order] = np.arange(len(points)) - first
    return _smallest(points, rank + offset, count)


def lose_in_holes(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Cut points (N, 3) down to `count`: the others lie in one to six round holes of different sizes."""
    holes = int(rng.integers(1, _MOST_HOLES + 1))
    centers = points[rng.integers(len(points), size=holes)]
    sizes = rng.uniform(0.5, 1.5, holes)
    depth = (((points[:, None] - centers) ** 2).sum(axis=2) / sizes**2).min(axis=1)
    return _smallest(points, -depth, count)


def noise_along_rays(points: Array, scanner: Array, deviation: float, rng: np.random.Generator) -> Array:
    """Points (N, 3) with gaussian noise in their distance to the scanner, clipped at 3 deviations.

    The deviation is a share of the points' radius.
    """
    rays = points - scanner
    rays = rays / np.maximum(np.sqrt((rays**2).sum(axis=1, keepdims=True)), 1e-12)
    noise = rng.standard_normal((len(points), 1)).clip(-CLIPPED_AT, CLIPPED_AT)
    return np.asarray(points + deviation * _radius(points) * noise * rays)


def piece_beside(points: Array, other: Array, count: int, rng: np.random.Generator) -> Array:
    """A piece (count, 3) of another object (M, 3), cut off by a plane, beside an object (N, 3) or against it.

    It is 0.5 to 1.2 times as large as the object, and mostly stands on the same floor.
    """
    turned = (other - other.mean(axis=0)) @ rotation("y", rng.uniform(0.0, 360.0)).T
    turned = turned * (rng.uniform(0.5, 1.2) * _radius(points) / max(_radius(turned), 1e-12))
    piece = _smallest(turned, turned @ random_direction(rng), count)
    heading, gap, sideways = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-0.1, 0.15), rng.uniform(-0.4, 0.4)
    away = np.array([np.sin(heading), 0.0, np.cos(heading)])
    across = np.array([away[2], 0.0, -away[0]])
    middle, radius = (points.min(axis=0) + points.max(axis=0)) / 2, _radius(points)
    out = (points @ away).max() - (piece @ away).min() + gap * radius
    aside = middle @ across + sideways * radius - piece.mean(axis=0) @ across
    level = points[:, 1].min() - piece[:, 1].min()
    if rng.random() < 0.3:
        level = middle[1] + rng.uniform(-0.5, 0.5) * radius - piece[:, 1].mean()
    return np.asarray(piece + out * away + aside * across + np.array([0.0, level, 0.0]))


def stray_points(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw points (count, 3) evenly in a box one and a half times as large as that of points (N, 3)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((low + high) / 2 + 0.75 * (high - low) * rng.uniform(-1.0, 1.0, (count, 3)))


def few_of_them(points: Array, least: float, rng: np.random.Generator) -> Array:
    """Draw some points (K, 3) of (N, 3): a share between `least` and all, small ones as likely as large ones.

    As likely in the sense of factors: between 0.1 and 1, as often under 0.32 as above. There are never fewer than
    eight, of which a shape can be told.
    """
    share = np.exp(rng.uniform(np.log(least), 0.0))
    return np.asarray(points[rng.permutation(len(points))[: max(_FEWEST, round(share * len(points)))]])


def repeated(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Points (count, 3): all of (K, 3), then some of them again, each as often as others or once more."""
    again = np.arange(count - len(points)) % len(points)
    return np.concatenate([points, points[rng.permutation(len(points))[again]]])


def _radius(points: Array) -> float:
    centred = points - points.mean(axis=0)
    return float(np.sqrt((centred**2).sum(axis=1).max()))


def _smallest(points: Array, keys: Array, count: int) -> Array:
    if count == len(points):
        return points
    return np.asarray(points[np.argpartition(keys, count - 1)[:count]])
