"""Furniture: bed, chair, lamp, table."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, four_legs, pedestal, pick, slab, smooth_profile
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    box,
    cylinder,
    ellipse,
    ellipsoid,
    extrude,
    frustum,
    panel,
    plate,
    revolve,
    sphere,
    tapered_box,
    tube,
)

# --- chair --------------------------------------------------------------------------------------------


def chair(rng: np.random.Generator) -> list[Part]:
    """Chair: seat and back on legs, a pedestal or a sled, with or without arms; some upholstered."""
    if chance(rng, 0.18):
        return _armchair(rng)
    width, depth = rng.uniform(0.38, 0.6), rng.uniform(0.38, 0.55)
    level = pick(rng, rng.uniform(0.38, 0.5), rng.uniform(0.38, 0.5), rng.uniform(0.6, 0.75))
    thickness = rng.uniform(0.02, 0.09)
    parts = [slab(rng, width, depth, thickness).moved(y=level)]
    base = pick(rng, "legs", "legs", "pedestal", "sled")
    if base == "legs":
        parts += four_legs(rng, 0.9 * width, 0.9 * depth, level)
    elif base == "pedestal":
        parts += pedestal(rng, 0.5 * max(width, depth), level)
    else:
        parts += _sled(rng, 0.9 * width, 0.9 * depth, level)
    height, lean = rng.uniform(0.3, 0.6), rng.uniform(0.0, 16.0)
    back = _chair_back(rng, width, height)
    parts += [part.turned("x", -lean).moved(y=level + thickness, z=0.02 - depth / 2) for part in back]
    if chance(rng, 0.4):
        parts += _arms(rng, width, depth, level + thickness)
    return parts


def _chair_back(rng: np.random.Generator, width: float, height: float) -> list[Part]:
    thickness = rng.uniform(0.012, 0.025)
    style = pick(rng, "solid", "raised", "spindles", "ladder", "hoop")
    if style == "solid":
        return [panel(width, height, 2 * thickness, rng.uniform(0.0, 0.4) * width)]
    x, count = width / 2 - thickness, int(rng.integers(2, 6))
    posts = [tube([(i, 0.0, 0.0), (i, height, 0.0)], thickness, 4) for i in (-x, x)]
    if style == "raised":
        rest = rng.uniform(0.35, 0.65) * height
        return [*posts, panel(width, rest, 1.5 * thickness, rng.uniform(0.0, 0.1)).moved(y=height - rest)]
    if style == "spindles":
        rail = box(width, 0.06, 2 * thickness).moved(y=height - 0.06)
        places = np.linspace(-x, x, count + 2)[1:-1]
        spindles = [tube([(i, 0.0, 0.0), (i, height, 0.0)], 0.7 * thickness, 6, capped=False) for i in places]
        return [*posts, rail, *spindles]
    if style == "ladder":
        tall = 0.45 * height / count
        rungs = np.linspace(0.25 * height, height - tall, count)
        return posts + [box(width, tall, thickness).moved(y=level) for level in rungs]
    angle = np.linspace(0.0, np.pi, 12)
    arch = np.stack([x * np.cos(angle), height * np.sin(angle) ** 0.7, 0.0 * angle], axis=1)
    places = np.linspace(-x, x, count + 3)[1:-1]
    tops = height * (1.0 - (places / x) ** 2) ** 0.35
    rods = [
        tube([(i, 0.0, 0.0), (i, top, 0.0)], 0.5 * thickness, 6, capped=False)
        for i, top in zip(places, tops, strict=True)
    ]
    return [tube(arch, thickness, 8), *rods]


def _arms(rng: np.random.Generator, width: float, depth: float, level: float) -> list[Part]:
    rise, thick = rng.uniform(0.15, 0.26), rng.uniform(0.014, 0.03)
    front, rear, x = rng.uniform(0.2, 0.48) * depth, -0.48 * depth, width / 2 + thick
    if chance(rng, 0.5):
        path = [(x, level, front), (x, level + rise, front), (x, level + rise, rear)]
        arm = [tube(path, thick, 8)]
    else:
        rest = box(3 * thick, thick, front - rear).moved(x, level + rise, (front + rear) / 2)
        arm = [rest, tube([(x, level, front / 2), (x, level + rise, front / 2)], thick, 4)]
    return arm + [part.scaled(x=-1.0) for part in arm]


def _sled(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Part]:
    thick, x, z = rng.uniform(0.011, 0.02), width / 2, depth / 2
    path = [(x, height, z), (x, thick, z), (x, thick, -z)]
    path += [] if chance(rng, 0.4) else [(x, height, -z)]  # a cantilever or a closed loop
    runner = tube(path, thick, 8)
    bar = tube([(-x, thick, -z), (x, thick, -z)], thick, 8)
    return [runner, runner.scaled(x=-1.0), bar]


def _armchair(rng: np.random.Generator) -> list[Part]:
    width, depth, seat = rng.uniform(0.45, 0.7), rng.uniform(0.45, 0.65), rng.uniform(0.3, 0.42)
    arm, back, foot = rng.uniform(0.08, 0.2), rng.uniform(0.1, 0.2), rng.uniform(0.0, 0.15)
    arm_height, height = seat + rng.uniform(0.1, 0.25), seat + rng.uniform(0.35, 0.65)
    whole = width + 2 * arm
    if chance(rng, 0.4):  # tub: the arms run round into the back
        radius = width / 2 + arm
        profile = [radius - arm, radius, radius, radius - arm, radius - arm]
        level = rng.uniform(arm_height, height)
        shell = revolve(profile, [foot, foot, level, level, foot], 60.0, 300.0)
        parts = [shell, cylinder(radius - arm, seat - foot).moved(y=foot)]
    else:
        side = box(arm, arm_height - foot, depth + back).moved((width + arm) / 2, foot, -back / 2)
        rest = box(whole, height - foot, back).turned("x", -rng.uniform(0.0, 12.0))
        cushion = plate(width, depth, seat - foot, 0.05).moved(y=foot)
        parts = [side, side.scaled(x=-1.0), rest.moved(y=foot, z=-(depth + back) / 2), cushion]
    return parts + (four_legs(rng, 0.8 * whole, 0.8 * depth, foot) if foot > 0.04 else [])


# --- table --------------------------------------------------------------------------------------------


def table(rng: np.random.Generator) -> list[Part]:
    """Table: a round, oval or rectangular top on legs, a pedestal, trestles or panels."""
    height = pick(
        rng, rng.uniform(0.65, 0.8), rng.uniform(0.65, 0.8), rng.uniform(0.35, 0.5), rng.uniform(0.9, 1.1)
    )
    depth, thickness = rng.uniform(0.45, 1.0), rng.uniform(0.015, 0.07)
    base = pick(rng, "legs", "legs", "pedestal", "trestle", "panels")
    width = depth * (rng.uniform(1.0, 1.3) if base == "pedestal" else rng.uniform(1.0, 2.4))
    if chance(rng, 0.35):
        parts = [extrude(ellipse(width, depth), thickness)]
        inset = 0.68
    else:
        parts = [slab(rng, width, depth, thickness) if chance(rng, 0.5) else box(width, thickness, depth)]
        inset = rng.uniform(0.75, 0.97)
    parts = [part.moved(y=height) for part in parts]
    wide, deep = inset * width, inset * depth
    if base == "pedestal":
        return parts + pedestal(rng, rng.uniform(0.25, 0.42) * depth, height)
    if base == "trestle":
        return parts + _trestles(rng, wide, deep, height)
    if base == "panels":
        return parts + _side_panels(rng, wide, deep, height)
    parts += four_legs(rng, wide, deep, height)
    if chance(rng, 0.5):
        apron = rng.uniform(0.05, 0.14)
        parts.append(tapered_box((wide, deep), (wide, deep), apron).moved(y=height - apron))
    if chance(rng, 0.25):
        parts.append(box(0.95 * wide, 0.02, 0.95 * deep).moved(y=rng.uniform(0.15, 0.4) * height))
    return parts


def _trestles(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Part]:
    thick, x, z = rng.uniform(0.02, 0.04), 0.42 * width, depth / 2
    if chance(rng, 0.5):  # a pair of slanted legs
        top = pick(rng, 0.1, -1.0) * z  # an A or an X
        sides = [tube([(x, 0.0, i * z), (x, height, i * top)], thick, 4) for i in (-1, 1)]
    else:  # a post on a foot
        sides = [box(2.5 * thick, 2 * thick, 1.9 * z).moved(x), box(2 * thick, height, 5 * thick).moved(x)]
    level = rng.uniform(0.15, 0.8) * height
    beam = tube([(-x, level, 0.0), (x, level, 0.0)], thick, 4)
    return [*sides, *(side.scaled(x=-1.0) for side in sides), beam]


def _side_panels(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Part]:
    thick, x = rng.uniform(0.02, 0.05), width / 2
    parts = [box(thick, height, depth).moved(-x), box(thick, height, depth).moved(x)]
    if chance(rng, 0.6):
        tall = rng.uniform(0.25, 0.8) * height
        parts.append(box(width, tall, thick).moved(y=height - tall, z=-0.45 * depth))
    if chance(rng, 0.5):
        wide = rng.uniform(0.25, 0.4) * width
        parts.append(box(wide, rng.uniform(0.3, 1.0) * height, depth).moved(x - wide / 2))
    return parts


# --- bed ----------------------------------------------------------------------------------------------


def bed(rng: np.random.Generator) -> list[Part]:
    """Bed: mattress and pillows on a frame, with a headboard and maybe a footboard; some are bunks."""
    width, length = rng.uniform(0.8, 1.9), rng.uniform(1.85, 2.15)
    if chance(rng, 0.12):
        return _bunk(rng, min(width, 1.1), length)
    foot, frame, mattress = rng.uniform(0.05, 0.3), rng.uniform(0.08, 0.25), rng.uniform(0.12, 0.3)
    level = foot + frame
    parts = [box(width, frame, length).moved(y=foot), *_bedding(rng, width, length, mattress, level)]
    parts += four_legs(rng, 0.95 * width, 0.95 * length, foot)
    top = level + mattress
    parts += [part.moved(z=-length / 2) for part in _bed_end(rng, width, top + rng.uniform(0.2, 0.8))]
    if chance(rng, 0.45):
        parts += [part.moved(z=length / 2) for part in _bed_end(rng, width, top + rng.uniform(-0.1, 0.3))]
    if chance(rng, 0.2):  # canopy posts
        tall = rng.uniform(1.6, 2.1)
        posts = [(i * width / 2, j * length / 2) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
        parts += [tube([(x, 0.0, z), (x, tall, z)], 0.03, 6) for x, z in posts[:4]]
        parts.append(tube([(x, tall, z) for x, z in posts], 0.025, 6))
    return parts


def _bedding(rng: np.random.Generator, width: float, length: float, thick: float, level: float) -> list[Part]:
    parts = [plate(0.97 * width, 0.97 * length, thick, 0.08).moved(y=level)]
    count = 2 if width > 1.3 else 1
    pillow = ellipsoid(0.42 * width / count, rng.uniform(0.06, 0.1), rng.uniform(0.18, 0.25))
    for place in np.linspace(-0.24, 0.24, count) * (width if count > 1 else 0.0):
        parts.append(pillow.moved(float(place), level + thick + 0.05, 0.28 - length / 2))
    if chance(rng, 0.6):  # a cover over the lower part
        cover = rng.uniform(0.4, 0.7) * length
        drop = rng.uniform(0.5, 1.0) * thick
        wrap = box(1.04 * width, drop + 0.04, cover)
        parts.append(wrap.moved(y=level + thick - drop, z=(length - cover) / 2))
    return parts


def _bed_end(rng: np.random.Generator, width: float, height: float) -> list[Part]:
    thick = rng.uniform(0.02, 0.06)
    style = pick(rng, "solid", "round", "bars")
    if style == "bars":
        bars = np.linspace(-width / 2, width / 2, int(rng.integers(4, 10)))
        posts = [tube([(x, 0.0, 0.0), (x, height, 0.0)], 0.4 * thick + 0.008, 6) for x in bars]
        return [*posts, tube([(-width / 2, height, 0.0), (width / 2, height, 0.0)], 0.5 * thick + 0.01, 6)]
    corner = rng.uniform(0.1, 0.5) * width if style == "round" else 0.0
    board = (
        panel(width, height, thick, 0.0) if style == "solid" else panel(1.02 * width, height, thick, corner)
    )
    return [board]


def _bunk(rng: np.random.Generator, width: float, length: float) -> list[Part]:
    levels, thick = (rng.uniform(0.25, 0.45), rng.uniform(1.2, 1.5)), rng.uniform(0.1, 0.18)
    tall = levels[1] + rng.uniform(0.35, 0.55)
    x, z = width / 2, length / 2
    parts = [tube([(i * x, 0.0, j * z), (i * x, tall, j * z)], 0.045, 4) for i in (-1, 1) for j in (-1, 1)]
    for level in levels:
        parts.append(box(width, 0.1, length).moved(y=level))
        parts += _bedding(rng, width, length, thick, level + 0.1)
    rail = box(0.03, 0.1, 0.7 * length).moved(y=tall - 0.15, z=-0.15 * length)
    steps = np.linspace(0.3, levels[1], 4)
    ladder = [tube([(x, y, 0.45 * z), (x, y, 0.8 * z)], 0.02, 6) for y in steps]
    return [*parts, *ladder, rail.moved(x), rail.moved(-x)]


# --- lamp ---------------------------------------------------------------------------------------------


def lamp(rng: np.random.Generator) -> list[Part]:
    """Lamp: standing on the floor or a desk, with a pole, a vase, an arc or a jointed arm; or hanging."""
    style = pick(rng, "pole", "pole", "vase", "tripod", "arc", "joints", "pendant")
    if style == "joints":
        return _desk_lamp(rng)
    height = rng.uniform(0.3, 0.6) if style == "vase" else rng.uniform(0.45, 1.6)
    size = rng.uniform(0.1, 0.24) * (0.7 + 0.3 * height)
    shade, tall = _shade(rng, size)
    thin = rng.uniform(0.008, 0.02)
    if style == "pendant":
        cord = tube([(0.0, tall, 0.0), (0.0, tall + height, 0.0)], thin, 6)
        return [*shade, cord, cylinder(0.06, 0.03).moved(y=tall + height)]
    foot = cylinder(rng.uniform(0.5, 0.9) * size, rng.uniform(0.01, 0.04))
    if style == "vase":
        belly, neck = rng.uniform(0.4, 0.8) * size, rng.uniform(0.1, 0.25) * size
        widest = rng.uniform(0.25, 0.7)
        levels = [0.0, widest * height, 0.95 * height, 1.05 * height]
        body = smooth_profile(levels, [rng.uniform(0.3, 0.8) * belly, belly, neck, neck])
        return [revolve(*body), *(part.moved(y=height) for part in shade)]
    if style == "tripod":
        spread = rng.uniform(0.2, 0.35) * height
        leg = tube([(0.0, height, 0.02), (0.0, 0.0, spread)], 1.2 * thin, 6)
        return [*(leg.turned("y", 120.0 * k) for k in range(3)), *(part.moved(y=height) for part in shade)]
    if style == "arc":
        height += 0.5
        reach, angle = rng.uniform(0.3, 0.6) * height, np.linspace(0.0, np.pi, 12)
        bow = np.stack(
            [0.0 * angle, 0.6 * height + 0.3 * height * np.sin(angle), reach * (1 - np.cos(angle)) / 2], 1
        )
        pole = tube([(0.0, 0.0, 0.0), *bow], thin, 8)
        return [foot, pole, *(part.moved(y=0.6 * height - tall, z=reach) for part in shade)]
    return [foot, cylinder(thin, height + 0.5 * tall), *(part.moved(y=height) for part in shade)]


def _shade(rng: np.random.Generator, size: float) -> tuple[list[Part], float]:
    style = pick(rng, "cone", "drum", "dome", "globe", "bell")
    tall = rng.uniform(0.9, 1.6) * size
    if style == "cone":
        return [frustum(size, rng.uniform(0.3, 0.7) * size, tall, capped=False)], tall
    if style == "drum":
        return [cylinder(size, tall, capped=False)], tall
    if style == "dome":
        return [ellipsoid(size, tall, size, 0.0, 90.0)], tall
    if style == "globe":
        return [sphere(0.8 * size).moved(y=0.75 * size)], 1.55 * size
    heights = [0.0, 0.3 * tall, tall]
    return [revolve(*smooth_profile(heights, [size, 0.6 * size, 0.2 * size], 8))], tall


def _desk_lamp(rng: np.random.Generator) -> list[Part]:
    lower, upper, thin = rng.uniform(0.2, 0.4), rng.uniform(0.18, 0.35), rng.uniform(0.008, 0.015)
    first, second = np.deg2rad(rng.uniform(-40.0, 10.0)), np.deg2rad(rng.uniform(35.0, 100.0))
    elbow = np.array([0.0, lower * np.cos(first), lower * np.sin(first)])
    head = elbow + upper * np.array([0.0, np.cos(second), np.sin(second)])
    size = rng.uniform(0.06, 0.12)
    shade = frustum(size, rng.uniform(0.25, 0.5) * size, rng.uniform(1.2, 2.0) * size, capped=False)
    tall = float(np.ptp(shade.triangles[..., 1]))
    shade = (
        shade.moved(y=-tall).turned("x", -rng.uniform(0.0, 50.0)).moved(0.0, float(head[1]), float(head[2]))
    )
    return [
        cylinder(rng.uniform(0.08, 0.14), 0.025),
        tube(np.stack([0.0 * elbow, elbow, head]), thin, 8),
        shade,
    ]
