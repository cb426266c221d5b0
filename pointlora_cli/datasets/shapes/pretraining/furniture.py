"""Furniture to sit on, keep things in and use: couch, stool, bench, bookshelf and others."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, four_legs, pedestal, pick, slab
from pointlora_cli.datasets.shapes.copies import around, boxes, mirrored
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    box,
    cylinder,
    loft,
    panel,
    plate,
    rounded_rectangle,
    tube,
)


def couch(rng: np.random.Generator) -> list[Part]:
    """Couch: two to four seats with cushions, a back, and two arms, one or none; some with a corner."""
    seats, seat = int(rng.integers(2, 5)), rng.uniform(0.5, 0.75)
    width, depth = seats * seat, rng.uniform(0.6, 0.95)
    foot, level = rng.uniform(0.0, 0.14), rng.uniform(0.26, 0.42)
    back, height = rng.uniform(0.12, 0.25), rng.uniform(0.3, 0.6)
    thick = rng.uniform(0.08, 0.18)
    parts = [box(width, level - foot, depth).moved(y=foot)]
    cushion = plate(0.96 * seat, 0.94 * depth, thick, 0.06)
    rest = panel(0.96 * seat, height, thick, 0.07).turned("x", -rng.uniform(4.0, 18.0))
    for place in (np.arange(seats) - (seats - 1) / 2) * seat:
        parts.append(cushion.moved(float(place), level, 0.02))
        parts.append(rest.moved(float(place), level + 0.5 * thick, -depth / 2))
    parts.append(box(width, level - foot + 0.8 * height, back).moved(y=foot, z=-depth / 2))
    wide, rise = rng.uniform(0.08, 0.24), rng.uniform(0.1, 0.28)
    arm = box(wide, level + rise - foot, depth + back / 2).moved((width + wide) / 2, foot, -back / 4)
    if chance(rng, 0.4):  # rolled
        roll = (
            cylinder(0.6 * wide, depth).turned("x", 90.0).moved((width + wide) / 2, level + rise, -depth / 2)
        )
        parts += [roll, roll.scaled(x=-1.0)]
    parts += [[mirrored(arm)], [mirrored(arm)], [arm], []][int(rng.integers(4))]
    if chance(rng, 0.25):
        long = rng.uniform(0.5, 0.9)
        parts.append(
            box(seat, level + thick - foot, long).moved((width - seat) / 2, foot, (depth + long) / 2)
        )
    return parts + (four_legs(rng, 0.9 * width, 0.8 * depth, foot) if foot > 0.05 else [])


def stool(rng: np.random.Generator) -> list[Part]:
    """Stool: a round or square seat without a back, low or high, on three or four legs or a pedestal."""
    width, level = rng.uniform(0.28, 0.45), pick(rng, rng.uniform(0.2, 0.5), rng.uniform(0.6, 0.85))
    thick, is_round = rng.uniform(0.02, 0.1), chance(rng, 0.6)
    seat = cylinder(width / 2, thick) if is_round else slab(rng, width, width * rng.uniform(0.7, 1.0), thick)
    base = pick(rng, "three", "four", "four", "pedestal")
    if base == "four":
        legs = four_legs(rng, 0.75 * width, 0.6 * width, level)
    elif base == "pedestal":
        legs = pedestal(rng, rng.uniform(0.4, 0.6) * width, level)
    else:
        splay, leg = rng.uniform(1.0, 1.5), rng.uniform(0.012, 0.025)
        legs = [around(tube([(0.0, 0.0, splay * 0.4 * width), (0.0, level, 0.3 * width)], leg, 8), 3)]
    if base != "pedestal" and chance(rng, 0.35):
        ring = np.linspace(0.0, 2.0 * np.pi, 17)
        reach, height = 0.36 * width, rng.uniform(0.2, 0.5) * level
        circle = np.stack([reach * np.cos(ring), np.full(17, height), reach * np.sin(ring)], axis=1)
        legs.append(tube(circle, 0.01, 6, capped=False))
    return [seat.moved(y=level), *legs]


def bench(rng: np.random.Generator) -> list[Part]:
    """Bench of a park or a garden: slats or one slab on frames or blocks, with or without a back."""
    width, depth, level = rng.uniform(1.1, 2.2), rng.uniform(0.32, 0.5), rng.uniform(0.38, 0.5)
    count = pick(rng, 1, *range(3, 7))
    slat, thick = depth / count, rng.uniform(0.025, 0.07)
    rows = np.zeros((count, 3))
    rows[:] = [-width / 2, level, 0.0]
    rows[:, 2] = np.arange(count) * slat - depth / 2
    parts = [boxes(rows, [width, thick, 0.82 * slat])]
    foot, place = rng.uniform(0.04, 0.12), rng.uniform(0.32, 0.46) * width
    if chance(rng, 0.5):
        support = box(foot, level, 0.9 * depth)
    else:
        path = [(0.0, 0.0, 0.48 * depth), (0.0, level, 0.3 * depth)]
        leg = tube(path, foot / 2, 4)
        support = boxes([[-foot / 2, level - foot, -0.4 * depth]], [foot, foot, 0.8 * depth])
        support = Part(np.concatenate([leg.triangles, leg.scaled(z=-1.0).triangles, support.triangles]))
    parts += [support.moved(x=-place), support.moved(x=place)]
    if chance(rng, 0.25):
        parts.append(support)
    if chance(rng, 0.6):
        height, lean, rails = rng.uniform(0.3, 0.5), rng.uniform(0.0, 18.0), int(rng.integers(1, 5))
        pitch = height / rails
        low = np.zeros((rails, 3))
        low[:] = [-width / 2, 0.0, 0.0]
        low[:, 1] = np.arange(rails) * pitch + 0.1 * height
        back = [boxes(low, [width, 0.7 * pitch, thick])]
        back += [tube([(x, 0.0, 0.0), (x, 1.05 * height, 0.0)], 0.025, 4) for x in (-place, place)]
        parts += [part.turned("x", -lean).moved(y=level, z=-depth / 2) for part in back]
        if chance(rng, 0.5):
            rise = rng.uniform(0.15, 0.25)
            path = [(place, level, 0.4 * depth), (place, level + rise, 0.4 * depth)]
            path.append((place, level + rise, -0.5 * depth))
            parts.append(mirrored(tube(path, 0.022, 6)))
    return parts


def bookshelf(rng: np.random.Generator) -> list[Part]:
    """Bookshelf: open boards in one to three columns, more or less full of books."""
    width, height, depth = rng.uniform(0.5, 1.6), rng.uniform(0.7, 2.2), rng.uniform(0.22, 0.4)
    rows, columns, board = int(rng.integers(2, 7)), int(rng.integers(1, 4)), rng.uniform(0.015, 0.035)
    levels, walls = np.linspace(0.0, height - board, rows + 1), np.linspace(0.0, width - board, columns + 1)
    low = [(0.0, level, 0.0) for level in levels] + [(x, 0.0, 0.0) for x in walls]
    sizes = [(width, board, depth)] * (rows + 1) + [(board, height, depth)] * (columns + 1)
    if chance(rng, 0.6):
        low.append((0.0, 0.0, 0.0))
        sizes.append((width, height, 0.01))
    room, tall = width / columns - board, height / rows - board
    full = rng.uniform(0.1, 1.0)
    for level in levels[:-1]:
        for x in walls[:-1]:
            if rng.random() > full:
                continue
            thick = rng.uniform(0.02, 0.08, int(rng.integers(2, 9)))
            ends = np.cumsum(thick)
            fitting = ends < room
            for end, wide in zip(ends[fitting], thick[fitting], strict=True):
                low.append((x + board + end - wide, level + board, 0.0))
                sizes.append((0.95 * wide, tall * rng.uniform(0.6, 0.95), depth * rng.uniform(0.6, 0.9)))
    return [boxes(low, sizes).moved(x=-width / 2, z=-depth / 2)]


def cabinet(rng: np.random.Generator) -> list[Part]:
    """Low cabinet or chest of drawers: fronts in rows and columns with knobs or bars, on feet or a plinth."""
    width, height, depth = rng.uniform(0.4, 1.8), rng.uniform(0.4, 1.1), rng.uniform(0.35, 0.6)
    foot = pick(rng, 0.0, rng.uniform(0.06, 0.3))
    parts = [box(width, height, depth).moved(y=foot)]
    parts.append(box(width * rng.uniform(1.0, 1.08), 0.03, 1.06 * depth).moved(y=foot + height))
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    wide, tall = width / columns, height / rows
    x, y = np.meshgrid((np.arange(columns) + 0.06) * wide - width / 2, foot + (np.arange(rows) + 0.06) * tall)
    out = np.where(rng.random(x.shape) < 0.12, rng.uniform(0.1, 0.25), 0.018)  # a drawer left open
    low = np.stack([x, y, np.full(x.shape, depth / 2)], axis=-1).reshape(-1, 3)
    sizes = np.stack([np.full(x.size, 0.88 * wide), np.full(x.size, 0.88 * tall), out.ravel()], axis=1)
    parts.append(boxes(low, sizes))
    grip = np.array(pick(rng, (0.3 * wide, 0.02, 0.025), (0.035, 0.035, 0.035)))
    middle = low + sizes * [0.5, rng.uniform(0.4, 0.8), 1.0] - grip * [0.5, 0.5, 0.0]
    parts.append(boxes(middle, grip))
    return parts + (four_legs(rng, 0.92 * width, 0.9 * depth, foot) if foot else [])


def wardrobe(rng: np.random.Generator) -> list[Part]:
    """Wardrobe: taller than wide, one to four doors, of which some stand open on an inside with a rail."""
    doors, height = int(rng.integers(1, 5)), rng.uniform(1.7, 2.3)
    leaf, depth, board = rng.uniform(0.4, 0.6), rng.uniform(0.45, 0.65), 0.025
    width = doors * leaf
    low = [(0, 0, 0), (width - board, 0, 0), (0, 0, 0), (0, height - board, 0), (0, 0.06, 0)]
    tall, flat = (board, height, depth), (width, board, depth)
    sizes = [tall, tall, (width, height, board), flat, flat]
    parts = [boxes(low, sizes).moved(x=-width / 2, z=-depth / 2)]
    opened = chance(rng, 0.4)
    for door in range(doors):
        front = panel(0.97 * leaf, 0.94 * height, board).moved(x=leaf / 2)
        knob = box(0.03, 0.1, 0.05).moved(0.88 * leaf, 0.5 * height, 0.03)
        angle = rng.uniform(40.0, 110.0) if opened and chance(rng, 0.6) else 0.0
        for part in (front, knob):
            hung = part.turned("y", -angle).moved(y=0.03 * height)
            parts.append(hung.moved(door * leaf - width / 2, 0.0, depth / 2))
    if opened:
        rail = height * 0.85
        parts.append(tube([(-width / 2, rail, 0.0), (width / 2, rail, 0.0)], 0.02, 8))
    if chance(rng, 0.4):
        parts.append(box(1.1 * width, 0.08, 1.15 * depth).moved(y=height))
    return parts


def bathtub(rng: np.random.Generator) -> list[Part]:
    """Bathtub: a deep oval or rectangular basin with a rim; some stand on feet, some have a tap."""
    long, wide, deep = rng.uniform(1.4, 1.9), rng.uniform(0.65, 0.9), rng.uniform(0.4, 0.6)
    corner, slope = rng.uniform(0.1, 0.5) * wide, rng.uniform(0.6, 0.95)
    outline = rounded_rectangle(wide, long, corner)
    shares = np.array([slope, 0.5 + 0.5 * slope, 1.0, 1.0, 0.9, 0.45 + 0.45 * slope, 0.85 * slope])
    levels = np.array([0.0, 0.4, 1.0, 1.06, 1.06, 0.5, 0.12]) * deep
    rings = np.empty((7, len(outline), 3))
    rings[..., 0], rings[..., 2] = np.outer(shares, outline[:, 0]), np.outer(shares, outline[:, 1])
    rings[..., 1] = levels[:, None]
    foot = pick(rng, 0.0, rng.uniform(0.08, 0.18))
    parts = [loft(rings).moved(y=foot)]
    if foot:
        leg = tube([(0.3 * wide, 0.0, 0.36 * long), (0.26 * wide, foot + 0.05, 0.3 * long)], [0.03, 0.06], 8)
        parts += [mirrored(leg), mirrored(leg.scaled(z=-1.0))]
    if chance(rng, 0.5):
        top, end = foot + 1.06 * deep, -0.47 * long
        path = [(0.0, top, end), (0.0, top + 0.2, end), (0.0, top + 0.2, end + 0.18)]
        parts.append(tube(path, 0.022, 8))
    return parts


def piano(rng: np.random.Generator) -> list[Part]:
    """Piano: upright, or a grand with a curved side, three legs and a lid that may be open."""
    width, level, key = rng.uniform(1.35, 1.6), rng.uniform(0.62, 0.72), rng.uniform(0.12, 0.18)
    keys = boxes(
        np.stack([np.linspace(-0.46, 0.45, 18) * width, np.full(18, level), np.full(18, -0.08)], axis=1),
        [0.02, 0.025, 0.09],
    )
    pedals = boxes([[x, 0.04, 0.06] for x in (-0.1, 0.0, 0.1)], [0.04, 0.02, 0.12])
    if chance(rng, 0.5):
        height, depth = rng.uniform(1.0, 1.35), rng.uniform(0.3, 0.45)
        shelf = box(width, key, 0.3).moved(y=level - key, z=0.05)
        leg = tube([(0.44 * width, 0.0, 0.13), (0.44 * width, level - key, 0.13)], 0.035, 8)
        music = panel(0.5 * width, 0.22, 0.015).turned("x", -15.0).moved(y=level + 0.1)
        return [
            box(width, height, depth).moved(z=-depth / 2 - 0.1),
            shelf,
            keys,
            mirrored(leg),
            pedals,
            music,
        ]
    long, thick = rng.uniform(1.4, 2.4), rng.uniform(0.22, 0.32)
    turn = np.linspace(0.0, 1.0, 14)
    side = np.stack([width * (0.5 - 0.62 * turn**2 * (3 - 2 * turn)), -long * turn**0.7], axis=1)
    outline = np.concatenate([side, [[-0.5 * width, -long]], [[-0.5 * width, 0.0]]])
    lids = np.empty((2, len(outline), 3))
    lids[:, :, 0], lids[:, :, 2] = outline.T
    lids[0, :, 1], lids[1, :, 1] = level - 0.1, level - 0.1 + thick
    parts = [loft(lids), box(width, 0.12, 0.25).moved(y=level - 0.12, z=0.06), keys.moved(z=0.12)]
    if chance(rng, 0.6):
        lid = np.repeat(lids[1:], 2, axis=0) - [-0.5 * width, level - 0.1 + thick, 0.0]
        lid[1, :, 1] += 0.02
        opened = loft(lid).turned("z", rng.uniform(20.0, 45.0))
        parts.append(opened.moved(-0.5 * width, level - 0.1 + thick, 0.0))
    spots = [(-0.42 * width, 0.0), (0.42 * width, 0.0), (-0.3 * width, -0.8 * long)]
    parts += [tube([(x, 0.0, z), (x, level - 0.1, z)], 0.05, 8) for x, z in spots]
    return [*parts, pedals.moved(z=-0.3)]
