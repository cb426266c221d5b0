"""Vehicles on wheels, rails and tracks: truck, bus, bicycle, motorcycle, train, tank, tractor."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import around, boxes, egg, hoop, mirrored, rods, shifted, strand
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    box,
    cylinder,
    ellipsoid,
    extrude,
    frustum,
    join,
    plate,
    revolve,
    rounded_rectangle,
    tapered_box,
    tube,
)


def _wheel(radius: float, width: float) -> Part:
    """Wheel that rolls along z, its middle at the origin, its outer side towards x."""
    profile = [0.0, radius, radius, 0.62 * radius, 0.55 * radius, 0.0]
    tyre = revolve(profile, [0.0, 0.0, width, width, 0.8 * width, width])
    return tyre.turned("z", -90.0).moved(x=-width / 2)


def _lying(outline: list[tuple[float, float]], width: float) -> Part:
    """Prism of a width along x over an outline (K, 2) of places (z, y), about x = 0."""
    prism = extrude(np.array(outline), width)
    corners = prism.triangles  # x holds z, y the width, z holds y
    return Part(np.stack([corners[..., 1] - width / 2, corners[..., 2], corners[..., 0]], axis=-1))


def truck(rng: np.random.Generator) -> list[Part]:
    """Truck: a cab in front of a box, a tank, a tipper or a flat bed, on three to six axles."""
    width, level, wheel = rng.uniform(2.2, 2.6), rng.uniform(0.8, 1.1), rng.uniform(0.42, 0.55)
    cab, tall, load = rng.uniform(1.6, 2.4), rng.uniform(1.7, 2.6), rng.uniform(3.5, 10.0)
    gap = rng.uniform(0.1, 0.6)
    front = load / 2
    nose = pick(rng, 0.0, rng.uniform(0.8, 1.5))
    shape = tapered_box((width, cab), (0.95 * width, cab * rng.uniform(0.75, 0.95)), tall, shift=-0.08 * cab)
    parts = [shape.moved(y=level - 0.3, z=front + gap + cab / 2)]
    if nose:
        hood = tapered_box((0.85 * width, nose), (0.75 * width, 0.9 * nose), 0.5 * tall)
        parts.append(hood.moved(y=level - 0.3, z=front + gap + cab + nose / 2))
    parts.append(box(0.6 * width, 0.25, load + gap + cab / 2).moved(y=level - 0.3, z=gap / 2 + cab / 4))
    kind = pick(rng, "box", "box", "tank", "tipper", "flat")
    if kind == "box":
        parts.append(box(width, rng.uniform(1.8, 2.8), load).moved(y=level))
    elif kind == "tank":
        barrel = frustum(0.45 * width, 0.45 * width, load).scaled(z=rng.uniform(0.8, 1.0)).turned("x", 90.0)
        parts += [barrel.moved(y=level + 0.45 * width, z=-load / 2)]
        parts.append(cylinder(0.3, 0.2).moved(y=level + 0.85 * width))
    elif kind == "tipper":
        high, sheet = rng.uniform(0.7, 1.5), 0.06
        low = [(-width / 2, 0, 0), (-width / 2, 0, 0), (width / 2 - sheet, 0, 0), (-width / 2, 0, load)]
        sizes = [(width, sheet, load), (sheet, high, load), (sheet, high, load), (width, 1.1 * high, sheet)]
        body = boxes(low, sizes).turned("x", pick(rng, 0.0, 0.0, -rng.uniform(10.0, 40.0)))
        parts.append(body.moved(y=level, z=-load / 2))
    else:
        parts.append(box(width, 0.15, load).moved(y=level))
        count = int(rng.integers(0, 4))
        for place in rng.uniform(-0.35, 0.35, count) * load:
            crate = rng.uniform(0.5, 1.6, 3)
            parts.append(box(*crate.tolist()).moved(y=level + 0.15, z=float(place)))
    axles = [front + gap + cab * 0.5, *(np.arange(int(rng.integers(1, 4))) * 2.3 * wheel - 0.42 * load)]
    tyre = mirrored(_wheel(wheel, 0.3).moved(x=width / 2 - 0.15))
    return parts + [tyre.moved(y=wheel, z=float(z)) for z in axles]


def bus(rng: np.random.Generator) -> list[Part]:
    """Bus: one or two decks, a long box with rounded edges, bands of windows, wheels and mirrors."""
    width, long, decks = rng.uniform(2.2, 2.6), rng.uniform(6.5, 13.0), pick(rng, 1, 1, 2)
    high, level, wheel = rng.uniform(2.3, 2.7) * (1.0 + 0.55 * (decks - 1)), 0.35, rng.uniform(0.42, 0.52)
    section = rounded_rectangle(width, high, rng.uniform(0.1, 0.6))
    rings = np.empty((4, len(section), 3))
    shrink = np.array([0.93, 1.0, 1.0, rng.uniform(0.85, 0.97)])
    rings[..., 0], rings[..., 1] = np.outer(shrink, section[:, 0]), np.outer(shrink, section[:, 1])
    rings[..., 2] = (np.array([-0.5, -0.47, 0.46, 0.5]) * long)[:, None]
    skin = np.concatenate([rings, rings[:, :1]], axis=1)
    a, b, c, d = skin[:-1, :-1], skin[1:, :-1], skin[1:, 1:], skin[:-1, 1:]
    sides = Part(np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 3, 3))
    ends = [np.stack([np.broadcast_to(r.mean(0), r.shape), r, np.roll(r, -1, 0)], 1) for r in rings[[0, -1]]]
    parts = [join(sides, *(Part(end) for end in ends)).moved(y=level + high / 2)]
    count = int(rng.integers(4, 9))
    pitch = 0.85 * long / count
    for deck in range(decks):
        low = np.full((count, 3), width / 2)
        low[:, 1] = level + high * (0.45 if decks == 1 else 0.2 + 0.47 * deck)
        low[:, 2] = np.arange(count) * pitch - 0.42 * long
        parts.append(mirrored(boxes(low, [0.04, 0.32 * high / decks, 0.8 * pitch])))
    if chance(rng, 0.5):
        parts.append(
            box(0.5 * width, 0.25, 0.25 * long).moved(y=level + high, z=rng.uniform(-0.3, 0.3) * long)
        )
    tyre = mirrored(_wheel(wheel, 0.28).moved(x=width / 2 - 0.1)).moved(y=wheel)
    mirror = box(0.1, 0.35, 0.12).moved(width / 2 + 0.2, level + 0.55 * high, 0.49 * long)
    spots = pick(rng, (-0.28, 0.3), (-0.3, -0.19, 0.32))
    return [*parts, mirrored(mirror), *(tyre.moved(z=share * long) for share in spots)]


def bicycle(rng: np.random.Generator) -> list[Part]:
    """Bicycle: two spoked wheels in a frame with fork, bars, saddle and cranks; some with a basket."""
    wheel, base = rng.uniform(0.28, 0.36), rng.uniform(0.95, 1.1)
    other = wheel * pick(rng, 1.0, 1.0, 1.0, rng.uniform(0.6, 1.3))
    tyre, tubing = rng.uniform(0.015, 0.03), rng.uniform(0.014, 0.024)
    saddle, bars = rng.uniform(0.75, 1.0), rng.uniform(0.85, 1.1)
    parts = []
    for place, radius in ((-base / 2, wheel), (base / 2, other)):
        angle = np.arange(int(rng.integers(8, 19))) * 2.4
        rim = np.stack([0.0 * angle, radius * np.sin(angle), radius * np.cos(angle)], axis=1)
        spokes = rods(0.0 * rim, rim, 0.004, 0.004, 3)
        hub = hoop(radius, tyre).turned("z", 90.0)
        parts += [part.moved(y=radius, z=place) for part in (hub, spokes)]
    crank, seat = (0.0, 0.28, -0.08), (0.0, saddle - 0.12, -0.22)
    head, neck = (0.0, bars - 0.22, 0.33), (0.0, bars - 0.38, 0.37)
    drop = pick(rng, 0.0, 0.0, 0.3)  # a low top tube
    bar = [(crank, seat), (crank, neck), ((0.0, seat[1] - drop, seat[2] + drop / 4), head)]
    lines = np.array([*bar, (head, neck)])
    parts.append(rods(lines[:, 0], lines[:, 1], tubing, tubing, 8))
    axle = (0.03, wheel, -base / 2)
    stays = np.array(
        [((0.02, *seat[1:]), axle), ((0.03, *crank[1:]), axle), ((0.04, *neck[1:]), (0.04, other, base / 2))]
    )
    parts.append(mirrored(rods(stays[:, 0], stays[:, 1], 0.6 * tubing, 0.6 * tubing, 6)))
    parts.append(tube([seat, (0.0, saddle, -0.25)], 0.013, 6))
    parts.append(egg(0.06, 0.03, 0.13).moved(y=saddle, z=-0.25))
    wide = rng.uniform(0.2, 0.3)
    back, dip = rng.uniform(-0.15, 0.1), pick(rng, 0.0, -0.12)
    grip = [(0.0, bars, 0.31), (0.6 * wide, bars + 0.02, 0.31), (wide, bars + dip, 0.31 + back)]
    parts += [mirrored(tube(grip, 0.013, 6)), tube([head, (0.0, bars, 0.31)], 0.013, 6)]
    pedal = tube([crank, (0.06, crank[1], crank[2]), (0.07, crank[1] - 0.17, crank[2])], 0.012, 6)
    foot = box(0.09, 0.02, 0.06).moved(0.12, crank[1] - 0.18, crank[2])
    whole = join(pedal, foot).moved(y=-crank[1], z=-crank[2]).turned("x", rng.uniform(0.0, 360.0))
    for part in (whole, whole.scaled(x=-1.0, y=-1.0, z=-1.0)):
        parts.append(part.moved(y=crank[1], z=crank[2]))
    if chance(rng, 0.25):
        parts.append(boxes([[-0.16, bars - 0.15, 0.38]], [0.32, 0.2, 0.24]))
    return parts


def motorcycle(rng: np.random.Generator) -> list[Part]:
    """Motorcycle or scooter: fat wheels, an engine block, a tank, a seat, a raked fork and an exhaust."""
    wheel, base, fat = rng.uniform(0.25, 0.34), rng.uniform(1.2, 1.6), rng.uniform(0.05, 0.09)
    seat, bars = rng.uniform(0.68, 0.85), rng.uniform(0.95, 1.2)
    parts = []
    for place in (-base / 2, base / 2):
        disc = cylinder(0.5 * wheel, 0.06).moved(y=-0.03)
        parts += [part.turned("z", 90.0).moved(y=wheel, z=place) for part in (hoop(wheel - fat, fat), disc)]
    fork = np.array([(0.06, wheel, base / 2), (0.06, bars, base * rng.uniform(0.15, 0.3))])
    parts.append(mirrored(rods(fork[:1], fork[1:], 0.025, 0.03)))
    end = float(fork[1, 2])
    bar = [(0.0, bars, end), (0.25, bars + 0.06, end - 0.02), (0.38, bars, end - rng.uniform(0.0, 0.2))]
    parts.append(mirrored(tube(bar, 0.017, 6)))
    long = rng.uniform(0.5, 0.8)
    parts.append(plate(0.2, long, 0.08, 0.1).moved(y=seat - 0.1, z=-0.1 - 0.3 * long))
    if chance(rng, 0.25):  # a scooter's shield and floor
        parts.append(box(0.4, 0.08, 0.5).moved(y=0.25, z=0.1))
        parts.append(box(0.45, 0.7, 0.05).turned("x", -15.0).moved(y=0.3, z=0.4))
        parts.append(egg(0.18, 0.24, 0.45).moved(y=0.5, z=-0.35))
    else:
        parts.append(egg(0.15, 0.13, 0.28).moved(y=seat + 0.04, z=0.2))
        parts.append(tapered_box((0.24, 0.5), (0.12, 0.3), seat - 0.5).moved(y=0.3))
    frame = np.array(
        [((0.05, seat - 0.1, -0.4), (0.08, wheel, -base / 2)), ((0.0, 0.4, 0.25), (0.0, bars - 0.15, end))]
    )
    parts.append(mirrored(rods(frame[:, 0], frame[:, 1], 0.03, 0.03)))
    pipe = np.array([(0.15, 0.35, 0.25), (0.2, 0.22, 0.0), (0.22, 0.3, -base / 2 - 0.1)])
    parts += [
        strand(pipe, [0.03, 0.04, 0.055]),
        cylinder(0.09, 0.1).turned("x", 90.0).moved(y=bars - 0.1, z=end + 0.05),
    ]
    return parts


def train(rng: np.random.Generator) -> list[Part]:
    """Train: a steam engine, a modern head or a plain one, with one to three carriages on rails or none."""
    width, high = rng.uniform(2.4, 3.0), rng.uniform(2.2, 3.0)
    head, carriage, count = rng.uniform(5.0, 8.0), rng.uniform(5.0, 9.0), int(rng.integers(0, 4))
    parts, level = [], 0.7
    if chance(rng, 0.4):
        barrel = cylinder(0.38 * width, 0.65 * head).turned("x", 90.0)
        parts += [
            barrel.moved(y=level + 0.5 * width, z=0.3),
            box(width, high, 0.3 * head).moved(y=level, z=-0.1 * head),
        ]
        parts.append(frustum(0.2, 0.32, 0.9).moved(y=level + 0.85 * width, z=0.55 * head))
        parts += [egg(0.3, 0.4, 0.3).moved(y=level + 0.9 * width, z=z * head) for z in (0.2, 0.36)]
        parts.append(box(0.9 * width, 0.3, head).moved(y=0.5, z=0.2 * head))
        large = rng.uniform(0.5, 0.8)
        wheels = [(large, z) for z in np.linspace(-0.15, 0.35, 3) * head] + [(0.4, 0.55 * head)]
    else:
        slope = rng.uniform(0.0, 0.45) * head
        side = [(-0.3, 0), (0.7, 0), (0.7, 0.35 * high / head), (0.7 - slope / head, 0.95 * high / head)]
        side = [
            (z * head, y * head) for z, y in [*side, (0.65 - slope / head, high / head), (-0.3, high / head)]
        ]
        parts.append(_lying(side, width).moved(y=level))
        wheels = [(0.45, float(z)) for z in np.array([-0.22, -0.06, 0.4, 0.56]) * head]
    start = -0.3 * head - 0.4
    for _ in range(count):
        roof = rng.uniform(0.85, 1.05) * high
        if chance(rng, 0.25):
            roof *= 0.5  # an open wagon
        body = plate(width, carriage, roof, 0.2).moved(y=level, z=start - carriage / 2)
        parts += [body, box(0.3, 0.2, 0.6).moved(y=level, z=start + 0.2)]
        wheels += [(0.45, start - share * carriage) for share in (0.12, 0.24, 0.76, 0.88)]
        start -= carriage + 0.4
    for radius, z in wheels:
        disc = cylinder(radius, 0.15).turned("z", 90.0).moved(0.4 * width, radius, z)
        parts.append(mirrored(disc))
    if chance(rng, 0.3):
        rail = boxes([[0.4 * width - 0.05, -0.15, start]], [0.1, 0.15, head - start])
        parts.append(mirrored(rail))
    return parts


def tank(rng: np.random.Generator) -> list[Part]:
    """Tank: a hull between two tracks over wheels, and a turret with a gun turned somewhere."""
    width, long, high = rng.uniform(2.6, 3.4), rng.uniform(5.0, 7.0), rng.uniform(0.7, 1.1)
    track = rng.uniform(0.45, 0.7)
    slope = rng.uniform(0.1, 0.25)
    run = [(-0.42, 0), (0.4, 0), (0.5, 0.5), (0.44, 0.95), (-0.44, 0.95), (-0.5, 0.5)]
    belt = _lying([(z * long, y * high) for z, y in run], track)
    wheels = [
        cylinder(0.38 * high, 0.06).turned("z", -90.0).moved(track / 2, 0.42 * high, float(z))
        for z in np.linspace(-0.36, 0.36, int(rng.integers(4, 8))) * long
    ]
    parts = [mirrored(join(belt, *wheels).moved(x=(width - track) / 2))]
    hull = [(-0.48, 0.3), (0.42, 0.3), (0.5, 0.7), (0.5 - slope, 1.25), (-0.46, 1.25)]
    parts.append(_lying([(z * long, y * high) for z, y in hull], width - 2.1 * track))
    parts.append(box(width, 0.08, 0.8 * long).moved(y=high))
    size, tall, place = rng.uniform(0.9, 1.3), rng.uniform(0.5, 0.8), rng.uniform(-0.15, 0.1) * long
    if chance(rng, 0.5):
        body = ellipsoid(size, tall, 1.15 * size, 0.0, 90.0)
    else:
        body = tapered_box((1.9 * size, 2.4 * size), (1.4 * size, 1.7 * size), tall, shift=-0.15)
    gun = tube(
        [(0.0, 0.5 * tall, 0.8 * size), (0.0, 0.5 * tall + rng.uniform(-0.1, 0.6), rng.uniform(2.8, 4.6))],
        0.11,
        10,
    )
    hatch = cylinder(0.28, 0.12).moved(0.35 * size, 0.85 * tall)
    aim = pick(rng, 0.0, rng.uniform(-180.0, 180.0))
    return parts + [part.turned("y", aim).moved(y=1.25 * high, z=place) for part in (body, gun, hatch)]


def tractor(rng: np.random.Generator) -> list[Part]:
    """Tractor: large wheels behind, small ones in front, a long hood, a cabin or a seat; some tow a cart."""
    large, small, wide = rng.uniform(0.7, 0.95), rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.5)
    base, half = rng.uniform(2.0, 2.6), rng.uniform(0.7, 0.95)
    cabin = rng.uniform(1.3, 1.8)
    parts = [tapered_box((0.8, 0.65 * base), (0.65, 0.6 * base), 0.75).moved(y=0.7, z=0.7 * base)]
    parts.append(box(1.0, 0.25, 1.3 * base).moved(y=0.6, z=0.45 * base))
    lug = box(0.04, wide, 0.09).moved(x=large)
    parts.append(
        mirrored(
            join(_wheel(large, wide), around(lug, 14).moved(y=-wide / 2).turned("z", 90.0)).moved(half, large)
        )
    )
    parts.append(mirrored(_wheel(small, 0.6 * wide).moved(0.9 * half, small, base)))
    if chance(rng, 0.65):
        posts = np.array([(x, z) for x in (-0.55, 0.55) for z in (-0.5, 0.6)])
        feet = np.stack([posts[:, 0], np.full(4, 0.9), posts[:, 1]], axis=1)
        parts.append(rods(feet, shifted(feet, 0.0, cabin, 0.0), 0.05, 0.05, 4))
        parts += [box(1.25, 0.1, 1.3).moved(y=0.9 + cabin, z=0.05), box(1.1, 0.5, 1.1).moved(y=0.85, z=0.05)]
    else:
        parts += [box(0.5, 0.1, 0.5).moved(y=1.25), box(0.5, 0.45, 0.08).moved(y=1.3, z=-0.25)]
        ring = hoop(0.2, 0.025).turned("x", 40.0).moved(y=1.6, z=0.45)
        parts += [ring, tube([(0.0, 1.2, 0.7), (0.0, 1.6, 0.45)], 0.03, 6), box(0.9, 0.4, 0.7).moved(y=0.85)]
    parts.append(tube([(0.25, 1.4, base), (0.25, rng.uniform(1.9, 2.4), base)], 0.05, 8))
    if chance(rng, 0.25):
        cart = rng.uniform(2.0, 3.0)
        parts.append(box(1.8, rng.uniform(0.4, 0.9), cart).moved(y=0.75, z=-1.5 - cart / 2))
        parts += [mirrored(_wheel(0.45, 0.25).moved(0.85, 0.45, -1.5 - cart / 2))]
        parts.append(box(0.1, 0.1, 1.3).moved(y=0.7, z=-1.0))
    return parts
