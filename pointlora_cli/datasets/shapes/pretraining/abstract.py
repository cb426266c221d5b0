"""What has no use: piles, compositions, superquadrics, knots, terrain, rocks, blobs, pipework, sheets, rings."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import (
    around,
    ball,
    boxes,
    egg,
    hoop,
    random_turns,
    scattered,
    strand,
)
from pointlora_cli.datasets.shapes.primitives import (
    SIDES,
    Array,
    Part,
    box,
    cylinder,
    ellipsoid,
    frustum,
    grid,
    join,
    revolve,
    sphere,
    tube,
)
from pointlora_cli.datasets.shapes.unevenness import dented, superellipsoid, warped, waves


def _solid(rng: np.random.Generator) -> Part:
    """A primitive of a size of about 1, about the origin or near it."""
    a, b, c = rng.uniform(0.2, 0.6, 3).tolist()
    kinds: list[Callable[[], Part]] = [
        lambda: box(2 * a, 2 * b, 2 * c).moved(y=-b),
        lambda: cylinder(a, 2 * b).moved(y=-b),
        lambda: frustum(a, rng.uniform(0.0, 1.0) * a, 2 * b).moved(y=-b),
        lambda: egg(a, b, c),
        lambda: hoop(a, rng.uniform(0.15, 0.5) * a),
        lambda: superellipsoid(a, b, c, *rng.uniform(0.2, 2.0, 2).tolist()),
        lambda: tube([(0.0, -b, 0.0), (0.0, b, 0.0)], a, int(rng.integers(3, 7))),
    ]
    return pick(rng, *kinds)()


def pile(rng: np.random.Generator) -> list[Part]:
    """Heap of like or unlike solids on the ground: stones, sticks, boxes, rings."""
    count, alike = int(rng.integers(5, 25)), chance(rng, 0.5)
    far = rng.uniform(0.0, 1.0, count) ** 0.5 * rng.uniform(0.5, 1.2)
    turn = rng.uniform(0.0, 6.2832, count)
    level = (1.2 - far) * rng.uniform(0.0, 0.9, count)
    places = np.stack([far * np.sin(turn), level, far * np.cos(turn)], axis=1)
    sizes = rng.uniform(0.3, 0.7, count)
    turns = random_turns(rng, count)
    if alike:
        long = pick(rng, 1.0, rng.uniform(2.0, 4.0))
        return [scattered(_solid(rng).scaled(y=long), places, turns, sizes * pick(rng, 1.0, 0.6))]
    kinds = [_solid(rng) for _ in range(min(count, 8))]
    shares = [slice(k, None, len(kinds)) for k in range(len(kinds))]
    return [scattered(kind, places[at], turns[at], sizes[at]) for kind, at in zip(kinds, shares, strict=True)]


def composition(rng: np.random.Generator) -> list[Part]:
    """Two to seven solids grown out of each other's surfaces, some mirrored, some repeated about the axis."""
    parts = [_solid(rng)]
    for _ in range(int(rng.integers(1, 7))):
        host = parts[int(rng.integers(len(parts)))].triangles.reshape(-1, 3)
        place = host[int(rng.integers(len(host)))]
        turn = random_turns(rng, 1) if chance(rng, 0.5) else np.eye(3)[None]
        parts.append(scattered(_solid(rng), place[None], turn, rng.uniform(0.35, 1.1)))
    symmetry = pick(rng, "none", "mirror", "around")
    if symmetry == "mirror":
        parts += [part.scaled(x=-1.0) for part in parts]
    elif symmetry == "around":
        shift = rng.uniform(0.2, 1.0)
        parts = [around(join(*parts).moved(z=shift), int(rng.integers(2, 7)))]
    return parts


def superquadric(rng: np.random.Generator) -> list[Part]:
    """A superellipsoid, a supertoroid, or several inside each other's reach, smooth, pinched or edged."""
    if chance(rng, 0.35):
        net = superellipsoid(1.0, 1.0, 1.0, *rng.uniform(0.3, 2.5, 2).tolist())
        around_ = np.linspace(0.0, 2.0 * np.pi, SIDES + 1)
        across = np.linspace(0.0, 2.0 * np.pi, SIDES // 2 + 1)[:, None]
        power, other = rng.uniform(0.3, 2.2, 2)
        hole = rng.uniform(1.2, 3.0)
        far = hole + np.sign(np.cos(across)) * np.abs(np.cos(across)) ** power
        x = far * np.sign(np.cos(around_)) * np.abs(np.cos(around_)) ** other
        z = far * np.sign(np.sin(around_)) * np.abs(np.sin(around_)) ** other
        y = rng.uniform(0.6, 2.0) * np.sign(np.sin(across)) * np.abs(np.sin(across)) ** power
        ring = grid(np.stack(np.broadcast_arrays(x, y, z), axis=-1))
        return [ring, net] if chance(rng, 0.3) else [ring]
    parts: list[Part] = []
    for _ in range(pick(rng, 1, 1, 2, 3)):
        body = superellipsoid(*rng.uniform(0.4, 1.0, 3).tolist(), *rng.uniform(0.15, 2.6, 2).tolist())
        taper, twist = rng.uniform(-0.6, 0.6), rng.uniform(-1.5, 1.5)
        x, y, z = np.moveaxis(body.triangles, -1, 0)
        grow, angle = 1.0 + taper * y, twist * y
        bent = np.stack(
            [
                grow * (x * np.cos(angle) - z * np.sin(angle)),
                y,
                grow * (x * np.sin(angle) + z * np.cos(angle)),
            ],
            axis=-1,
        )
        parts.append(Part(bent).moved(*(rng.uniform(-0.6, 0.6, 3) * bool(parts))))
    return parts


def knot(rng: np.random.Generator) -> list[Part]:
    """Closed or open curve as a thick tube: a torus knot, a Lissajous figure, or a random loop."""
    turn = np.linspace(0.0, 2.0 * np.pi, 121)
    kind = pick(rng, "torus", "torus", "lissajous", "loop")
    if kind == "torus":
        p, q = pick(rng, (2, 3), (3, 2), (2, 5), (3, 4), (5, 2), (1, 4), (4, 1), (1, 7))
        minor = rng.uniform(0.25, 0.5)
        far = 1.0 + minor * np.cos(q * turn)
        path = np.stack([far * np.cos(p * turn), minor * np.sin(q * turn), far * np.sin(p * turn)], axis=1)
    elif kind == "lissajous":
        rates = rng.choice([1, 2, 3, 4, 5], 3, replace=False)
        path = np.stack(
            [np.sin(rate * turn + phase) for rate, phase in zip(rates, rng.uniform(0, 6, 3), strict=True)],
            axis=1,
        )
    else:
        path = np.zeros((121, 3))
        for rate in range(1, 5):
            path += np.sin(rate * turn[:, None] + rng.uniform(0.0, 6.2832, 3)) * rng.standard_normal(3) / rate
    thick = rng.uniform(0.06, 0.22) * (1.0 + rng.uniform(0.0, 0.5) * np.sin(int(rng.integers(1, 9)) * turn))
    return [strand(path, thick, 10)]


def terrain(rng: np.random.Generator) -> list[Part]:
    """Patch of land: hills, ridges, steps or a crater, square or round, with or without stones on it."""
    size, share = 25, np.linspace(-1.0, 1.0, 25)
    x, z = np.meshgrid(share, share)
    if chance(rng, 0.35):
        x, z = x * np.sqrt(1.0 - z**2 / 2.0), z * np.sqrt(1.0 - x**2 / 2.0)
    flat = np.stack([x, np.zeros((size, size)), z], axis=-1)
    height = rng.uniform(0.05, 0.3) * waves(rng, rng.uniform(0.7, 2.0))(flat)
    height += rng.uniform(0.0, 0.05) * waves(rng, 0.3)(flat)
    kind = pick(rng, "hills", "ridges", "steps", "crater", "slope")
    if kind == "ridges":
        height = np.abs(height) * 1.6
    elif kind == "steps":
        height = np.round(height / 0.12) * 0.12
    elif kind == "crater":
        far = np.hypot(x - rng.uniform(-0.3, 0.3), z)
        rim = rng.uniform(0.35, 0.65)
        height = 0.4 * height + rng.uniform(0.2, 0.5) * np.exp(-(((far - rim) / 0.18) ** 2))
    elif kind == "slope":
        height += rng.uniform(0.2, 0.8) * x
    land = grid(np.stack([x, height, z], axis=-1))
    if chance(rng, 0.4):
        count = int(rng.integers(2, 9))
        row, column = rng.integers(0, size, (2, count))
        places = np.stack([x[row, column], height[row, column], z[row, column]], axis=1)
        stones = scattered(
            dented(ball(1.0), rng, 0.15, 1.0),
            places,
            random_turns(rng, count),
            rng.uniform(0.05, 0.18, count),
        )
        return [land, stones]
    return [land]


def rock(rng: np.random.Generator) -> list[Part]:
    """Rock: a rough or a split boulder, flat faces cut off, or a crystal."""
    shape = rng.uniform(0.5, 1.0, 3)
    if chance(rng, 0.25):  # crystals
        count = int(rng.integers(1, 8))
        prism = revolve([0.0, 0.22, 0.22, 0.0], [-0.3, 0.0, 1.0, 1.35])
        sides = tube([(0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.3, 0.0)], [0.22, 0.22, 0.01], 6)
        turns = (
            random_turns(rng, count)
            if chance(rng, 0.3)
            else np.stack([_lean(rng, 0.6) for _ in range(count)])
        )
        spots = 0.25 * rng.standard_normal((count, 3)) * [1.0, 0.1, 1.0]
        return [scattered(prism if chance(rng, 0.2) else sides, spots, turns, rng.uniform(0.4, 1.0, count))]
    body = dented(sphere(1.0), rng, rng.uniform(0.06, 0.2), rng.uniform(0.8, 2.2))
    body = dented(body, rng, rng.uniform(0.0, 0.06), 0.4).scaled(*shape.tolist())
    corners = body.triangles.copy()
    for _ in range(pick(rng, 0, 2, 6, 12)):
        way = rng.standard_normal(3)
        way /= np.sqrt(way @ way)
        beyond = corners @ way - rng.uniform(0.45, 0.8)
        corners -= np.maximum(beyond, 0.0)[..., None] * way
    return [Part(corners)]


def _lean(rng: np.random.Generator, most: float) -> Array:
    """A matrix (3, 3) that leans what is upright by an angle, as a slope, of about `most`."""
    up = np.array([most * rng.standard_normal(), 1.0, most * rng.standard_normal()])
    up /= np.sqrt(up @ up)
    side = np.cross(up, [0.0, 0.0, 1.0])
    side /= np.sqrt(side @ side)
    return np.stack([side, up, np.cross(side, up)], axis=1)


def blob(rng: np.random.Generator) -> list[Part]:
    """Soft body: a sphere pulled about by smooth noise, drops run together, or a bent sausage."""
    kind = pick(rng, "noise", "noise", "drops", "sausage")
    if kind == "noise":
        body = ellipsoid(*rng.uniform(0.5, 1.0, 3).tolist())
        return [
            warped(
                dented(body, rng, rng.uniform(0.1, 0.35), rng.uniform(0.8, 2.5)),
                rng,
                rng.uniform(0.0, 0.2),
                1.5,
            )
        ]
    share = np.linspace(0.0, 1.0, 24)
    path = (
        np.cumsum(
            np.stack([np.sin(rng.uniform(1, 5) * share + rng.uniform(0, 6)) for _ in range(3)], axis=1),
            axis=0,
        )
        / 24
    )
    if kind == "sausage":
        thick = rng.uniform(0.06, 0.2) * (1.0 + 0.4 * np.sin(rng.uniform(2, 12) * share + rng.uniform(0, 6)))
        ends = [ball(float(thick[end])).moved(*path[end]) for end in (0, -1)]
        return [strand(path, thick, 12), *ends]
    count = int(rng.integers(3, 8))
    places = path[rng.integers(24, size=count)] + 0.15 * rng.standard_normal((count, 3))
    return [scattered(ball(1.0), places, random_turns(rng, count), rng.uniform(0.1, 0.35, count))]


def pipework(rng: np.random.Generator) -> list[Part]:
    """Pipes that run along the axes with elbows, flanges, tees and valves."""
    thick, place, way = rng.uniform(0.06, 0.14), np.zeros(3), 0
    path, parts = [place], []
    for _ in range(int(rng.integers(3, 9))):
        way = (way + int(rng.integers(1, 3))) % 3
        step = np.zeros(3)
        step[way] = pick(rng, -1.0, 1.0) * rng.uniform(0.4, 1.3)
        path.append(path[-1] + step)
    line = np.array(path)
    parts.append(strand(line, thick, 12))
    parts += [ball(1.12 * thick).moved(*corner) for corner in line[1:-1]]
    ring = {0: ("z", 90.0), 1: ("y", 0.0), 2: ("x", 90.0)}
    for start, stop in pairwise(line):
        turned = ring[int(np.abs(stop - start).argmax())]
        if chance(rng, 0.6):
            flange = cylinder(1.6 * thick, 0.5 * thick).turned(*turned)  # type: ignore[arg-type]
            parts.append(flange.moved(*(start + rng.uniform(0.2, 0.8) * (stop - start))))
        if chance(rng, 0.25):
            middle = (start + stop) / 2
            wheel = join(hoop(2.0 * thick, 0.3 * thick).moved(y=3 * thick), cylinder(0.3 * thick, 3 * thick))
            parts += [wheel.turned(pick(rng, "x", "z"), pick(rng, 0.0, 90.0)).moved(*middle)]
    return parts


def sheet(rng: np.random.Generator) -> list[Part]:
    """Thin sheet: crumpled, rolled, draped, a flag in the wind, a Moebius band, or a saddle."""
    u, v = np.meshgrid(np.linspace(0.0, 1.0, 40), np.linspace(-0.5, 0.5, 9))
    kind = pick(rng, "roll", "flag", "moebius", "saddle", "crumpled")
    wide = rng.uniform(0.3, 1.0)
    if kind == "roll":
        angle = rng.uniform(1.0, 11.0) * u
        far = 0.25 + rng.uniform(0.0, 0.05) * angle
        net = np.stack([far * np.cos(angle), wide * v, far * np.sin(angle)], axis=-1)
    elif kind == "flag":
        flow = 0.15 * u * np.sin(rng.uniform(4, 12) * u + 2.0 * v + rng.uniform(0, 6))
        net = np.stack([u, wide * v - 0.1 * u**2, flow], axis=-1)
    elif kind == "moebius":
        angle, half = 2.0 * np.pi * u, int(rng.integers(0, 5)) * np.pi * u
        far = 0.6 + 0.5 * wide * v * np.cos(half)
        net = np.stack([far * np.cos(angle), 0.5 * wide * v * np.sin(half), far * np.sin(angle)], axis=-1)
    else:
        x, z = 2 * u - 1, 2 * v * wide
        rise = rng.uniform(-1, 1) * x**2 + rng.uniform(-1, 1) * z**2 + rng.uniform(-1, 1) * x * z
        net = np.stack([x, 0.7 * rise, z], axis=-1)
    part = grid(net)
    amount = rng.uniform(0.05, 0.15) if kind == "crumpled" else rng.uniform(0.0, 0.02)
    parts = [warped(part, rng, amount, rng.uniform(0.3, 0.8))]
    if kind == "flag" and chance(rng, 0.7):
        parts.append(boxes([[-0.03, -1.2, -0.02]], [0.03, 1.2 + wide / 2, 0.03]))
    return parts


def rings(rng: np.random.Generator) -> list[Part]:
    """Rings in a row, in each other, about a sphere, or stacked up; some are tyres or loops of beads."""
    count, kind = int(rng.integers(2, 7)), pick(rng, "nested", "stack", "linked", "beads")
    if kind == "nested":
        bands = [
            hoop(1.0 - 0.13 * k, 0.05).turned("x", rng.uniform(0, 180)).turned("z", rng.uniform(0, 180))
            for k in range(count)
        ]
        return [*bands, ball(rng.uniform(0.1, 0.3))]
    if kind == "stack":
        sizes = np.sort(rng.uniform(0.3, 1.0, count))[:: pick(rng, -1, 1)]
        return [hoop(float(size), 0.16).moved(y=0.3 * k) for k, size in enumerate(sizes)]
    if kind == "linked":
        ring = hoop(0.6, rng.uniform(0.06, 0.16))
        return [
            ring.turned("x", 90.0 * (k % 2) + rng.uniform(-20, 20)).moved(x=0.75 * k) for k in range(count)
        ]
    turn = np.arange(4 * count + 4) * (2.0 * np.pi / (4 * count + 4))
    wave = rng.uniform(0.0, 0.4)
    places = np.stack([np.cos(turn), wave * np.sin(int(rng.integers(1, 4)) * turn), np.sin(turn)], axis=1)
    bead = pick(rng, ball(1.0), box(1.4, 1.4, 1.4), ball(1.0).scaled(y=2.0))
    return [scattered(bead, places, random_turns(rng, len(turn)), rng.uniform(0.1, 0.2))]
