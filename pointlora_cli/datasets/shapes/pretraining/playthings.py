"""What one plays with: drum, dice, skateboard, globe and other round things."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import (
    around,
    ball,
    hoop,
    mirrored,
    rods,
    shifted,
    strand,
)
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    box,
    cylinder,
    disc,
    frustum,
    grid,
    join,
    revolve,
    tube,
)
from pointlora_cli.datasets.shapes.unevenness import superellipsoid


def drum(rng: np.random.Generator) -> list[Part]:
    """Drum: a shell with hoops and rods, shallow or deep, on a stand, on legs, lying, or tapered like a conga."""
    radius = rng.uniform(0.15, 0.3)
    high = radius * rng.uniform(0.4, 2.6)
    foot = rng.uniform(0.6, 1.0) if high > 1.5 * radius else 1.0
    belly = rng.uniform(0.0, 0.2)
    share = np.linspace(0.0, 1.0, 8)
    shell = revolve(
        [0.0, *(radius * (foot + (1 - foot) * share + belly * np.sin(np.pi * share))), 0.0],
        [0.0, *(high * share), high],
    )
    edge = hoop(1.03 * radius, 0.03 * radius)
    parts = [shell, edge.moved(y=high), edge.scaled(x=foot, z=foot)]
    bar = tube([(0.0, 0.0, 1.04 * foot * radius), (0.0, high, 1.04 * radius)], 0.012, 5)
    parts.append(around(bar, int(rng.integers(5, 11))))
    pose = pick(rng, "floor", "stand", "lying")
    if pose == "lying":
        parts = [part.moved(y=-high / 2).turned("x", 90.0).moved(y=1.05 * radius) for part in parts]
    elif pose == "stand":
        leg = tube([(0.0, 0.05, 0.3 * radius), (0.0, -rng.uniform(0.25, 0.6), 1.1 * radius)], 0.014, 6)
        parts.append(around(leg, 3))
    if chance(rng, 0.4):
        stick = tube(
            [(-0.1, high + 0.02, 0.3 * radius), (0.25, high + 0.12, 1.2 * radius)], [0.012, 0.008], 6
        )
        if pose != "lying":
            parts += [stick, stick.scaled(x=-1.0)]
    return parts


def dice(rng: np.random.Generator) -> list[Part]:
    """Dice: one to four cubes with rounded edges and pips on three to six sides."""
    parts = []
    for number in range(pick(rng, 1, 1, 2, 4)):
        cube = superellipsoid(0.5, 0.5, 0.5, *[rng.uniform(0.05, 0.35)] * 2)
        pips = []
        spots = {
            1: [(0, 0)],
            2: [(-1, -1), (1, 1)],
            3: [(-1, -1), (0, 0), (1, 1)],
            4: [(a, b) for a in (-1, 1) for b in (-1, 1)],
        }
        spots[5], spots[6] = [*spots[4], (0, 0)], [(a, b) for a in (-1, 0, 1) for b in (-1, 1)]
        pip = tube([(0.0, -0.02, 0.0), (0.0, 0.05, 0.0)], [0.09, 0.06], 6)
        for side, (axis, angle) in enumerate(
            (("x", 0.0), ("x", 90.0), ("z", 90.0), ("z", -90.0), ("x", -90.0), ("x", 180.0))
        ):
            face = join(*(pip.moved(0.25 * a, 0.49, 0.25 * b) for a, b in spots[side + 1]))
            pips.append(face.turned("x" if axis == "x" else "z", angle))
        die = (
            join(cube, *pips)
            .turned(pick(rng, "x", "z"), float(90 * rng.integers(4)))
            .turned("y", rng.uniform(0.0, 90.0))
        )
        far = 0.0 if number == 0 else rng.uniform(1.2, 2.0)
        turn = 2.2 * number
        parts.append(die.moved(far * np.sin(turn), 0.0, far * np.cos(turn)))
    return parts


def skateboard(rng: np.random.Generator) -> list[Part]:
    """Skateboard, scooter or roller: a bent deck on two axles with wheels, some with a post and bars."""
    long, wide, thick = rng.uniform(0.65, 0.95), rng.uniform(0.17, 0.25), 0.014
    share, across = np.linspace(-1.0, 1.0, 21), np.linspace(-1.0, 1.0, 9)[:, None]
    half = wide / 2 * (1.0 - np.clip((np.abs(share) - 0.7) / 0.3, 0.0, 1.0) ** rng.uniform(2.0, 4.0) * 0.95)
    kick = rng.uniform(0.0, 0.45) * np.clip(np.abs(share) - 0.68, 0.0, 1.0) * long
    deck = np.stack(np.broadcast_arrays(half * across, kick + 0.01 * across**2, share * long / 2), axis=-1)
    wheel = rng.uniform(0.025, 0.04)
    level = wheel + 0.06
    parts = [grid(deck).moved(y=level), grid(deck).moved(y=level + thick)]
    tyre = cylinder(wheel, 0.035).turned("z", 90.0)
    for place in (-0.33 * long, 0.33 * long):
        parts.append(mirrored(tyre.moved(0.45 * wide, wheel, place)))
        parts += [
            tube([(-0.42 * wide, wheel, place), (0.42 * wide, wheel, place)], 0.012, 6),
            box(0.06, level - wheel, 0.07).moved(y=wheel, z=place),
        ]
    if chance(rng, 0.25):
        tall = rng.uniform(0.6, 0.95)
        post = np.array([(0.0, level, 0.46 * long), (0.0, level + tall, 0.4 * long)])
        parts += [
            strand(post, 0.02),
            tube([(-0.2, post[1, 1], post[1, 2]), (0.2, post[1, 1], post[1, 2])], 0.018, 8),
        ]
    return parts


def globe(rng: np.random.Generator) -> list[Part]:
    """Globe, telescope's dish or dumb-bell: round things on stands or joined by a bar."""
    kind, size = pick(rng, "globe", "dish", "weights"), rng.uniform(0.15, 0.25)
    if kind == "globe":
        angle = np.linspace(-np.pi / 2, np.pi / 2, 16)
        bow = np.stack([1.15 * size * np.cos(angle), 1.15 * size * np.sin(angle), 0 * angle], axis=1)
        tilt = rng.uniform(10.0, 35.0)
        parts = [
            part.turned("z", tilt).moved(y=1.8 * size) for part in (ball(size), strand(bow, 0.06 * size))
        ]
        return [
            *parts,
            frustum(0.1 * size, 0.08 * size, 0.7 * size),
            revolve(size * np.array([0.0, 0.8, 0.1]), size * np.array([0.0, 0.0, 0.25])),
        ]
    if kind == "dish":
        share = np.linspace(0.0, 1.0, 9)
        bowl = revolve(2 * size * share, 0.8 * size * share**2)
        horn = shifted(np.array([(0.0, 0.4 * size, 0.0)] * 3), 0.0, 0.6 * size, 0.0)
        turn = np.arange(3) * 2.094
        rim = 1.9 * size * np.stack([np.sin(turn), 0 * turn + 0.38, np.cos(turn)], axis=1)
        tilt = rng.uniform(20.0, 80.0)
        parts = [
            part.turned("x", tilt).moved(y=2.6 * size)
            for part in (bowl, rods(rim, horn, 0.03 * size, 0.03 * size, 4), ball(0.12 * size).moved(y=size))
        ]
        leg = tube([(0.0, 2.5 * size, 0.0), (0.0, 0.0, 0.9 * size)], 0.05 * size, 5)
        return [*parts, around(leg, pick(rng, 3, 4))]
    long = rng.uniform(2.0, 5.0) * size
    bar = tube([(-long / 2, 0.0, 0.0), (long / 2, 0.0, 0.0)], 0.12 * size, 8)
    if chance(rng, 0.4):
        return [bar, mirrored(ball(0.6 * size).moved(x=long / 2))]
    plates = [
        cylinder(share * size, 0.15 * size).turned("z", -90.0).moved(x=long / 2 - 0.2 * size * k)
        for k, share in enumerate(rng.uniform(0.4, 1.0, 3))
    ]
    return [bar, mirrored(join(*plates)), disc(0.2 * size).turned("z", 90.0).moved(x=long / 2)]
