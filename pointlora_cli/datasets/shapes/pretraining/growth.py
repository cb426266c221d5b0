"""How woody plants grow: branches that branch again, and leaves about twigs or in the room of a crown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pointlora_cli.datasets.shapes.building import pick
from pointlora_cli.datasets.shapes.copies import random_turns, rods, scattered
from pointlora_cli.datasets.shapes.primitives import Array, Part

_JOINTS = 4  # places of a branch, from its foot to its tip
_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Habit:
    """How a plant branches.

    levels: how often it branches. children: branches of each branch. spread: degrees between a branch and
    its parent. shrink: length of a branch as a share of its parent's. lift: how far it bends up, or down if
    below zero. bare: share of a parent that bears none. wobble: how crooked branches are.
    """

    levels: int
    children: int
    spread: float = 45.0
    shrink: float = 0.6
    lift: float = 0.2
    bare: float = 0.4
    wobble: float = 0.12


@dataclass(frozen=True, eq=False)
class Branches:
    """Paths (N, 4, 3) of branches of one level and their radii (N, 4)."""

    paths: Array
    radii: Array

    def part(self, sides: int) -> Part:
        """Their bark."""
        starts, ends = self.paths[:, :-1].reshape(-1, 3), self.paths[:, 1:].reshape(-1, 3)
        return rods(starts, ends, self.radii[:, :-1].ravel(), self.radii[:, 1:].ravel(), sides)


def stems(rng: np.random.Generator, feet: Array, ways: Array, radii: Array, wobble: float = 0.1) -> Branches:
    """First branches from feet (N, 3), as long as their ways (N, 3) are, of radii (N,) at the foot."""
    return _grown(rng, feet, ways, radii, lift=0.0, wobble=wobble)


def grow(rng: np.random.Generator, first: Branches, habit: Habit) -> list[Branches]:
    """The first branches and all that grow out of them, level by level."""
    levels = [first]
    for _ in range(habit.levels):
        levels.append(_children(rng, levels[-1], habit))
    return levels


def _children(rng: np.random.Generator, parents: Branches, habit: Habit) -> Branches:
    count = len(parents.paths)
    place = habit.bare + (1.0 - habit.bare) * rng.random((count, habit.children))
    place[:, 0] = 0.99  # one goes on where the parent ends
    steps = np.diff(parents.paths, axis=1)
    at = place * (_JOINTS - 1)
    before = at.astype(np.int64)
    row = np.arange(count)[:, None]
    share = (at - before)[..., None]
    feet = parents.paths[row, before] + share * steps[row, before]
    radii = parents.radii[row, before] * (1 - share[..., 0]) + parents.radii[row, before + 1] * share[..., 0]
    along = _unit(steps[row, before])
    across = rng.standard_normal(along.shape)
    across = _unit(across - (across * along).sum(axis=-1, keepdims=True) * along)
    angle = np.deg2rad(habit.spread) * rng.uniform(0.6, 1.3, place.shape)[..., None]
    length = np.sqrt((steps**2).sum(axis=-1)).sum(axis=1)[:, None] * habit.shrink
    length = length * rng.uniform(0.7, 1.25, place.shape) * (1.25 - 0.5 * place)
    ways = (np.cos(angle) * along + np.sin(angle) * across) * length[..., None]
    return _grown(
        rng, feet.reshape(-1, 3), ways.reshape(-1, 3), 0.7 * radii.ravel(), habit.lift, habit.wobble
    )


def _grown(
    rng: np.random.Generator, feet: Array, ways: Array, radii: Array, lift: float, wobble: float
) -> Branches:
    length = np.sqrt((ways**2).sum(axis=1))[:, None]
    paths, way = [feet], ways
    for _ in range(_JOINTS - 1):
        way = _unit(way + length * (wobble * rng.standard_normal(way.shape) + lift * _UP)) * length
        paths.append(paths[-1] + way / (_JOINTS - 1))
    return Branches(np.stack(paths, axis=1), radii[:, None] * np.linspace(1.0, 0.45, _JOINTS))


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.sqrt((vectors**2).sum(axis=-1, keepdims=True)), 1e-12))


# --- leaves -------------------------------------------------------------------------------------------

_CORNERS = {
    "blade": [(0.0, -1.0, 0.0), (0.35, 0.0, 0.1), (0.0, 1.0, 0.0), (-0.35, 0.0, 0.1)],
    "disc": [(np.cos(k * np.pi / 3), np.sin(k * np.pi / 3), 0.0) for k in range(6)],
    "needle": [(0.0, -1.5, 0.0), (0.06, 0.0, 0.0), (0.0, 1.5, 0.0), (-0.06, 0.0, 0.0)],
}


def leaves(rng: np.random.Generator, places: Array, size: float, lit: float = 0.0) -> Part:
    """Leaves of one kind at places (N, 3), turned at random; higher ones larger by up to a share `lit`."""
    corners = np.array(_CORNERS[pick(rng, "blade", "blade", "disc", "needle")])
    triangles = np.stack([np.stack([corners[0], a, b]) for a, b in pairwise(corners[1:])])
    height = places[:, 1] - places[:, 1].min()
    sizes = size * rng.uniform(0.6, 1.4, len(places)) * (1.0 + lit * (height / max(height.max(), 1e-9) - 1.0))
    return scattered(Part(triangles), places, random_turns(rng, len(places)), sizes)


def about_twigs(rng: np.random.Generator, twigs: Branches, count: int, away: float) -> Array:
    """Draw places (count, 3) along the outer part of twigs, a deviation `away` from them."""
    chosen = rng.integers(len(twigs.paths), size=count)
    at = rng.uniform(0.8, _JOINTS - 1.01, count)
    before = at.astype(np.int64)
    share = (at - before)[:, None]
    on = twigs.paths[chosen, before] * (1 - share) + twigs.paths[chosen, before + 1] * share
    return np.asarray(on + away * rng.standard_normal((count, 3)))


def in_blobs(rng: np.random.Generator, count: int, centers: Array, radii: Array, hollow: float) -> Array:
    """Draw places (count, 3) in ellipsoids about centers (B, 3) with half-axes (B, 3).

    `hollow` 0 fills them evenly; 1 leaves little but their skins.
    """
    volume = radii.prod(axis=1) ** (2.0 / 3.0)
    chosen = rng.choice(len(centers), count, p=volume / volume.sum())
    outward = _unit(rng.standard_normal((count, 3)))
    far = rng.random((count, 1)) ** (1.0 / (3.0 + 20.0 * hollow))
    return np.asarray(centers[chosen] + radii[chosen] * outward * far)
