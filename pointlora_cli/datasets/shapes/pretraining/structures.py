"""What is built besides houses: arch, column, stairs, fence, tent."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick, smooth_profile
from pointlora_cli.datasets.shapes.copies import around, boxes, rods, shifted, strand
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    box,
    cylinder,
    ellipsoid,
    frustum,
    grid,
    join,
    loft,
    panel,
    revolve,
    sphere,
    tapered_box,
    tube,
)


def arch(rng: np.random.Generator) -> list[Part]:
    """Arch or gate: round, pointed or flat, on pillars or in a wall, some with a top storey."""
    wide, tall, depth = rng.uniform(2.0, 4.0), rng.uniform(2.0, 4.5), rng.uniform(0.4, 1.6)
    pillar = rng.uniform(0.3, 1.2)
    turn = np.linspace(0.0, np.pi, 17)
    style = pick(rng, "round", "pointed", "flat")
    if style == "flat":
        parts = [box(wide + 2 * pillar, rng.uniform(0.3, 0.9), depth).moved(y=tall)]
        if chance(rng, 0.4):
            beam = box(1.5 * (wide + pillar), 0.3, 1.2 * depth).turned("z", 0.0)
            parts.append(beam.moved(y=tall + 1.0))
    else:
        rise = rng.uniform(0.9, 1.6) if style == "pointed" else 1.0
        bend = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (1.5 if style == "pointed" else 1.0)
        inner = np.stack([wide / 2 * bend, tall + rise * wide / 2 * np.sin(turn)], axis=1)
        outer = np.stack(
            [(wide / 2 + pillar) * bend, tall + rise * (wide / 2 + pillar) * np.sin(turn)], axis=1
        )
        if chance(rng, 0.35):  # in a wall
            outer[:, 1] = tall + rise * (wide / 2 + pillar) + 0.3
        rings = np.empty((17, 4, 3))
        for corner, (line, z) in enumerate(((inner, -1), (outer, -1), (outer, 1), (inner, 1))):
            rings[:, corner, :2], rings[:, corner, 2] = line, z * depth / 2
        parts = [loft(rings)]
    leg = cylinder(pillar / 2, tall) if chance(rng, 0.3) else box(pillar, tall, depth)
    parts += [leg.moved(x=sign * (wide + pillar) / 2) for sign in (-1.0, 1.0)]
    if chance(rng, 0.4):
        parts += [
            box(1.3 * pillar, 0.25, 1.2 * depth).moved(x=s * (wide + pillar) / 2, y=tall) for s in (-1.0, 1.0)
        ]
    return parts


def column(rng: np.random.Generator) -> list[Part]:
    """Column: plain, fluted or twisted, with a base and a capital; some broken, some with a statue's ball."""
    radius = rng.uniform(0.25, 0.45)
    tall = radius * rng.uniform(7.0, 13.0)
    taper, broken = rng.uniform(0.75, 1.0), chance(rng, 0.2)
    shaft = revolve(*smooth_profile([0.0, 0.35 * tall, tall], [radius, 0.98 * radius, taper * radius], 16))
    flutes, twist = pick(rng, 0, int(rng.integers(8, 20))), pick(rng, 0.0, rng.uniform(1.0, 4.0))
    if flutes or twist:
        turn = np.arctan2(shaft.triangles[..., 0], shaft.triangles[..., 2])
        count, depth = (flutes, 0.06) if flutes else (3, 0.15)
        ripple = 1.0 - depth * np.abs(np.sin(count * turn / 2 + twist * shaft.triangles[..., 1] / radius))
        shaft = Part(shaft.triangles * np.stack([ripple, np.ones_like(ripple), ripple], axis=-1))
    base = [
        cylinder(1.25 * radius, 0.3 * radius),
        box(2.8 * radius, 0.3 * radius, 2.8 * radius).moved(y=-0.3 * radius),
    ]
    if broken:
        ragged = shaft.triangles[..., 1] * rng.uniform(0.35, 0.7)
        slope = rng.uniform(-0.8, 0.8) * shaft.triangles[..., 0] * (ragged > 0.3 * tall)
        corners = shaft.triangles.copy()
        corners[..., 1] = ragged + slope
        return [Part(corners), *base]
    style = pick(rng, "slab", "scrolls", "bell")
    top = [box(2.6 * radius, 0.3 * radius, 2.6 * radius).moved(y=tall + 0.4 * radius)]
    if style == "scrolls":
        roll = cylinder(0.4 * radius, 2.2 * radius).turned("x", 90.0)
        top += [roll.moved(sign * radius, tall + 0.2 * radius, -1.1 * radius) for sign in (-1.0, 1.0)]
    else:
        flare = frustum(
            taper * radius,
            (1.5 if style == "bell" else 1.2) * radius,
            (1.2 if style == "bell" else 0.4) * radius,
        )
        top.append(flare.moved(y=tall - (0.8 if style == "bell" else 0.0) * radius))
    if chance(rng, 0.2):
        top.append(sphere(radius).moved(y=tall + 1.7 * radius))
    return [shaft, *base, *top]


def stairs(rng: np.random.Generator) -> list[Part]:
    """Stairs: a straight flight, solid or open, with or without rails; a spiral; or a stepped pyramid."""
    steps, rise = int(rng.integers(5, 15)), rng.uniform(0.15, 0.2)
    run, wide = rng.uniform(0.24, 0.35), rng.uniform(0.8, 1.8)
    k = np.arange(steps)
    kind = pick(rng, "solid", "open", "spiral", "pyramid")
    if kind == "spiral":
        radius, step = wide, rng.uniform(18.0, 32.0)
        tread = tapered_box((0.12, 0.05), (0.5 * radius, 0.05), radius).turned("x", 90.0)
        parts = [tread.turned("y", step * i).moved(y=(i + 1) * 1.2 * rise) for i in k.tolist()]
        angle = np.deg2rad(step) * k
        feet = np.stack([radius * np.sin(angle), (k + 1) * 1.2 * rise, radius * np.cos(angle)], axis=1)
        rail = shifted(feet, 0.0, 0.9, 0.0)
        return [
            *parts,
            cylinder(0.1, (steps + 4) * 1.2 * rise),
            rods(feet, rail, 0.015, 0.015, 4),
            strand(rail, 0.03),
        ]
    if kind == "pyramid":
        size = (steps - k) * 2.0 * run
        low = np.stack([-size / 2, k * rise, -size / 2], axis=1)
        return [boxes(low, np.stack([size, np.full(steps, rise), size], axis=1))]
    low = np.stack([np.full(steps, -wide / 2), k * rise, -k * run], axis=1)
    if kind == "solid":
        low[:, 1] = 0.0
        sizes = np.stack([np.full(steps, wide), (k + 1) * rise, np.full(steps, run)], axis=1)
        parts = [boxes(low, sizes)]
    else:
        parts = [boxes(shifted(low, 0.0, 0.8 * rise, 0.0), [wide, 0.2 * rise, 1.1 * run])]
        for side in (-wide / 2, wide / 2):
            ends = np.array([(side, 0.0, run), (side, steps * rise, -steps * run)])
            parts.append(rods(ends[:1], ends[1:], 0.09, 0.09, 4))
    if chance(rng, 0.55):
        for side in pick(rng, (-wide / 2,), (-wide / 2, wide / 2)):
            feet = np.stack([np.full(steps, side), (k + 1) * rise, run / 2 - k * run], axis=1)
            rail = shifted(feet, 0.0, 0.9, 0.0)
            parts += [rods(feet, rail, 0.018, 0.018, 4), strand(rail[[0, -1]], 0.035)]
    return parts


def fence(rng: np.random.Generator) -> list[Part]:
    """Fence: pickets, rails, bars or crossed laths between posts, straight or with a bend."""
    height, fields, pitch = rng.uniform(0.7, 1.8), int(rng.integers(2, 5)), rng.uniform(1.2, 2.2)
    style, long = pick(rng, "pickets", "rails", "bars", "laths"), fields * pitch
    post = rng.uniform(0.04, 0.09)
    x = np.linspace(-long / 2, long / 2, fields + 1)
    feet = np.stack([x, 0.0 * x, 0.0 * x], axis=1)
    parts = [rods(feet, shifted(feet, 0.0, 1.08 * height, 0.0), post, post, 4)]
    levels = (0.2, 0.8) if style in ("pickets", "bars") else np.linspace(0.2, 0.95, int(rng.integers(2, 5)))
    beam = post * 0.7
    ends = np.array([[-long / 2, share * height, 0.0] for share in levels])
    parts.append(rods(ends, shifted(ends, long, 0.0, 0.0), beam, beam, 4))
    count = int(long / rng.uniform(0.14, 0.25))
    places = np.linspace(-long / 2, long / 2, count)
    foot = np.stack([places, 0.0 * places + 0.05 * height, 0.0 * places + 0.05], axis=1)
    if style == "pickets":
        parts.append(boxes(foot - [0.04, 0.0, 0.0], [0.09, rng.uniform(0.85, 1.0) * height, 0.02]))
    elif style == "bars":
        parts.append(rods(foot, shifted(foot, 0.0, 1.05 * height, 0.0), 0.014, 0.004, 5))
    elif style == "laths":
        lean = [0.5 * height, 0.85 * height, 0.0]
        parts += [
            rods(foot, foot + lean, 0.02, 0.02, 4),
            rods(foot, foot + lean * np.array([-1, 1, 1]), 0.02, 0.02, 4),
        ]
    if chance(rng, 0.4):
        whole, bend, corner = join(*parts), np.deg2rad(rng.uniform(25.0, 90.0)), x[fields // 2]
        beyond = np.maximum(whole.triangles[..., 0] - corner, 0.0)
        corners = whole.triangles.copy()
        corners[..., 0] -= beyond * (1.0 - np.cos(bend))
        corners[..., 2] += beyond * np.sin(bend)
        return [Part(corners)]
    return parts


def tent(rng: np.random.Generator) -> list[Part]:
    """Tent: a ridge tent, a dome, a tepee, or a marquee on poles, with guy lines."""
    wide, long, tall = rng.uniform(1.6, 3.0), rng.uniform(1.8, 4.0), rng.uniform(1.2, 2.2)
    kind = pick(rng, "ridge", "dome", "tepee", "marquee")
    if kind == "ridge":
        sides = np.array(
            [
                [(-wide / 2, 0, z), (0, tall, 0.97 * z), (wide / 2, 0, z)]
                for z in np.linspace(-0.5, 0.5, 3) * long
            ]
        )
        sides[1, 1, 1] -= rng.uniform(0.0, 0.12) * tall
        ends = [
            np.array([[row, np.broadcast_to(row[0] * [0, 1, 1], row.shape)]]) for row in (sides[0], sides[-1])
        ]
        closed = [grid(end[0]) for end in ends][: int(rng.integers(0, 3))]
        lines = np.array([(0.0, tall, sign * long / 2) for sign in (-1.0, 1.0)])
        guys = rods(lines, lines * [1, 0, 1.6], 0.012, 0.012, 4)
        return [grid(sides), *closed, guys, rods(lines, lines * [1, 0, 1], 0.025, 0.025, 6)]
    if kind == "dome":
        shell = ellipsoid(wide / 2, tall, long / 2, 0.0, 90.0)
        porch = ellipsoid(0.3 * wide, 0.7 * tall, 0.3 * long, 0.0, 90.0).moved(z=0.45 * long)
        return [shell, porch] if chance(rng, 0.5) else [shell]
    if kind == "tepee":
        count = int(rng.integers(6, 12))
        pole = tube([(0.0, 0.0, wide / 2), (0.0, 1.5 * tall, -0.1 * wide)], 0.02, 5)
        return [frustum(wide / 2, 0.12 * wide, 1.2 * tall, capped=False), around(pole, count)]
    wall = rng.uniform(0.5, 0.7) * tall
    roof = tapered_box((wide, long), (0.02, pick(rng, 0.02, 0.7 * long)), 0.5 * tall).moved(y=wall)
    feet = np.array([(x * wide / 2, 0.0, z * long / 2) for x in (-1, 1) for z in (-1, 0, 1)])
    parts = [roof, rods(feet, shifted(feet, 0.0, wall, 0.0), 0.03, 0.03, 6)]
    return (
        [*parts, panel(long, wall, 0.02).turned("y", 90.0).moved(x=-wide / 2)] if chance(rng, 0.5) else parts
    )
