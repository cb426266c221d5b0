"""Trees and what grows like them: broadleaf, conifer, palm, dead tree, bush, hedge, grove."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import rods, strand
from pointlora_cli.datasets.shapes.pretraining.growth import (
    Habit,
    about_twigs,
    grow,
    in_blobs,
    leaves,
    stems,
)
from pointlora_cli.datasets.shapes.primitives import Array, Part, ellipsoid, frustum, tube
from pointlora_cli.datasets.shapes.unevenness import dented, superellipsoid, waves


def broadleaf_tree(rng: np.random.Generator) -> list[Part]:
    """Broadleaf tree: a bare trunk, long or hidden, under a crown of lobes, of grown twigs, or of one mass."""
    bare, radius = pick(rng, rng.uniform(0.02, 0.2), rng.uniform(0.2, 0.55)), rng.uniform(0.006, 0.035)
    lean = np.array([*(0.08 * rng.standard_normal(2)), 0.0])[[0, 2, 1]]
    foot, count = np.zeros((1, 3)), int(rng.integers(500, 1600))
    kind = pick(rng, "lobes", "lobes", "grown", "grown", "mass")
    size = rng.uniform(0.02, 0.07)
    if kind == "grown":
        way = np.array([[0.0, rng.uniform(0.5, 0.75), 0.0]]) + lean
        habit = Habit(
            levels=int(rng.integers(2, 4)),
            children=int(rng.integers(4, 7)),
            spread=rng.uniform(25.0, 65.0),
            shrink=rng.uniform(0.45, 0.65),
            lift=rng.uniform(-0.15, 0.3),
            bare=max(bare, 0.2),
        )
        levels = grow(rng, stems(rng, foot, way, np.array([radius])), habit)
        places = about_twigs(rng, levels[-1], count, rng.uniform(0.025, 0.1))
        wood = [level.part(8 if number == 0 else 4) for number, level in enumerate(levels)]
        return [*wood, leaves(rng, places, size, rng.uniform(0.0, 0.6))]
    way = np.array([[0.0, bare + 0.5 * (1.0 - bare), 0.0]]) + lean
    trunk = stems(rng, foot, way, np.array([radius])).part(8)
    middle = np.array([0.0, (1.0 + bare) / 2, 0.0]) + lean
    half = np.array([1.0, 1.0, 1.0]) * rng.uniform(0.25, 0.6)
    half[1] = (1.0 - bare) / 2
    if kind == "mass":
        crown = superellipsoid(half[0], half[1], half[2], rng.uniform(0.6, 1.3), rng.uniform(0.8, 1.2))
        return [
            trunk,
            dented(crown, rng, rng.uniform(0.05, 0.16), rng.uniform(0.25, 0.6)).moved(*middle.tolist()),
        ]
    centers, radii = _lobes(rng, middle, half)
    places = in_blobs(rng, count, centers, radii, _hollow(rng))
    return [trunk, leaves(rng, places, size, rng.uniform(0.0, 0.6))]


def _hollow(rng: np.random.Generator) -> float:
    """How hollow a crown is: many let light through and have leaves all over."""
    return pick(rng, 0.0, rng.uniform(0.0, 0.5))


def _lobes(rng: np.random.Generator, middle: Array, half: Array) -> tuple[Array, Array]:
    """Centers and half-axes (B, 3) of the lobes of a crown about a middle (3,) with half-axes (3,)."""
    count = pick(rng, 1, int(rng.integers(2, 10)), int(rng.integers(2, 10)))
    if count == 1:
        return middle[None], half[None]
    size = rng.uniform(0.35, 0.65) * rng.uniform(0.75, 1.3, (count, 1))
    centers = rng.uniform(-1.0, 1.0, (count, 3))
    centers /= np.maximum(np.sqrt((centers**2).sum(axis=1, keepdims=True)), 1.0)
    return middle + centers * half * (1.0 - 0.8 * size), np.maximum(size * half, 0.08 * half.max())


def conifer(rng: np.random.Generator) -> list[Part]:
    """Conifer: whorls of boughs, a cone of needles, stacked skirts, or a slender column."""
    bare, radius, half = rng.uniform(0.02, 0.3), rng.uniform(0.012, 0.03), rng.uniform(0.14, 0.36)
    trunk = tube([(0.0, 0.0, 0.0), (0.02 * rng.standard_normal(), 0.97, 0.0)], [radius, 0.2 * radius], 8)
    kind = pick(rng, "whorls", "whorls", "needles", "skirts", "column")
    if kind == "skirts":
        count = int(rng.integers(3, 7))
        edges = np.linspace(bare, 1.0, count + 1)
        parts = [trunk]
        for low, high in pairwise(edges.tolist()):
            wide = half * (1.0 - low) / (1.0 - bare)
            cone = frustum(wide, 0.25 * wide, 1.15 * (high - low), capped=False)
            parts.append(dented(cone, rng, 0.06, 0.2).moved(y=float(low)))
        return parts
    curve = rng.uniform(0.7, 1.5)
    if kind == "whorls":
        count = int(rng.integers(60, 160))
        level = bare + (1.0 - bare) * np.sort(rng.random(count))
        if chance(rng, 0.6):
            level = np.round(level * 14.0) / 14.0 + 0.01 * rng.standard_normal(count)
        long = (
            half * np.clip((1.03 - level) / (1.0 - bare), 0.03, 1.0) ** curve * rng.uniform(0.7, 1.15, count)
        )
        turn, drop = rng.uniform(0.0, 2.0 * np.pi, count), rng.uniform(-0.5, 0.35)
        feet = np.stack([0.0 * level, level, 0.0 * level], axis=1)
        out = np.stack([np.sin(turn) * long, drop * long, np.cos(turn) * long], axis=1)
        boughs = stems(rng, feet, out, np.full(count, 0.35 * radius), 0.06)
        places = about_twigs(rng, boughs, int(rng.integers(300, 700)), rng.uniform(0.008, 0.025))
        return [trunk, boughs.part(4), leaves(rng, places, rng.uniform(0.012, 0.03))]
    count = int(rng.integers(500, 1600))
    level = rng.random(count) if kind == "column" else 1.0 - np.sqrt(rng.random(count))
    shape = (1.0 - level) ** curve if kind == "needles" else np.sin(np.pi * (0.1 + 0.9 * level) ** 0.7) ** 0.6
    wide = half * (0.5 if kind == "column" else 1.0) * shape
    far, turn = (
        np.sqrt(rng.uniform(rng.uniform(0.0, 0.7), 1.0, count)) * wide,
        rng.uniform(0.0, 6.2832, count),
    )
    places = np.stack([far * np.sin(turn), bare + (1.0 - bare) * level, far * np.cos(turn)], axis=1)
    return [trunk, leaves(rng, places, rng.uniform(0.015, 0.035))]


def palm(rng: np.random.Generator) -> list[Part]:
    """Palm: a bent ringed trunk, or none, and a head of arching fronds with leaflets or whole blades."""
    tall, bend, share = rng.uniform(0.15, 1.0), rng.uniform(0.0, 0.25), np.linspace(0.0, 1.0, 12)
    path = np.stack([bend * share**2, tall * share, 0.0 * share], axis=1)
    rings = 1.0 + 0.12 * (np.arange(12) % 2)
    trunk = strand(path, rng.uniform(0.02, 0.04) * rings * (1.0 - 0.3 * share))
    count, joints = int(rng.integers(7, 19)), 9
    turn = np.arange(count) * 2.4 + rng.uniform(-0.3, 0.3, count)
    long = rng.uniform(0.3, 0.55) * rng.uniform(0.8, 1.15, count)
    rise, fall = rng.uniform(-0.1, 1.0, (count, 1)), rng.uniform(0.3, 1.6)
    along = np.linspace(0.0, 1.0, joints)
    out = long[:, None] * along
    up = long[:, None] * (rise * along - fall * along**2 * 0.8)
    heading = np.stack([np.sin(turn), 0.0 * turn, np.cos(turn)], axis=1)[:, None]
    ribs = (
        path[-1] + out[..., None] * heading + up[..., None] * np.array([0.0, 1.0, 0.0])
    )  # (count, joints, 3)
    width = rng.uniform(0.12, 0.32) * long[:, None, None] * np.sin(np.pi * (0.08 + 0.9 * along))[:-1, None]
    across = np.cross(heading, [0.0, 1.0, 0.0]) * width
    hang = rng.uniform(-0.2, 0.9) * width * np.array([0.0, 1.0, 0.0])
    cut = rng.uniform(0.45, 1.0)
    blades = []
    for side in (-1.0, 1.0):
        tip = ribs[:, :-1] + side * across - hang + 0.3 * (ribs[:, 1:] - ribs[:, :-1])
        other = ribs[:, :-1] + cut * (ribs[:, 1:] - ribs[:, :-1])
        blades.append(np.stack([ribs[:, :-1], other, tip], axis=2).reshape(-1, 3, 3))
    stalks = rods(ribs[:, :-1].reshape(-1, 3), ribs[:, 1:].reshape(-1, 3), 0.006, 0.005, 4)
    parts = [trunk, Part(np.concatenate(blades)), stalks]
    if chance(rng, 0.3):
        parts += [
            ellipsoid(0.03, 0.035, 0.03).moved(*(path[-1] + [x, -0.05, z]))
            for x, z in rng.uniform(-0.06, 0.06, (3, 2))
        ]
    return parts


def dead_tree(rng: np.random.Generator) -> list[Part]:
    """Leafless tree: a crooked trunk or several, branching two to four times; or a broken stump with roots."""
    count = pick(rng, 1, 1, 1, 2, 3)
    radius, tall = rng.uniform(0.02, 0.06), rng.uniform(0.35, 0.8)
    ways = np.stack(
        [0.15 * rng.standard_normal(count), np.full(count, tall), 0.15 * rng.standard_normal(count)], 1
    )
    first = stems(rng, np.zeros((count, 3)), ways, np.full(count, radius), 0.14)
    habit = Habit(
        levels=int(rng.integers(2, 4)),
        children=int(rng.integers(3, 6)),
        spread=rng.uniform(25.0, 70.0),
        shrink=rng.uniform(0.45, 0.7),
        lift=rng.uniform(-0.1, 0.25),
        bare=rng.uniform(0.15, 0.5),
        wobble=rng.uniform(0.08, 0.25),
    )
    parts = [level.part(8 if number == 0 else 5) for number, level in enumerate(grow(rng, first, habit))]
    if chance(rng, 0.4):
        turn = rng.uniform(0.0, 2.0 * np.pi, 5)
        ways = rng.uniform(0.1, 0.25) * np.stack([np.sin(turn), np.full(5, -0.25), np.cos(turn)], axis=1)
        parts.append(stems(rng, np.tile([[0.0, 0.03, 0.0]], (5, 1)), ways, np.full(5, radius)).part(6))
    return parts


def bush(rng: np.random.Generator) -> list[Part]:
    """Bush: many stems from one foot, lobes of leaves down to the ground, or a clipped ball, cone or block."""
    kind, count = pick(rng, "stems", "lobes", "lobes", "clipped"), int(rng.integers(500, 1600))
    size = rng.uniform(0.025, 0.08)
    if kind == "clipped":
        form = superellipsoid(
            0.5, rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.8), *rng.uniform(0.2, 1.4, 2).tolist()
        )
        return [dented(form, rng, rng.uniform(0.02, 0.12), rng.uniform(0.15, 0.5)).moved(y=0.5)]
    if kind == "stems":
        number = int(rng.integers(4, 14))
        ways = rng.standard_normal((number, 3)) * rng.uniform(0.15, 0.35)
        ways[:, 1] = rng.uniform(0.5, 0.9, number)
        first = stems(rng, 0.04 * rng.standard_normal((number, 3)) * [1, 0, 1], ways, np.full(number, 0.012))
        habit = Habit(int(rng.integers(1, 3)), 4, rng.uniform(25.0, 60.0), 0.5, rng.uniform(-0.2, 0.3), 0.2)
        levels = grow(rng, first, habit)
        places = about_twigs(rng, levels[-1], count, rng.uniform(0.03, 0.12))
        return [*(level.part(4) for level in levels), leaves(rng, places, size)]
    number = int(rng.integers(2, 8))
    radii = rng.uniform(0.15, 0.4, (number, 3))
    centers = rng.uniform(-0.45, 0.45, (number, 3)) * [1.0, 0.0, rng.uniform(0.3, 1.0)]
    centers[:, 1] = radii[:, 1] * rng.uniform(0.3, 1.2, number)
    places = in_blobs(rng, count, centers, radii, _hollow(rng))
    return [
        leaves(rng, np.maximum(places, [-9.0, 0.0, -9.0]), size, rng.uniform(0.0, 0.6)),
        *_ground(rng, 0.6, 0.3),
    ]


def _ground(rng: np.random.Generator, reach: float, probability: float) -> list[Part]:
    """A ragged patch of ground with grass on it, now and then."""
    if not chance(rng, probability):
        return []
    count = int(rng.integers(40, 160))
    places = rng.uniform(-reach, reach, (count, 3)) * [1.0, 0.0, rng.uniform(0.3, 1.0)]
    places[:, 1] = 0.03 * reach * rng.random(count)
    return [leaves(rng, places, 0.04 * reach)]


def hedge(rng: np.random.Generator) -> list[Part]:
    """Hedgerow: a long, straight or bent band of leaves, clipped or wild, with gaps and trees standing out."""
    long, wide, tall = rng.uniform(1.5, 9.0), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.8)
    count, box_like = int(rng.integers(600, 1500)), chance(rng, 0.4)
    along = rng.uniform(-0.5, 0.5, count)
    wild = 0.0 if box_like else rng.uniform(0.15, 0.5)
    profile = waves(rng, rng.uniform(0.3, 2.0))
    line = np.stack([long * along, 0.0 * along, 0.0 * along], axis=1)
    height = tall * np.maximum(1.0 + wild * profile(line), 0.1)
    if box_like:
        level, across = rng.random(count), rng.uniform(-0.5, 0.5, count)
        outside = rng.integers(3, size=count)
        level = np.where(outside == 0, 1.0, level)
        across = np.where(outside == 1, 0.5 * np.sign(across), across)
    else:
        turn, far = rng.uniform(0.0, np.pi, count), rng.uniform(rng.uniform(0.0, 0.8), 1.0, count) ** 0.5
        level, across = (
            far * np.sin(turn),
            0.5 * far * np.cos(turn) * np.maximum(1.0 + wild * profile(line + 9.0), 0.2),
        )
    places = np.stack([long * along, height * level, wide * across], axis=1)
    if not box_like and chance(rng, 0.6):
        number = int(rng.integers(1, 6))
        radii = rng.uniform(0.3, 0.8, (number, 1)) * [1.0, rng.uniform(0.7, 1.4), 1.0] * tall
        centers = np.stack(
            [rng.uniform(-0.5, 0.5, number) * long, tall * rng.uniform(0.7, 1.3, number), np.zeros(number)], 1
        )
        crowns = in_blobs(rng, 150 * number, centers, radii, _hollow(rng))
        places = np.concatenate([places, crowns])
    if chance(rng, 0.4):
        gap = rng.uniform(-0.4, 0.4) * long
        places = places[np.abs(places[:, 0] - gap) > rng.uniform(0.02, 0.07) * long]
    bend = rng.uniform(-0.5, 0.5) * pick(rng, 0.0, 1.0) / long
    places[:, 2] += bend * places[:, 0] ** 2 + pick(rng, 0.0, 0.03 * long) * np.sin(6.0 * places[:, 0] / long)
    places[:, 1] += rng.uniform(-0.08, 0.08) * places[:, 0]
    return [leaves(rng, places, rng.uniform(0.02, 0.06), rng.uniform(0.0, 0.5))]


def grove(rng: np.random.Generator) -> list[Part]:
    """Edge of a wood: several crowns and lower bushes close together, in a row or a group, over some ground."""
    number, row = int(rng.integers(2, 9)), chance(rng, 0.6)
    spread = rng.uniform(0.15, 0.32) * number ** (1.0 if row else 0.6)
    feet = rng.uniform(-1.0, 1.0, (number, 3)) * [spread, 0.0, 0.2 if row else spread]
    tall = rng.uniform(0.25, 1.0, number)
    bare = rng.uniform(0.0, 0.4, number) * tall
    radii = np.stack(
        [rng.uniform(0.2, 0.45, number), (tall - bare) / 2, rng.uniform(0.2, 0.45, number)], axis=1
    )
    radii[:, [0, 2]] *= np.sqrt(tall)[:, None]
    centers = feet + np.stack([0.0 * tall, (tall + bare) / 2, 0.0 * tall], axis=1)
    places = in_blobs(rng, int(rng.integers(700, 1600)), centers, radii, _hollow(rng))
    lifted = waves(rng, rng.uniform(0.15, 0.5))(places)
    places = places[lifted > rng.uniform(-2.5, -0.8)]  # gaps in the leaves
    trunks = rods(feet, centers, 0.02 * np.sqrt(tall), 0.01, 6)
    crowns = leaves(rng, places, rng.uniform(0.025, 0.07), rng.uniform(0.0, 0.6))
    low = _ground(rng, spread + 0.3, 0.6)
    if row:
        low = [part.scaled(z=0.35) for part in low]
    return [trunks, crowns, *low]
