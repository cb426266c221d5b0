"""Craft on water, in the air and beyond: ship, sailboat, submarine, helicopter, rocket, balloon."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick, smooth_profile
from pointlora_cli.datasets.shapes.copies import around, ball, boxes, egg, mirrored, rods, shifted
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
    tapered_box,
    tube,
)


def _hull(rng: np.random.Generator, long: float, wide: float, deep: float, decked: bool) -> Part:
    """Hull with its bow towards z and its highest deck line at y = deep, with a deck or an inside."""
    share = np.linspace(0.0, 1.0, 15)[:, None]
    stern, rake = rng.uniform(0.4, 0.95), rng.uniform(0.0, 0.12)
    half = (
        wide
        / 2
        * np.minimum(stern + (1 - stern) * share / 0.4, 1.0)
        * (1.0 - np.clip((share - 0.5) / 0.5, 0, 1) ** 2.2)
    )
    turn = np.linspace(-np.pi / 2, np.pi / 2, 11)
    section = rng.uniform(0.5, 1.0)
    x = half * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** section
    sheer = 1.0 + rng.uniform(0.0, 0.5) * share**3
    y = deep * sheer * (1.0 - np.abs(np.cos(turn)) ** section)
    z = (share - 0.5) * long + rake * long * share * y / deep
    skin = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
    parts = [grid(skin), grid(np.stack([skin[0] * [0.0, 1.0, 1.0], skin[0]]))]
    level = 0.96 if decked else 0.4
    deck = np.stack(
        [x[:, [0, -1]] * level, np.broadcast_to(level * deep * sheer, (15, 2)), z[:, [0, -1]]], axis=-1
    )
    return join(*parts, grid(deck))


def ship(rng: np.random.Generator) -> list[Part]:
    """Ship: a cargo ship with containers, a liner with decks and funnels, a warship or a fishing boat."""
    long = rng.uniform(40.0, 90.0)
    wide, deep = long * rng.uniform(0.13, 0.24), long * rng.uniform(0.06, 0.12)
    parts = [_hull(rng, long, wide, deep, decked=True)]
    kind = pick(rng, "cargo", "liner", "warship", "boat")
    if kind == "cargo":
        parts.append(box(0.8 * wide, 1.2 * deep, 0.1 * long).moved(y=deep, z=-0.38 * long))
        rows, columns = int(rng.integers(4, 9)), int(rng.integers(2, 4))
        x, z = np.meshgrid(np.arange(columns) / columns - 0.5, np.linspace(-0.28, 0.26, rows))
        low = np.stack([0.8 * wide * x.ravel(), np.full(x.size, deep), long * z.ravel()], axis=1)
        sizes = np.empty((x.size, 3))
        sizes[:] = [0.75 * wide / columns, 0.0, 0.5 * long / rows]
        sizes[:, 1] = rng.integers(0, 4, x.size) * 0.3 * deep + 0.02
        parts.append(boxes(low, sizes))
    elif kind == "liner":
        decks = int(rng.integers(2, 5))
        for deck in range(decks):
            size = 0.7 - 0.12 * deck
            parts.append(
                box((0.85 - 0.1 * deck) * wide, 0.4 * deep, size * long).moved(
                    y=deep * (1 + 0.4 * deck), z=-0.04 * long
                )
            )
        top = deep * (1 + 0.4 * decks)
        for place in np.linspace(-0.2, 0.12, int(rng.integers(1, 4))) * long:
            parts.append(
                frustum(0.12 * wide, 0.1 * wide, 0.9 * deep).turned("x", -8.0).moved(y=top, z=float(place))
            )
    elif kind == "warship":
        parts.append(
            tapered_box((0.7 * wide, 0.3 * long), (0.4 * wide, 0.12 * long), 1.3 * deep).moved(y=deep)
        )
        for place in (0.28, -0.3):
            parts.append(cylinder(0.2 * wide, 0.3 * deep).moved(y=deep, z=place * long))
            gun = tube(
                [(0.0, 1.2 * deep, place * long), (0.0, 1.4 * deep, (place + 0.12) * long)], 0.04 * wide, 6
            )
            parts.append(gun)
    else:
        parts.append(box(0.55 * wide, 1.3 * deep, 0.2 * long).moved(y=deep, z=rng.uniform(-0.3, 0.15) * long))
        boom = [(0.0, deep, -0.1 * long), (0.0, 3.0 * deep, -0.3 * long)]
        parts.append(tube(boom, 0.03 * wide, 6))
    mast = rng.uniform(1.5, 3.5) * deep
    parts.append(tube([(0.0, deep, 0.0), (0.0, deep + mast, 0.0)], 0.02 * wide, 6))
    return parts


def sailboat(rng: np.random.Generator) -> list[Part]:
    """Sailboat: an open or decked hull with a keel, one or two masts, and bellied sails."""
    long = rng.uniform(5.0, 9.0)
    wide, deep = long * rng.uniform(0.25, 0.36), long * rng.uniform(0.1, 0.16)
    parts = [_hull(rng, long, wide, deep, decked=chance(rng, 0.5))]
    swing = rng.uniform(-25.0, 25.0)
    masts = pick(rng, (0.05,), (0.05,), (0.2, -0.22))
    for place in masts:
        tall = long * rng.uniform(0.9, 1.4) * (1.0 if len(masts) == 1 else 0.85)
        mast = tube([(0.0, 0.0, 0.0), (0.0, tall, 0.0)], [0.012 * long, 0.007 * long], 8)
        foot = long * rng.uniform(0.3, 0.5) * (1.0 if len(masts) == 1 else 0.75)
        boom = tube([(0.0, 0.12 * tall, 0.0), (0.0, 0.12 * tall, -foot)], 0.008 * long, 6)
        top = pick(rng, 0.02, 0.02, rng.uniform(0.3, 0.9))
        sail = _sail(0.14 * tall, 0.96 * tall, -foot, -top * foot, rng.uniform(0.04, 0.14) * long)
        for part in (mast, boom.turned("y", swing), sail.turned("y", swing)):
            parts.append(part.moved(y=0.4 * deep, z=place * long))
    if chance(rng, 0.75):
        front, tall = (0.46 - masts[0]) * long, rng.uniform(0.7, 1.0) * long
        jib = _sail(0.1 * tall, 0.85 * tall, front, 0.03 * front, rng.uniform(0.04, 0.12) * long)
        parts.append(jib.moved(y=0.5 * deep, z=masts[0] * long))
    if chance(rng, 0.5):
        parts.append(box(0.03 * wide, 0.8 * deep, 0.25 * long).moved(y=-0.7 * deep))
    return parts


def _sail(low: float, high: float, foot: float, head: float, belly: float) -> Part:
    """Sail from its mast at z = 0 to z = foot at the bottom and z = head on top, bulging along x."""
    up, out = np.linspace(0.0, 1.0, 8)[:, None], np.linspace(0.0, 1.0, 8)
    bulge = belly * np.sin(np.pi * out) * np.sin(np.pi * np.clip(up + 0.1, 0.0, 1.0))
    reach = (foot + (head - foot) * up) * out
    return grid(np.stack(np.broadcast_arrays(bulge, low + (high - low) * up, reach), axis=-1))


def submarine(rng: np.random.Generator) -> list[Part]:
    """Submarine: a long round hull with a tower, fins crossed at the stern, a screw and a periscope."""
    long, radius = rng.uniform(8.0, 12.0), rng.uniform(0.5, 0.9)
    nose, tail = rng.uniform(0.08, 0.15), rng.uniform(0.25, 0.4)
    places = np.array([0.0, tail, 1 - nose, 1 - nose / 3, 1.0]) * long
    body = revolve(*smooth_profile(places, np.array([0.1, 1.0, 1.0, 0.7, 0.0]) * radius, 20))
    parts = [body.turned("x", 90.0).moved(z=-long / 2)]
    tower, tall, place = rng.uniform(1.0, 2.0), rng.uniform(0.7, 1.3), rng.uniform(0.0, 0.25) * long
    parts.append(ellipsoid(0.35 * radius, 1.0, 0.5 * tower).scaled(y=tall).moved(y=radius, z=place))
    parts.append(box(rng.uniform(1.5, 2.6), 0.06, 0.4).moved(y=pick(rng, radius + 0.5 * tall, 0.3), z=place))
    parts.append(tube([(0.0, radius, place), (0.0, radius + tall + rng.uniform(0.3, 0.8), place)], 0.05, 6))
    fin = tapered_box((0.08, 0.9), (0.08, 0.5), rng.uniform(1.0, 1.4) * radius)
    cross = around(fin.turned("x", 90.0).turned("x", -90.0).turned("z", -90.0), 1)
    fins = [fin.turned("z", angle) for angle in (0.0, 90.0, 180.0, 270.0)]
    parts += (
        [part.moved(z=-0.46 * long) for part in fins] if chance(rng, 0.7) else [cross.moved(z=-0.46 * long)]
    )
    blade = egg(0.05, 0.28, 0.12).moved(y=0.28)
    screw = around(blade.turned("x", 90.0).moved(y=0.0), int(rng.integers(3, 7))).turned("x", 90.0)
    return [*parts, screw.moved(z=-0.5 * long - 0.05)]


def helicopter(rng: np.random.Generator) -> list[Part]:
    """Helicopter: a cabin, a tail boom with a fin and a rotor, a main rotor, and skids or wheels."""
    wide, high, long = rng.uniform(0.6, 0.9), rng.uniform(0.7, 1.0), rng.uniform(1.2, 2.0)
    parts = [ellipsoid(wide, high, long).moved(y=high + 0.6)]
    boom, lift = rng.uniform(2.5, 4.0), rng.uniform(0.0, 0.5)
    end = (0.0, high + 0.7 + lift, -0.5 * long - boom)
    parts.append(tube([(0.0, high + 0.8, -0.5 * long), end], [0.45 * high, 0.12], 12))
    fin = tapered_box((0.06, 0.6), (0.06, 0.35), rng.uniform(0.6, 1.1), shift=-0.3)
    parts += [fin.moved(*end), box(rng.uniform(0.8, 1.4), 0.05, 0.35).moved(y=end[1], z=end[2] + 0.6)]
    blade = box(0.08, 1.0, 0.03).moved(y=-0.5).turned("x", rng.uniform(0.0, 180.0))
    parts.append(blade.moved(0.12, end[1] + 0.3, end[2]))
    hub, reach, count = 2.0 * high + 0.95, rng.uniform(2.2, 3.4), int(rng.integers(2, 6))
    rotor = box(reach, 0.03, rng.uniform(0.14, 0.24)).moved(x=reach / 2)
    parts.append(
        around(rotor.turned("z", rng.uniform(-6.0, 4.0)), count)
        .turned("y", rng.uniform(0.0, 90.0))
        .moved(y=hub)
    )
    parts.append(frustum(0.3, 0.1, 0.5).moved(y=hub - 0.45))
    x = rng.uniform(0.6, 0.9)
    if chance(rng, 0.7):
        skid = tube([(x, 0.05, -0.9), (x, 0.05, 0.9), (x, 0.25, 1.1)], 0.05, 6)
        feet = np.array([(x, 0.05, z) for z in (-0.5, 0.5)])
        struts = rods(feet, feet * [0.4, 0.0, 1.0] + [0.0, 0.7, 0.0], 0.035, 0.035, 6)
        parts.append(mirrored(join(skid, struts)))
    else:
        wheel = cylinder(0.22, 0.15).turned("z", 90.0).moved(x, 0.22, -0.4)
        strut = tube([(x, 0.22, -0.4), (0.4 * x, 0.8, -0.3)], 0.05, 6)
        parts += [mirrored(join(wheel, strut)), wheel.moved(x=-x, z=0.4 + 0.5 * long)]
    return parts


def rocket(rng: np.random.Generator) -> list[Part]:
    """Rocket: stages of falling width with a pointed nose, fins or boosters, and nozzles."""
    radius, stages = rng.uniform(0.25, 0.5), int(rng.integers(1, 4))
    heights, radii = [0.0], [radius]
    for _ in range(stages):
        heights += [heights[-1] + rng.uniform(0.9, 2.4)]
        radii += [radii[-1]]
        shrink = rng.uniform(0.65, 1.0)
        heights += [heights[-1] + rng.uniform(0.1, 0.3)]
        radii += [radii[-1] * shrink]
    nose = radii[-1] * rng.uniform(1.5, 3.5)
    share = np.linspace(0.0, 1.0, 7)[1:]
    curve = radii[-1] * (1.0 - share ** rng.uniform(1.0, 2.2))
    body = revolve([0.0, *radii, *curve], [0.0, *heights, *(heights[-1] + nose * share)])
    parts = [body]
    tall = heights[1]
    if chance(rng, 0.6):
        fin = tapered_box((0.03, rng.uniform(0.5, 1.0)), (0.03, 0.3), 0.6 * tall, shift=-0.25)
        parts.append(around(fin.moved(y=-0.1, z=radius + 0.2), int(rng.integers(3, 5))))
    if chance(rng, 0.5):
        size = rng.uniform(0.35, 0.7) * radius
        tank = revolve([0.0, size, size, 0.0], [0.0, 0.0, 0.8 * tall, 0.8 * tall + 2.0 * size])
        parts.append(around(tank.moved(z=radius + size), pick(rng, 2, 4, 6)))
    nozzle = frustum(0.45 * radius, 0.2 * radius, 0.6 * radius, capped=False).moved(y=-0.6 * radius)
    parts.append(
        around(nozzle.moved(z=0.5 * radius), int(rng.integers(3, 6))) if chance(rng, 0.4) else nozzle
    )
    if chance(rng, 0.2):  # a tower beside it
        top = heights[-1]
        post = np.array([(x, 0.0, 2.5 * radius + z) for x in (-0.2, 0.2) for z in (0.0, 0.4)])
        parts += [rods(post, shifted(post, 0.0, top, 0.0), 0.04, 0.04, 4)]
        levels = np.arange(0.2, top, 0.45)
        low: Array = np.stack([0.0 * levels - 0.2, levels, 0.0 * levels + 2.5 * radius], axis=1)
        parts.append(rods(low, shifted(low, 0.4, 0.4, 0.0), 0.02, 0.02, 4))
        parts.append(rods(shifted(low, 0.0, 0.0, 0.4), shifted(low, 0.4, 0.4, 0.4), 0.02, 0.02, 4))
    return parts


def balloon(rng: np.random.Generator) -> list[Part]:
    """Hot-air balloon: a gored envelope that narrows to its mouth, ropes, and a basket below."""
    radius = rng.uniform(5.0, 8.0)
    tall, mouth = radius * rng.uniform(1.9, 2.5), rng.uniform(0.12, 0.25) * radius
    places = np.array([0.0, 0.35, 0.68, 0.92, 1.0]) * tall
    radii, levels = smooth_profile(places, [mouth, 0.72 * radius, radius, 0.5 * radius, 0.0], 18)
    skin = revolve(radii, levels)
    gores = int(rng.integers(8, 17))
    turn = np.arctan2(skin.triangles[..., 0], skin.triangles[..., 2])
    bulge = 1.0 + rng.uniform(0.0, 0.05) * np.abs(np.sin(gores * turn / 2))
    skin = Part(skin.triangles * np.stack([bulge, np.ones_like(bulge), bulge], axis=-1))
    drop, size = rng.uniform(0.3, 0.6) * radius, rng.uniform(0.1, 0.2) * radius
    corners = np.array([(x, 0.0, z) for x in (-size, size) for z in (-size, size)])
    ropes = rods(corners - [0.0, drop, 0.0], corners * mouth / size / 1.4, 0.012 * radius, 0.012 * radius, 4)
    basket = tapered_box((1.8 * size, 1.8 * size), (2.0 * size, 2.0 * size), 1.5 * size)
    burner = ball(0.3 * size).moved(y=-0.4 * drop)
    return [skin, ropes, basket.moved(y=-drop - 1.5 * size), burner]
