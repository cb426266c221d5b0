"""Plants that are not woody: cactus, mushroom, potted plant, flower, fern, grass."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick, smooth_profile
from pointlora_cli.datasets.shapes.copies import ball, egg, hoop, strand
from pointlora_cli.datasets.shapes.pretraining.growth import in_blobs, leaves
from pointlora_cli.datasets.shapes.primitives import (
    Array,
    Part,
    box,
    cylinder,
    ellipsoid,
    frustum,
    grid,
    join,
    revolve,
)


def _blades(roots: Array, tips: Array, bend: Array, width: float) -> Part:
    """Flat blades from roots to tips (N, 3), bent by a vector (3,) or (N, 3) and broadest below the middle."""
    share = np.linspace(0.0, 1.0, 5)[:, None]
    spine = roots[:, None] + share * (tips - roots)[:, None] + np.atleast_2d(bend)[:, None] * share**2
    flat = np.cross(tips - roots, [0.0, 1.0, 0.0])
    flat = flat / np.maximum(np.sqrt((flat**2).sum(axis=1, keepdims=True)), 1e-9)
    half = width / 2 * np.sin(np.pi * (0.12 + 0.88 * share) ** 0.8)
    left, right = spine + half * flat[:, None], spine - half * flat[:, None]
    a, b, c, d = left[:, :-1], left[:, 1:], right[:, 1:], right[:, :-1]
    return Part(np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 3, 3))


def _ribbed(part: Part, ribs: int, depth: float) -> Part:
    turn = np.arctan2(part.triangles[..., 0], part.triangles[..., 2])
    ripple = 1.0 + depth * np.cos(ribs * turn)
    return Part(part.triangles * np.stack([ripple, np.ones_like(ripple), ripple], axis=-1))


def cactus(rng: np.random.Generator) -> list[Part]:
    """Cactus: a column with arms, a ribbed ball, or flat pads that grow out of each other."""
    kind = pick(rng, "column", "column", "ball", "pads")
    if kind == "column":
        radius, tall = rng.uniform(0.06, 0.12), rng.uniform(0.7, 1.3)
        share = np.linspace(0.0, 1.0, 7)
        body = revolve(
            [*np.full(6, radius), *(radius * np.cos(share[1:] * np.pi / 2))],
            [*np.linspace(0, tall, 6), *(tall + radius * np.sin(share[1:] * np.pi / 2))],
        )
        parts = [_ribbed(body, int(rng.integers(6, 12)), 0.1)]
        for _ in range(int(rng.integers(1, 5))):
            low, out, up = rng.uniform(0.25, 0.6) * tall, rng.uniform(0.15, 0.3), rng.uniform(0.15, 0.5)
            turn = np.linspace(0.0, np.pi / 2, 6)
            bend = np.stack(
                [radius + out * np.sin(turn), low + 0.5 * out * (1 - np.cos(turn)), 0 * turn], axis=1
            )
            path = np.concatenate([bend, [[radius + out, low + 0.5 * out + up, 0.0]]])
            arm = join(strand(path, 0.65 * radius), ball(0.65 * radius).moved(*path[-1]))
            parts.append(arm.turned("y", rng.uniform(0.0, 360.0)))
        return parts
    if kind == "ball":
        body = _ribbed(
            ellipsoid(0.4, rng.uniform(0.3, 0.55), 0.4), int(rng.integers(7, 16)), rng.uniform(0.06, 0.14)
        )
        return [body.moved(y=0.35), *([ball(0.08).moved(y=0.8)] if chance(rng, 0.3) else [])]
    pad = egg(0.16, 0.22, 0.04)
    parts, tops = [pad.moved(y=0.2)], [(0.0, 0.4, 0.0)]
    for _ in range(int(rng.integers(2, 9))):
        x, y, z = tops[int(rng.integers(len(tops)))]
        size, lean = rng.uniform(0.55, 0.95), np.deg2rad(rng.uniform(-55.0, 55.0))
        grown = (
            pad.scaled(size, size, size).turned("y", rng.uniform(0, 180)).turned("z", float(np.rad2deg(lean)))
        )
        long = 0.2 * size
        parts.append(grown.moved(x - long * np.sin(lean), y + long * np.cos(lean), z))
        tops.append((x - 1.8 * long * np.sin(lean), y + 1.8 * long * np.cos(lean), z))
    return parts


def mushroom(rng: np.random.Generator) -> list[Part]:
    """Mushroom: a stem, bellied or slim, under a domed, conical, flat or funnel cap; alone or in a group."""
    parts = []
    for _ in range(pick(rng, 1, 1, 2, 4)):
        tall, stem, cap = rng.uniform(0.4, 1.0), rng.uniform(0.06, 0.16), rng.uniform(0.25, 0.5)
        shaft = revolve(
            *smooth_profile([0.0, 0.3 * tall, tall], [stem * rng.uniform(0.8, 1.8), stem, 0.8 * stem], 8)
        )
        share = np.linspace(0.0, 1.0, 10)
        rise = cap * rng.uniform(0.25, 1.1)
        shape = pick(rng, (1 - share**2) ** 0.5, 1.0 - share, (1 - share**4) * 0.5, 0.3 + 0.4 * share**2)
        top, below = tall + rise * shape, tall + rise * shape[-1] - 0.05 * cap + 0.3 * rise * (1 - share)
        under = np.minimum(below, top - 0.01)
        head = revolve([*(cap * share), *(cap * share[::-1])], [*top, *under[::-1]])
        group = [shaft, head] + (
            [hoop(1.2 * stem, 0.3 * stem).moved(y=0.75 * tall)] if chance(rng, 0.3) else []
        )
        x, z, lean = *(0.35 * rng.standard_normal(2)), rng.uniform(-12.0, 12.0)
        parts += [part.turned("x", lean).moved(float(x), 0.0, float(z)) for part in group]
    return parts


def potted_plant(rng: np.random.Generator) -> list[Part]:
    """Plant in a pot: blades, arching leaves, a ball of leaves, a small stem with a crown, or a succulent."""
    size, tall = rng.uniform(0.12, 0.22), rng.uniform(0.2, 0.4)
    pot = pick(rng, frustum(0.7 * size, size, tall), cylinder(size, tall), box(1.8 * size, tall, 1.8 * size))
    parts = [pot, hoop(size, 0.1 * size).moved(y=tall)]
    kind, count = pick(rng, "blades", "arching", "ball", "stem", "rosette"), int(rng.integers(8, 30))
    turn, long = np.arange(count) * 2.4, rng.uniform(0.3, 0.8) * rng.uniform(0.7, 1.1, count)
    out = np.stack([np.sin(turn), np.zeros(count), np.cos(turn)], axis=1)
    roots = 0.3 * size * out + [0.0, tall, 0.0]
    if kind == "blades":
        tips = roots + long[:, None] * (0.25 * out + [0.0, 1.0, 0.0])
        return [*parts, _blades(roots, tips, np.zeros(3), rng.uniform(0.05, 0.1))]
    if kind in ("arching", "rosette"):
        lift = rng.uniform(0.6, 1.2) if kind == "arching" else rng.uniform(0.1, 0.6)
        tips = roots + long[:, None] * (0.8 * out + [0.0, lift, 0.0])
        fall = np.array([0.0, -rng.uniform(0.1, 0.8) * float(long.mean()), 0.0])
        return [*parts, _blades(roots, tips, fall, rng.uniform(0.05, 0.16))]
    reach = rng.uniform(0.2, 0.4)
    stem = 0.0 if kind == "ball" else rng.uniform(0.3, 0.7)
    middle = np.array([[0.0, tall + stem + 0.8 * reach, 0.0]])
    places = in_blobs(rng, 350, middle, np.array([[reach, reach, reach]]), 0.5)
    parts.append(leaves(rng, places, rng.uniform(0.02, 0.06)))
    return parts + ([strand(np.array([[0.0, tall, 0.0], middle[0]]), 0.02)] if stem else [])


def flower(rng: np.random.Generator) -> list[Part]:
    """Flower: a bent stem with leaves under a daisy, a tulip, a bell or a ball; alone or a bunch."""
    parts = []
    kind, count = pick(rng, "daisy", "tulip", "bell", "ball"), pick(rng, 1, 1, 3, 5)
    for _ in range(count):
        tall, bend, share = rng.uniform(0.6, 1.1), rng.uniform(0.0, 0.35), np.linspace(0.0, 1.0, 8)
        path = np.stack([bend * share**2, tall * share, 0.0 * share], axis=1)
        size = rng.uniform(0.12, 0.3) / np.sqrt(count)
        petals = int(rng.integers(5, 16))
        if kind == "daisy":
            angle = np.arange(petals) * (2.0 * np.pi / petals)
            ways = size * np.stack(
                [np.sin(angle), np.full(petals, rng.uniform(-0.2, 0.6)), np.cos(angle)], axis=1
            )
            fall = np.array([0.0, rng.uniform(-0.4, 0.1) * size, 0.0])
            head = join(
                _blades(0.2 * ways, 1.2 * ways, fall, 0.5 * size), egg(0.35 * size, 0.18 * size, 0.35 * size)
            )
        elif kind == "tulip":
            curve = size * np.array([0.1, 0.55, 0.6, 0.5, 0.42])
            cup = revolve(curve, size * np.array([0.0, 0.3, 0.8, 1.2, 1.4]))
            head = _ribbed(cup, 3, 0.15)
        elif kind == "bell":
            head = revolve(
                size * np.array([0.05, 0.2, 0.3, 0.7]), size * np.array([0.0, 0.2, 0.8, 1.2])
            ).turned("z", -110.0)
        else:
            head = leaves(
                rng, in_blobs(rng, 120, np.zeros((1, 3)), np.full((1, 3), 0.6 * size), 0.8), 0.12 * size
            )
        root = rng.uniform(0.0, 6.28, 3)
        out = np.stack([np.sin(root), 0.9 + 0.0 * root, np.cos(root)], axis=1)
        foot = np.tile(path[2], (3, 1))
        blades = _blades(foot, foot + 0.3 * tall * out, np.array([0.0, -0.12, 0.0]), rng.uniform(0.05, 0.12))
        tilt, turn = rng.uniform(-25.0, 60.0), rng.uniform(0.0, 360.0)
        whole = join(strand(path, 0.012), blades, head.turned("z", -tilt).moved(*path[-1]))
        lean = 0.0 if count == 1 else rng.uniform(0.0, 25.0)
        parts.append(whole.turned("z", -lean).turned("y", turn))
    return parts


def fern(rng: np.random.Generator) -> list[Part]:
    """Fern: a rosette of arching fronds, each with rows of leaflets that shorten towards its tip."""
    count, joints = int(rng.integers(6, 16)), 14
    share, turn = np.linspace(0.0, 1.0, joints), np.arange(count) * 2.4
    long, rise = rng.uniform(0.7, 1.1, (count, 1)), rng.uniform(0.5, 1.5)
    fall = rise * rng.uniform(0.5, 1.1)
    heading = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], axis=1)[:, None]
    up = (long * (rise * share - fall * share**2))[..., None] * np.array([0.0, 1.0, 0.0])
    ribs = (long * (0.05 + 0.9 * share))[..., None] * heading + up
    roots = ribs[:, 1:-1].reshape(-1, 3)
    ahead = (ribs[:, 2:] - ribs[:, 1:-1]).reshape(-1, 3)
    wide = rng.uniform(0.15, 0.35) * np.tile((1.0 - share[1:-1]) ** 0.7, count)[:, None]
    side = np.repeat(np.cross(heading[:, 0], [0.0, 1.0, 0.0]), joints - 2, axis=0) * wide
    hang, width = np.array([0.0, -rng.uniform(0.0, 0.1), 0.0]), rng.uniform(0.03, 0.06)
    fronds = [_blades(roots, roots + sign * side + ahead, hang, width) for sign in (-1.0, 1.0)]
    stalks = [strand(rib, 0.008, 4) for rib in ribs]
    return [*fronds, *stalks]


def grass(rng: np.random.Generator) -> list[Part]:
    """Tuft of grass or reed: many narrow blades, upright or bent over, some stalks with ears."""
    count, spread = int(rng.integers(25, 120)), rng.uniform(0.05, 0.4)
    roots = spread * rng.standard_normal((count, 3)) * [1.0, 0.0, 1.0] * 0.5
    out = rng.standard_normal((count, 3)) * rng.uniform(0.1, 0.5) + roots
    out[:, 1] = rng.uniform(0.5, 1.1, count)
    fall = out * [1.0, 0.0, 1.0] * rng.uniform(0.0, 1.0) - [0.0, rng.uniform(0.0, 0.5), 0.0]
    parts = [_blades(roots, roots + out, fall, rng.uniform(0.015, 0.06))]
    if chance(rng, 0.5):
        number = int(rng.integers(3, 12))
        for root, way in zip(roots[:number], out[:number], strict=True):
            tip = root + 1.15 * way
            parts.append(strand(np.stack([root, tip]), 0.006, 4))
            parts.append(egg(0.025, rng.uniform(0.06, 0.14), 0.025).moved(*tip))
    if chance(rng, 0.3):
        ring = np.linspace(0.0, 2.0 * np.pi, 17)
        far = np.array([[0.0], [1.6 * spread + 0.15]])
        soil = np.stack(
            [far * np.sin(ring), 0.03 * rng.standard_normal((2, 17)), far * np.cos(ring)], axis=-1
        )
        soil[:, -1] = soil[:, 0]
        parts.append(grid(soil))
    return parts
