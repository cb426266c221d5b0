"""Small creatures and those of the water: fish, snake, spider, octopus, turtle, butterfly."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import around, ball, egg, mirrored, rods, strand
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    ellipsoid,
    extrude,
    frustum,
    grid,
    join,
    upright,
)


def fish(rng: np.random.Generator) -> list[Part]:
    """Fish: slim, deep or flat like a ray, with a tail, fins on its back and sides; bent as it swims."""
    long, deep, wide = 1.0, rng.uniform(0.1, 0.32), rng.uniform(0.05, 0.12)
    share = np.linspace(0.0, 1.0, 16)
    shape = np.sin(np.pi * share ** rng.uniform(0.55, 0.9)) ** rng.uniform(0.6, 1.0) * (
        1.0 - 0.25 * share
    ) + 0.12 * (share > 0.5)
    turn = np.linspace(0.0, 2.0 * np.pi, 17)
    rings = np.empty((16, 17, 3))
    rings[..., 0] = np.outer(wide * shape, np.cos(turn))
    rings[..., 1] = np.outer(deep * shape, np.sin(turn))
    rings[..., 2] = (0.5 - share[:, None]) * long
    sheets = _fins(rng, deep, wide)
    body = grid(rings)
    if chance(rng, 0.2):  # a ray or a flounder
        body, sheets = body.turned("z", 90.0).scaled(x=rng.uniform(1.0, 2.2)), sheets.turned("z", 90.0)
    whole = join(body, sheets).triangles.copy()
    phase = rng.uniform(0.0, 6.28)
    whole[..., 0] += rng.uniform(0.0, 0.12) * np.sin(4.0 * whole[..., 2] + phase) * (0.6 - whole[..., 2])
    return [Part(whole)]


def _fins(rng: np.random.Generator, deep: float, wide: float) -> Part:
    """Fins of a fish of length 1: its tail, one on its back, one below, and two at its sides."""
    fork, notch, high = rng.uniform(0.12, 0.32), rng.uniform(0.0, 0.8), rng.uniform(0.08, 0.25)
    end, start, stop = -0.48 - 0.8 * fork, rng.uniform(0.0, 0.25), rng.uniform(-0.35, -0.05)
    reach, top, low = rng.uniform(0.12, 0.35), 0.4 * high + deep, -0.4 * deep
    side = [(0.7 * wide, 0, 0.22), (wide + reach, -0.05, 0.05), (wide + 0.5 * reach, -0.05, -0.02)]
    fins = np.array(
        [
            [(0, 0, -0.48), (0, fork, end), (0, 0, end + 0.8 * fork * notch), (0, -fork, end)],
            [(0, 0.8 * deep, start), (0, deep + high, start - 0.08), (0, top, stop), (0, 0.5 * deep, stop)],
            [(0, -0.6 * deep, -0.05), (0, -deep - 0.6 * high, -0.2), (0, low, -0.3), (0, low, -0.2)],
            [*side, (0.6 * wide, 0, 0.08)],
        ]
    )
    sheets = Part(np.concatenate([fins[:, [0, 1, 2]], fins[:, [0, 2, 3]]]))
    return join(sheets, sheets.scaled(x=-1.0))


def snake(rng: np.random.Generator) -> list[Part]:
    """Snake: winding, coiled or with its head raised; some are worms, as thick at both ends."""
    share = np.linspace(0.0, 1.0, 60)
    radius, kind = rng.uniform(0.02, 0.05), pick(rng, "winding", "winding", "coiled", "raised")
    if kind == "coiled":
        turns, far = rng.uniform(1.5, 3.5), rng.uniform(0.08, 0.15)
        angle, reach = 2 * np.pi * turns * share, 0.45 - 0.35 * share + far * 0.2
        path = np.stack(
            [reach * np.cos(angle), radius + rng.uniform(0.0, 0.5) * share**2, reach * np.sin(angle)], axis=1
        )
    else:
        bends, wide = rng.uniform(1.0, 3.0), rng.uniform(0.05, 0.2)
        path = np.stack(
            [wide * np.sin(2 * np.pi * bends * share + rng.uniform(0, 6)), 0 * share + radius, share], axis=1
        )
        if kind == "raised":
            lift = np.clip((share - 0.7) / 0.3, 0.0, 1.0)
            path[:, 1] += rng.uniform(0.2, 0.45) * lift**1.5
            path[:, 2] -= 0.22 * lift
    ends = pick(rng, 0.15, 0.7)
    thick = radius * np.minimum(1.0, ends + (1 - ends) * np.minimum(share / 0.5, (1 - share) / 0.08 + 0.4))
    head = egg(1.4 * radius, 0.9 * radius, 2.2 * radius) if ends < 0.5 else ball(radius)
    return [strand(path, thick, 10), head.moved(*path[-1])]


def spider(rng: np.random.Generator) -> list[Part]:
    """Spider, crab or insect: a body in two or three pieces on six or eight bent legs, some with claws."""
    pairs, body = pick(rng, 4, 4, 3), rng.uniform(0.08, 0.15)
    behind, level = rng.uniform(1.2, 2.4) * body, rng.uniform(0.08, 0.3)
    parts = [egg(0.9 * body, 0.7 * body, body).moved(y=level)]
    parts.append(
        egg(0.7 * behind, rng.uniform(0.5, 0.75) * behind, behind).moved(
            y=level + 0.05, z=-0.8 * (body + behind)
        )
    )
    if pairs == 3:
        parts.append(egg(0.6 * body, 0.6 * body, 0.6 * body).moved(y=level, z=1.4 * body))
    long, knee, thick = rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.5), rng.uniform(0.012, 0.03)
    turn = np.deg2rad(np.linspace(35.0, 145.0, pairs) + rng.uniform(-8.0, 8.0, pairs))
    out = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], axis=1)
    hips = 0.8 * body * out + [0.0, level, 0.0]
    knees = hips + 0.45 * long * out + [0.0, knee, 0.0]
    feet = (0.8 * body + long) * out
    for side in (1.0, -1.0):
        shift = rng.uniform(-0.08, 0.08, (pairs, 3)) * [1.0, 0.3, 1.0]
        legs = [
            rods(hips, knees + shift, thick, 0.8 * thick),
            rods(knees + shift, feet + shift, 0.8 * thick, 0.4 * thick),
        ]
        parts += [part.scaled(x=side) for part in legs]
    if chance(rng, 0.3):  # claws, as of a crab
        arm = np.array(
            [
                (0.7 * body, level, 0.6 * body),
                (2.0 * body, level + 0.05, 1.8 * body),
                (1.2 * body, level + 0.05, 3.2 * body),
            ]
        )
        claw = egg(0.35 * body, 0.25 * body, 0.7 * body).moved(*arm[-1])
        parts.append(mirrored(join(strand(arm, 1.3 * thick), claw)))
    elif chance(rng, 0.4):
        feeler = np.array([(0.2 * body, level, body), (0.5 * body, level + 0.2, 2.2 * body)])
        parts.append(mirrored(strand(feeler, 0.5 * thick)))
    return parts


def octopus(rng: np.random.Generator) -> list[Part]:
    """Octopus or jellyfish: a soft head over arms that curl outwards or hang."""
    size, arms, share = rng.uniform(0.18, 0.28), int(rng.integers(6, 10)), np.linspace(0.0, 1.0, 16)
    if chance(rng, 0.35):
        dome = ellipsoid(1.3 * size, rng.uniform(0.7, 1.3) * size, 1.3 * size, -10.0, 90.0)
        long, sway = rng.uniform(0.5, 1.1), rng.uniform(0.02, 0.1)
        hang = np.stack([sway * np.sin(9 * share), -long * share, size + sway * np.cos(7 * share)], axis=1)
        return [dome, around(strand(hang, 0.03 * (1.2 - share), 5), 2 * arms)]
    head = egg(size, rng.uniform(1.0, 1.7) * size, size).moved(y=size)
    parts, reach = [head], rng.uniform(0.5, 0.9)
    for turn in np.arange(arms) * 360.0 / arms:
        curl, wave = rng.uniform(-0.6, 0.6), rng.uniform(0.0, 0.25)
        out = 0.6 * size + reach * share
        path = np.stack(
            [curl * reach * share**2, wave * share * np.sin(5 * share) + 0.05, out * (1 - 0.2 * share)],
            axis=1,
        )
        parts.append(strand(path, 0.35 * size * (1.08 - share), 8).turned("y", float(turn)))
    return parts


def turtle(rng: np.random.Generator) -> list[Part]:
    """Turtle or beetle: a domed shell over four flippers or legs, a head and a short tail."""
    long, wide, high = rng.uniform(0.4, 0.55), rng.uniform(0.32, 0.45), rng.uniform(0.12, 0.35)
    parts = [
        ellipsoid(wide, high, long, 0.0, 90.0).moved(y=0.12),
        egg(0.95 * wide, 0.06, 0.95 * long).moved(y=0.12),
    ]
    if chance(rng, 0.5):
        flipper = egg(rng.uniform(0.25, 0.4), 0.03, 0.1)
        front = flipper.turned("y", -rng.uniform(0.0, 40.0)).moved(wide + 0.12, 0.1, 0.55 * long)
        rear = flipper.scaled(x=0.6).turned("y", rng.uniform(20.0, 50.0)).moved(0.8 * wide, 0.1, -0.8 * long)
        parts += [mirrored(front), mirrored(rear)]
    else:
        leg = frustum(0.08, 0.07, 0.16)
        parts += [mirrored(leg.moved(0.75 * wide, 0.0, z * long)) for z in (-0.6, 0.6)]
    neck = rng.uniform(0.1, 0.25)
    stretch = np.array([(0.0, 0.12, 0.85 * long), (0.0, 0.12 + rng.uniform(0.0, 0.2), long + neck)])
    parts += [strand(stretch, [0.07, 0.055]), egg(0.075, 0.07, 0.1).moved(*stretch[1])]
    return [*parts, frustum(0.04, 0.0, 0.15).turned("x", -95.0).moved(y=0.12, z=-0.92 * long)]


def butterfly(rng: np.random.Generator) -> list[Part]:
    """Butterfly or dragonfly: two pairs of thin wings on a slender body, more or less raised."""
    lift, slim = rng.uniform(-5.0, 65.0), chance(rng, 0.35)
    turn = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    wings = []
    for angle, size in (
        (rng.uniform(15, 45), rng.uniform(0.4, 0.6)),
        (-rng.uniform(15, 45), rng.uniform(0.28, 0.5)),
    ):
        narrow = 0.22 if slim else rng.uniform(0.45, 0.75)
        wave = 1.0 + rng.uniform(0.0, 0.12) * np.sin(5 * turn + rng.uniform(0.0, 6.0))
        outline = np.stack(
            [size * (1.0 + wave * np.cos(turn)) / 2, narrow * size / 2 * wave * np.sin(turn)], axis=1
        )
        wings.append(
            upright(extrude(outline, 0.008)).turned("x", 90.0).turned("y", angle if not slim else 0.4 * angle)
        )
    raised = mirrored(join(*wings).turned("z", lift).moved(x=0.02))
    body = egg(0.035, 0.035, rng.uniform(0.2, 0.45)).moved(z=-0.1)
    feeler = np.array([(0.01, 0.02, 0.15), (0.06, 0.08, 0.32)])
    return [raised, body, ball(0.04).moved(z=0.15), mirrored(strand(feeler, 0.006, 4))]
