"""Buildings: house, tower, bridge, windmill."""

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
    revolve,
    tapered_box,
    tube,
)


def _roofed(rng: np.random.Generator, width: float, depth: float, height: float, rise: float) -> list[Part]:
    """Walls with a gable, hip, shed or flat roof that hangs over a little."""
    parts, over = [box(width, height, depth)], rng.uniform(1.02, 1.15)
    wide, deep = over * width, over * depth
    style = pick(rng, "gable", "gable", "hip", "shed", "flat")
    if style == "flat":
        return [*parts, box(wide, 0.05 * height, deep).moved(y=height)]
    ridge = {"gable": deep, "hip": 0.5 * deep, "shed": deep}[style]
    top = (0.02, ridge)
    roof = tapered_box((wide, deep), top, rise)
    if style == "shed":
        roof = Part(roof.triangles + np.where(roof.triangles[..., 1:2] > 0.0, [[[wide / 2, 0.0, 0.0]]], 0.0))
    return [*parts, roof.moved(y=height)]


def house(rng: np.random.Generator) -> list[Part]:
    """House: walls and a roof, perhaps a wing, a chimney, a porch, with windows and a door."""
    width, depth = rng.uniform(5.0, 9.0), rng.uniform(5.0, 12.0)
    height, rise = rng.uniform(2.4, 6.0), rng.uniform(1.2, 4.0)
    parts = _roofed(rng, width, depth, height, rise)
    if chance(rng, 0.45):
        size, turn = rng.uniform(0.45, 0.85), pick(rng, 0.0, 90.0)
        wing = _roofed(rng, size * width, size * depth, 0.75 * height, 0.7 * rise)
        turned = [part.turned("y", turn) for part in wing]
        side, along = pick(rng, -1.0, 1.0) * 0.7 * width, rng.uniform(-0.25, 0.25) * depth
        parts += [part.moved(x=side, z=along) for part in turned]
    if chance(rng, 0.6):
        x, z = rng.uniform(-0.25, 0.25) * width, rng.uniform(-0.35, 0.35) * depth
        parts.append(box(0.7, rise + 0.8, 0.7).moved(x, height, z))
    floors, columns = max(1, int(height / 2.6)), int(rng.integers(2, 5))
    x, y = np.meshgrid(
        (np.arange(columns) + 0.28) / columns * width - width / 2, np.arange(floors) * 2.7 + 0.9
    )
    low = np.stack([x.ravel(), y.ravel(), np.full(x.size, depth / 2)], axis=1)
    panes = boxes(low, [0.44 * width / columns, 1.2, 0.12])
    parts += [panes, panes.scaled(z=-1.0), box(1.0, 2.0, 0.2).moved(y=0.0, z=depth / 2)]
    if chance(rng, 0.3):
        feet = np.array([(sign * 0.4 * width, 0.0, depth / 2 + 1.8) for sign in (-1.0, 1.0)])
        parts += [
            rods(feet, shifted(feet, 0.0, 2.3, 0.0), 0.12, 0.12, 8),
            box(0.95 * width, 0.15, 2.0).moved(y=2.3, z=depth / 2 + 1.0),
        ]
    return parts


def tower(rng: np.random.Generator) -> list[Part]:
    """Tower: stone with battlements, a lighthouse, a pagoda, a skyscraper, or a lattice of steel."""
    kind = pick(rng, "stone", "lighthouse", "pagoda", "skyscraper", "lattice")
    size, tall = rng.uniform(2.0, 3.5), rng.uniform(10.0, 20.0)
    if kind == "stone":
        is_round = chance(rng, 0.5)
        body = frustum(size, 0.9 * size, tall) if is_round else box(1.8 * size, tall, 1.8 * size)
        crown = (
            frustum(size, 1.15 * size, 0.08 * tall) if is_round else box(2.1 * size, 0.08 * tall, 2.1 * size)
        )
        merlon = box(0.5, 0.9, 0.4).moved(y=1.08 * tall, z=size)
        roof = [frustum(size, 0.0, 0.4 * tall).moved(y=1.08 * tall)] if chance(rng, 0.4) else []
        return [body, crown.moved(y=tall), around(merlon, int(rng.integers(6, 11))), *roof]
    if kind == "lighthouse":
        top = 0.55 * size
        body = revolve(*smooth_profile([0.0, 0.4 * tall, tall], [size, 0.7 * size, top], 12))
        gallery, lamp = cylinder(1.5 * top, 0.3), cylinder(0.7 * top, 0.12 * tall)
        return [
            body,
            gallery.moved(y=tall),
            lamp.moved(y=tall),
            ellipsoid(0.8 * top, 0.6 * top, 0.8 * top, 0.0, 90.0).moved(y=1.12 * tall),
        ]
    if kind == "pagoda":
        parts, floors = [], int(rng.integers(3, 7))
        step = tall / floors
        for floor in range(floors):
            wide = 2.0 * size * (1.0 - 0.6 * floor / floors)
            parts.append(box(0.75 * wide, 0.7 * step, 0.75 * wide).moved(y=floor * step))
            eaves = tapered_box((1.35 * wide, 1.35 * wide), (0.6 * wide, 0.6 * wide), 0.35 * step)
            parts.append(eaves.moved(y=(floor + 0.65) * step))
        return [*parts, tube([(0.0, tall, 0.0), (0.0, 1.2 * tall, 0.0)], [0.2, 0.05], 6)]
    if kind == "skyscraper":
        parts, level, wide, deep = [], 0.0, 2.0 * size, size * rng.uniform(1.2, 2.2)
        for _ in range(int(rng.integers(1, 5))):
            high = rng.uniform(0.25, 0.8) * tall
            parts.append(box(wide, high, deep).moved(y=level))
            level, wide, deep = level + high, wide * rng.uniform(0.55, 0.9), deep * rng.uniform(0.55, 0.9)
        return [*parts, tube([(0.0, level, 0.0), (0.0, level + 0.2 * tall, 0.0)], [0.15, 0.03], 6)]
    return _lattice(rng, 1.2 * size, tall)


def _lattice(rng: np.random.Generator, size: float, tall: float) -> list[Part]:
    """Mast of four legs that lean together, braced crosswise; some with arms for wires."""
    levels = np.linspace(0.0, 1.0, int(rng.integers(5, 10)))
    half = size * (1.0 - levels) ** rng.uniform(0.8, 2.0) + 0.08 * size
    corners = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)])
    nodes = np.empty((len(levels), 4, 3))
    nodes[..., 0], nodes[..., 2] = half[:, None] * corners[:, 0], half[:, None] * corners[:, 1]
    nodes[..., 1] = tall * levels[:, None]
    beyond = np.roll(nodes, -1, axis=1)
    starts = np.concatenate([nodes[:-1], nodes[:-1], beyond[:-1], nodes[1:]]).reshape(-1, 3)
    ends = np.concatenate([nodes[1:], beyond[1:], nodes[1:], beyond[1:]]).reshape(-1, 3)
    parts = [rods(starts, ends, 0.09, 0.09, 4)]
    if chance(rng, 0.5):
        for share in rng.uniform(0.7, 1.0, int(rng.integers(1, 4))):
            arm = np.array([[0.0, tall * share, 0.0]])
            parts += [
                rods(arm, shifted(arm, sign * size, 0.1 * size, 0.0), 0.15, 0.06, 4) for sign in (-1.0, 1.0)
            ]
    return parts


def bridge(rng: np.random.Generator) -> list[Part]:
    """Bridge: a deck on arches, on piers, hung from cables between towers, or in a steel truss."""
    long, wide, level, thick = rng.uniform(20.0, 40.0), rng.uniform(3.0, 6.0), rng.uniform(3.0, 7.0), 0.6
    parts = [box(wide, thick, long).moved(y=level)]
    edge = np.array([(sign * wide / 2, level + 1.2, -long / 2) for sign in (-1.0, 1.0)])
    kind = pick(rng, "arches", "piers", "hung", "truss")
    if kind == "arches":
        count = int(rng.integers(1, 5))
        span = long / count
        turn = np.linspace(0.0, np.pi, 12)
        z, y = 0.44 * span * np.cos(turn), 0.92 * level * np.sin(turn)
        vault = np.stack([np.stack([0 * z + x, y, z], axis=1) for x in (-wide / 2, wide / 2)])
        spandrel = [
            np.stack([line, np.stack([line[:, 0], 0 * y + level, line[:, 2]], axis=1)]) for line in vault
        ]
        one = join(grid(vault), *(grid(wall) for wall in spandrel))
        parts += [one.moved(z=(k + 0.5) * span - long / 2) for k in range(count)]
        parts += [box(wide, level, 0.12 * span).moved(z=k * span - long / 2) for k in range(count + 1)]
    elif kind == "piers":
        for place in np.linspace(-0.45, 0.45, int(rng.integers(3, 7))) * long:
            parts.append(box(0.7 * wide, level, 0.8).moved(z=float(place)))
    elif kind == "hung":
        tall, place = level + rng.uniform(5.0, 9.0), rng.uniform(0.25, 0.33) * long
        for side in (-wide / 2, wide / 2):
            posts = np.array([(side, 0.0, z) for z in (-place, place)])
            parts.append(rods(posts, shifted(posts, 0.0, tall, 0.0), 0.45, 0.35, 4))
            z = np.linspace(-0.5, 0.5, 25) * long
            inside = np.abs(z) <= place
            sag = level + 1.0 + (tall - level - 1.0) * (z / place) ** 2
            fall = tall - (tall - level) * (np.abs(z) - place) / (long / 2 - place)
            cable = np.stack([0 * z + side, np.where(inside, sag, fall), z], axis=1)
            parts += [strand(cable, 0.18, 5), rods(cable, cable * [1, 0, 1] + [0, level, 0], 0.07, 0.07, 4)]
        parts += [box(wide, 0.5, 0.5).moved(y=0.93 * tall, z=z) for z in (-place, place)]
    else:
        count, tall = int(rng.integers(5, 10)), rng.uniform(2.5, 4.5)
        z = np.linspace(-0.5, 0.5, count + 1) * long
        for side in (-wide / 2, wide / 2):
            low = np.stack([0 * z + side, 0 * z + level, z], axis=1)
            high = (low[:-1] + low[1:]) / 2 + [0.0, tall, 0.0]
            starts = np.concatenate([low[:-1], high, high[:-1]])
            parts.append(rods(starts, np.concatenate([high, low[1:], high[1:]]), 0.2, 0.2, 4))
        parts += [box(wide, level, 1.0).moved(z=end) for end in (-0.47 * long, 0.47 * long)]
    return [*parts, rods(edge, shifted(edge, 0.0, 0.0, long), 0.1, 0.1, 4)]


def windmill(rng: np.random.Generator) -> list[Part]:
    """Windmill: a tapered tower with a cap and four lattice sails, or a slim mast with three blades."""
    tall = rng.uniform(7.0, 11.0)
    if chance(rng, 0.45):
        mast = frustum(0.035 * tall, 0.02 * tall, tall)
        reach = rng.uniform(0.45, 0.65) * tall
        blade = tapered_box((0.09 * reach, 0.03 * reach), (0.02 * reach, 0.01 * reach), reach)
        rotor = around(blade.turned("x", 90.0), 3).turned("x", 90.0).turned("z", rng.uniform(0.0, 120.0))
        hub = ellipsoid(0.04 * tall, 0.04 * tall, 0.09 * tall).moved(y=tall)
        return [mast, hub, rotor.moved(y=tall, z=0.08 * tall)]
    sides, bottom = pick(rng, 6, 8, 24), rng.uniform(0.22, 0.32) * tall
    tower_ = tube([(0.0, 0.0, 0.0), (0.0, tall, 0.0)], [bottom, 0.6 * bottom], sides)
    cap = ellipsoid(0.65 * bottom, 0.5 * bottom, 0.75 * bottom, 0.0, 90.0).moved(y=tall)
    reach = rng.uniform(0.5, 0.75) * tall
    rungs = np.linspace(0.2, 1.0, int(rng.integers(6, 11))) * reach
    low = np.stack([0.0 * rungs, rungs, 0.0 * rungs], axis=1)
    wide = rng.uniform(0.12, 0.2) * reach
    sail = join(
        rods(np.zeros((1, 3)), np.array([[0.0, reach, 0.0]]), 0.02 * reach, 0.01 * reach, 4),
        rods(low, shifted(low, wide, 0.0, 0.0), 0.008 * reach, 0.008 * reach, 4),
        rods(shifted(low[:1], wide, 0, 0), shifted(low[-1:], wide, 0, 0), 0.008 * reach, 0.008 * reach, 4),
    )
    cross = around(sail.turned("x", 90.0), 4).turned("x", -90.0).turned("z", rng.uniform(0.0, 90.0))
    shaft = tube([(0.0, tall, 0.0), (0.0, tall, bottom)], 0.15, 6)
    return [
        tower_,
        cap,
        cross.moved(y=tall, z=0.95 * bottom),
        shaft,
        box(0.9, 1.8, 0.1).moved(y=0.0, z=0.97 * bottom),
    ]
