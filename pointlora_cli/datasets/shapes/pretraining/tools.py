"""Tools for the hand: hammer, knife, scissors, wrench, umbrella, ladder, tongs."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import (
    egg,
    mirrored,
    rods,
    strand,
)
from pointlora_cli.datasets.shapes.primitives import (
    Array,
    Part,
    box,
    cylinder,
    ellipse,
    ellipsoid,
    extrude,
    grid,
    join,
    revolve,
    tapered_box,
    torus,
    tube,
    upright,
)


def _flat(outline: list[tuple[float, float]] | Array, thick: float) -> Part:
    """Upright plate over an outline (K, 2) of places (x, y), about z = 0."""
    return upright(extrude(np.asarray(outline) * [1.0, -1.0], thick)).moved(z=thick / 2)


def _handle(rng: np.random.Generator, long: float, thick: float) -> Part:
    """Grip from y = 0 up: round, oval or swollen."""
    share = np.linspace(0.0, 1.0, 8)
    swell = 1.0 + rng.uniform(0.0, 0.35) * np.sin(np.pi * share * pick(rng, 1.0, 2.0))
    body = revolve([0.0, *(thick * swell), 0.0], [0.0, *(long * share), long])
    return body.scaled(z=rng.uniform(0.6, 1.0))


def hammer(rng: np.random.Generator) -> list[Part]:
    """Hammer: a claw hammer, a sledge, a mallet, a pick or an axe on a straight handle."""
    long, thick = rng.uniform(0.25, 0.6), rng.uniform(0.012, 0.02)
    parts = [_handle(rng, long, thick)]
    kind, size = pick(rng, "claw", "sledge", "mallet", "pick", "axe"), rng.uniform(0.02, 0.035)
    if kind == "claw":
        face = tube([(0.0, 0.0, 0.0), (0.08, 0.0, 0.0), (0.1, 0.0, 0.0)], [size, 0.8 * size, 1.1 * size], 10)
        bow = np.array([(0.0, 0.0, 0.3), (-0.06, 0.01, 0.35), (-0.12, -0.03, 0.7)]) * [1.0, 1.0, size]
        claw = strand(bow, [0.7 * size, 0.5 * size, 0.2 * size], 5)
        parts += [part.moved(y=long) for part in (face, claw, claw.scaled(z=-1.0))]
    elif kind in ("sledge", "mallet"):
        wide = size * (1.5 if kind == "sledge" else 2.2)
        half = wide * rng.uniform(1.2, 2.2)
        head = (
            cylinder(wide, 2 * half).turned("z", 90.0)
            if chance(rng, 0.5)
            else box(2 * half, 2 * wide, 2 * wide)
        )
        shift = (
            half
            if np.ptp(head.triangles[..., 1]) < 2.1 * wide and head.triangles[..., 0].max() < 1e-6
            else 0.0
        )
        parts.append(head.moved(x=shift, y=long))
    elif kind == "pick":
        share = np.linspace(-1.0, 1.0, 9)
        reach = rng.uniform(0.12, 0.25)
        bow = np.stack([reach * share, long - 0.3 * reach * share**2, 0 * share], axis=1)
        parts.append(strand(bow, size * (1.05 - np.abs(share)), 4))
    else:
        wide, deep = rng.uniform(0.08, 0.16), rng.uniform(0.1, 0.2)
        curve = [
            (-0.03, 0.03),
            (0.04, 0.03),
            (wide, 0.6 * deep),
            (wide * 1.1, 0.0),
            (wide, -0.6 * deep),
            (0.04, -0.03),
            (-0.03, -0.03),
        ]
        blade = _flat(curve, 1.4 * thick)
        parts.append(blade.moved(y=0.93 * long))
        if chance(rng, 0.25):
            parts.append(blade.scaled(x=-1.0).moved(y=0.93 * long))
    return parts


def knife(rng: np.random.Generator) -> list[Part]:
    """Knife or sword: a pointed, square or curved blade, a grip, and on some a guard and a pommel."""
    grip, long = rng.uniform(0.1, 0.16), rng.uniform(0.12, 0.75)
    wide, thick = rng.uniform(0.02, 0.05) * (1.0 + long), rng.uniform(0.003, 0.008)
    share, bend = np.linspace(0.0, 1.0, 10), rng.uniform(-0.15, 0.2) * long
    point = rng.uniform(0.6, 0.98)
    front = (
        wide
        * np.where(share > point, 1.0 - ((share - point) / (1 - point)) ** 2, 1.0)
        * (1 + 0.2 * np.sin(3 * share))
    )
    back = -0.15 * wide * (1.0 - share) if chance(rng, 0.6) else -front
    curve = bend * share**2
    net = np.stack(
        [
            np.stack([x + curve, long * share, z + 0 * share], axis=1)
            for x, z in (
                (back, 0.0),
                ((front + back) / 2, thick),
                (front, 0.0),
                ((front + back) / 2, -thick),
                (back, 0.0),
            )
        ]
    )
    parts = [grid(net).moved(y=grip), _handle(rng, grip, rng.uniform(0.012, 0.02))]
    if chance(rng, 0.5):
        guard = rng.uniform(1.2, 2.6) * wide
        parts.append(box(2 * guard, 0.015, 0.025).moved(y=grip))
    if chance(rng, 0.4):
        parts.append(egg(0.025, 0.025, 0.02))
    return parts


def scissors(rng: np.random.Generator) -> list[Part]:
    """Scissors: two crossed blades with finger rings, more or less open."""
    blade, arm = rng.uniform(0.1, 0.18), rng.uniform(0.06, 0.12)
    ring, thick = rng.uniform(0.025, 0.04), rng.uniform(0.004, 0.008)
    width = rng.uniform(0.012, 0.02)
    edge = _flat(
        [
            (-0.2 * width, 0.0),
            (width, 0.0),
            (0.7 * width, 0.7 * blade),
            (0.0, blade),
            (-0.2 * width, 0.5 * blade),
        ],
        thick,
    )
    stem = tube(
        [(0.0, 0.02, 0.0), (0.2 * ring, -0.5 * arm, 0.0), (0.6 * ring, -arm, 0.0)],
        [width * 0.6, 0.4 * width, 0.3 * width],
        8,
    )
    loop = (
        torus(ring, 0.22 * ring)
        .turned("x", 90.0)
        .scaled(y=rng.uniform(1.0, 1.6))
        .moved(0.9 * ring, -arm - ring)
    )
    half, angle = join(edge, stem, loop), rng.uniform(2.0, 35.0)
    other = half.scaled(x=-1.0).turned("z", -angle).moved(z=thick)
    return [
        half.turned("z", angle),
        other,
        cylinder(0.5 * width, 3 * thick).turned("x", 90.0).moved(z=-thick),
    ]


def wrench(rng: np.random.Generator) -> list[Part]:
    """Wrench or key: a flat shaft with open jaws, rings, or a toothed bit at its ends."""
    long, wide, thick = rng.uniform(0.15, 0.3), rng.uniform(0.015, 0.025), rng.uniform(0.006, 0.012)
    size = rng.uniform(1.1, 1.7) * wide
    shaft = box(wide, long, thick).moved(z=0.0)
    ring = torus(size, 0.35 * size).turned("x", 90.0).scaled(z=thick / size / 0.5)
    jaw = (
        torus(size, 0.4 * size, 30.0, 330.0)
        .turned("x", 90.0)
        .scaled(z=thick / size / 0.5)
        .turned("z", rng.uniform(-20, 20))
    )
    kind = pick(rng, "open", "ring", "both", "key")
    if kind == "key":
        bow = torus(1.6 * wide, 0.3 * wide).turned("x", 90.0).scaled(x=rng.uniform(0.8, 1.3))
        teeth = [
            box(rng.uniform(0.8, 2.0) * wide, 0.5 * wide, thick).moved(wide, level * long)
            for level in (0.78, 0.86, 0.94)
        ]
        shaft = tube([(0.0, 0.0, 0.0), (0.0, long, 0.0)], 0.4 * wide, 8)
        return [shaft, bow.moved(y=-1.6 * wide), *teeth]
    top = jaw if kind in ("open", "both") else ring
    low = (jaw if kind == "open" else ring).scaled(y=-1.0).scaled(*([rng.uniform(0.7, 1.0)] * 2))
    return [shaft, top.moved(y=long + size), low.moved(y=-size)]


def umbrella(rng: np.random.Generator) -> list[Part]:
    """Umbrella: open with ribs over a hooked or straight stick, or folded; some are parasols on a foot."""
    long, reach = rng.uniform(0.8, 1.1), rng.uniform(0.45, 0.65)
    ribs, deep = int(rng.integers(6, 11)), rng.uniform(0.2, 0.55)
    parts = [tube([(0.0, 0.0, 0.0), (0.0, long, 0.0)], 0.012, 8)]
    folded, share = chance(rng, 0.15), np.linspace(0.0, 1.0, 8)
    turn = np.linspace(0.0, 2.0 * np.pi, 4 * ribs + 1)
    if folded:
        reach, deep = 0.09, 7.0
    fold = 1.0 - (0.45 if folded else 0.08) * np.abs(np.sin(ribs * turn / 2.0))
    net = np.empty((8, len(turn), 3))
    net[..., 0] = reach * np.outer(np.sin(share * 1.4) / np.sin(1.4), np.sin(turn) * fold)
    net[..., 2] = reach * np.outer(np.sin(share * 1.4) / np.sin(1.4), np.cos(turn) * fold)
    net[..., 1] = long - deep * reach * (share**2)[:, None]
    parts.append(grid(net))
    if not folded:
        low = np.array([0.0, 0.65 * long, 0.0])
        angle = np.arange(ribs) * 2.0 * np.pi / ribs
        high = 0.55 * reach * np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
        high[:, 1] = long - 0.35 * deep * reach
        parts.append(rods(np.tile(low, (ribs, 1)), high, 0.005, 0.005, 4))
    kind = pick(rng, "hook", "hook", "knob", "foot")
    if kind == "hook":
        bend, size = np.linspace(0.0, np.pi, 9), rng.uniform(0.04, 0.07)
        hook = np.stack([size * (1 - np.cos(bend)), -size * np.sin(bend), 0 * bend], axis=1)
        parts.append(strand(hook, 0.017))
    elif kind == "knob":
        parts.append(ellipsoid(0.025, 0.06, 0.025))
    else:
        parts += [tube([(0.0, -0.5, 0.0), (0.0, 0.0, 0.0)], 0.016, 8), cylinder(0.22, 0.06).moved(y=-0.55)]
    lean = 0.0 if kind == "foot" else rng.uniform(0.0, 25.0)
    return [part.turned("x", lean) for part in parts]


def ladder(rng: np.random.Generator) -> list[Part]:
    """Ladder: rungs between two rails, leaning or upright, or a stepladder with two sides."""
    long, wide, count = rng.uniform(1.6, 3.5), rng.uniform(0.35, 0.5), int(rng.integers(5, 13))
    rail, top = rng.uniform(0.02, 0.04), rng.uniform(0.6, 1.0)
    feet = np.array([(wide / 2, 0.0, 0.0)])
    rails = mirrored(rods(feet, feet * [top, 0, 0] + [0.0, long, 0.0], rail, rail, 4))
    level = (np.arange(count) + 0.6) / count
    ends = np.stack([wide / 2 * (1.0 + (top - 1.0) * level), long * level, 0 * level], axis=1)
    rungs = rods(ends, ends * [-1, 1, 1], 0.6 * rail, 0.6 * rail, pick(rng, 4, 8))
    whole = join(rails, rungs)
    if chance(rng, 0.4):
        angle = rng.uniform(8.0, 18.0)
        back = (
            (join(rails, rungs) if chance(rng, 0.3) else rails)
            .moved(y=-long)
            .turned("x", angle)
            .moved(y=long)
        )
        front = whole.moved(y=-long).turned("x", -angle).moved(y=long)
        return [front, back, box(top * wide, 0.04, 0.15).moved(y=long)]
    return [whole.turned("x", -rng.uniform(0.0, 30.0))]


def tongs(rng: np.random.Generator) -> list[Part]:
    """Pliers, tongs or a clothes peg: two long arms crossed or joined at one end, with jaws."""
    long, thick, angle = rng.uniform(0.15, 0.3), rng.uniform(0.007, 0.013), rng.uniform(3.0, 22.0)
    jaw = rng.uniform(0.2, 0.6) * long
    share = np.linspace(0.0, 1.0, 8)
    bow = np.stack([-rng.uniform(0.05, 0.2) * long * np.sin(np.pi * share), -long * share, 0 * share], axis=1)
    head = tapered_box((2.2 * thick, 2.5 * thick), (0.8 * thick, 1.5 * thick), jaw).moved(x=thick)
    half = join(strand(bow, thick * np.linspace(0.9, 1.3, 8)), head)
    if chance(rng, 0.3):  # joined at the far end
        half = half.moved(y=long)
        return [mirrored(half.turned("z", -angle)), torus(2 * thick, thick).turned("x", 90.0)]
    pivot = extrude(ellipse(4 * thick, 4 * thick), 4 * thick).turned("x", 90.0).moved(z=-2 * thick)
    return [mirrored(half.turned("z", -angle)), pivot]
