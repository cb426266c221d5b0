"""Vehicles: airplane and car."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick, smooth_profile
from pointlora_cli.datasets.shapes.primitives import (
    Array,
    Part,
    box,
    cylinder,
    ellipsoid,
    frustum,
    join,
    loft,
    panel,
    revolve,
    tapered_box,
    torus,
    tube,
)

# --- airplane -----------------------------------------------------------------------------------------


def airplane(rng: np.random.Generator) -> list[Part]:
    """Airplane: airliner, propeller plane, glider, fighter or biplane; the nose points to z."""
    kind = pick(rng, "airliner", "airliner", "propeller", "glider", "fighter", "biplane")
    long, slim = rng.uniform(0.9, 1.1), {"airliner": 0.055, "fighter": 0.05, "glider": 0.035}.get(kind, 0.07)
    radius = slim * rng.uniform(0.8, 1.3)
    parts = [_fuselage(rng, long, radius)]
    span = {"airliner": 0.95, "fighter": 0.6, "glider": 1.5, "propeller": 1.1, "biplane": 1.0}[kind]
    span *= rng.uniform(0.85, 1.15)
    sweep = {"airliner": 0.28, "fighter": 0.3}.get(kind, 0.02) * rng.uniform(0.7, 1.3)
    root = {"fighter": 0.4, "glider": 0.12}.get(kind, 0.2) * rng.uniform(0.85, 1.15)
    tip = root * (rng.uniform(0.2, 0.4) if sweep > 0.1 else rng.uniform(0.5, 1.0))
    rise = rng.uniform(-0.6, 0.9) * radius
    wing = _wing(span, root, tip, sweep, dihedral=rng.uniform(0.0, 0.1))
    place = rng.uniform(-0.02, 0.12) * long
    if kind == "biplane":
        parts += [wing.moved(y=-0.8 * radius, z=place), wing.moved(y=1.8 * radius, z=place)]
        struts = [(side * span * 0.3, i) for side in (-1, 1) for i in (-0.05, 0.05)]
        parts += [
            tube([(x, -0.8 * radius, place + z), (x, 1.9 * radius, place + z)], 0.008, 6) for x, z in struts
        ]
    else:
        parts.append(wing.moved(y=rise, z=place))
    parts += _tail(rng, long, radius, span, sweep)
    if kind == "airliner":
        parts += [part.moved(y=rise) for part in _engines(rng, radius, span / 2, sweep, place)]
    elif kind in ("propeller", "biplane"):
        blade = box(rng.uniform(0.25, 0.35), 0.03, 0.012).turned("z", rng.uniform(0.0, 180.0))
        parts.append(blade.moved(z=long / 2))
    return parts


def _fuselage(rng: np.random.Generator, long: float, radius: float) -> Part:
    nose, tail = rng.uniform(0.1, 0.22), rng.uniform(0.3, 0.5)
    heights = np.array([0.0, tail, 1.0 - nose, 1.0 - 0.4 * nose, 1.0]) * long
    profile = smooth_profile(heights, [0.15 * radius, radius, radius, 0.75 * radius, 0.0], 18)
    body = revolve(*profile).moved(y=-long / 2).turned("x", 90.0)
    cockpit = ellipsoid(0.6 * radius, 0.7 * radius, 1.6 * radius, 0.0, 90.0)
    return join(body, cockpit.moved(y=0.5 * radius, z=long * (0.5 - 1.3 * nose)))


def _half_wing(reach: float, root: float, tip: float, sweep: float, dihedral: float) -> Part:
    """Half of a wing along +x from the origin; sweep and dihedral are shares of its reach."""
    angle = np.arange(10) * (2 * np.pi / 10)
    section = np.stack([0.06 * np.sin(angle), 0.5 * np.cos(angle)], axis=1)  # (y, z) of a unit chord
    rings = np.empty((2, 10, 3))
    for ring, share, chord in ((0, 0.0, root), (1, 1.0, tip)):
        rings[ring, :, 0] = share * reach
        rings[ring, :, 1] = chord * section[:, 0] + share * dihedral * reach
        rings[ring, :, 2] = chord * section[:, 1] - share * sweep
    return loft(rings)


def _wing(span: float, root: float, tip: float, sweep: float, dihedral: float) -> Part:
    half = _half_wing(span / 2, root, tip, sweep, dihedral)
    return join(half, half.scaled(x=-1.0))


def _tail(rng: np.random.Generator, long: float, radius: float, span: float, sweep: float) -> list[Part]:
    chord, tall = rng.uniform(0.1, 0.16), rng.uniform(0.13, 0.22)
    back = 0.6 * sweep + 0.03
    fin = _half_wing(tall, chord, 0.6 * chord, back, 0.0).turned("z", 90.0)
    rear = -long / 2 + 0.5 * chord
    level = pick(rng, 0.0, 0.0, 0.95)  # on the fuselage, or on top of the fin
    flat = _wing(rng.uniform(0.25, 0.36) * span + 0.06, 0.8 * chord, 0.5 * chord, back, 0.0)
    return [
        fin.moved(y=0.3 * radius, z=rear),
        flat.moved(y=0.3 * radius + level * tall, z=rear - level * back),
    ]


def _engines(rng: np.random.Generator, radius: float, reach: float, slope: float, root: float) -> list[Part]:
    """Pods at the tail, or under a wing of a half-span whose middle line is z = root - share * slope."""
    size = rng.uniform(0.45, 0.65) * radius
    pod = frustum(0.7 * size, size, 4 * size).turned("x", 90.0)
    if chance(rng, 0.25):
        spots = [(1.8 * radius, 0.5 * radius, -0.32)]
    else:
        shares = pick(rng, (0.35,), (0.3, 0.6))
        spots = [(share * reach, -1.2 * size, root - share * slope + 0.03) for share in shares]
    pods = [pod.moved(x, y, z) for x, y, z in spots]
    return pods + [part.scaled(x=-1.0) for part in pods]


# --- car ----------------------------------------------------------------------------------------------

# Where along the length (0 rear, 1 front) the roof rises and ends at the belt line and on top, and the
# heights of the belt and the roof over the sill, as shares of the width.
_CABINS = {
    "saloon": ((0.14, 0.7), (0.28, 0.54), 0.36, 0.66),
    "hatchback": ((0.01, 0.72), (0.1, 0.54), 0.4, 0.76),
    "estate": ((0.01, 0.7), (0.04, 0.54), 0.37, 0.68),
    "coupe": ((0.08, 0.64), (0.3, 0.46), 0.32, 0.54),
    "van": ((0.0, 0.9), (0.02, 0.74), 0.5, 1.05),
    "pickup": ((0.38, 0.72), (0.41, 0.6), 0.45, 0.82),
}


def car(rng: np.random.Generator) -> list[Part]:
    """Car: saloon, hatchback, estate, coupe, van or pickup on four wheels; the front points to z."""
    kind = pick(rng, *_CABINS)
    belt_span, roof_span, belt, roof = _CABINS[kind]
    width = rng.uniform(1.65, 1.95)
    long = width * rng.uniform(2.05, 2.75)
    wheel, sill = rng.uniform(0.28, 0.38), rng.uniform(0.16, 0.32)
    belt, roof = belt * width * rng.uniform(0.9, 1.1), roof * width * rng.uniform(0.92, 1.1)
    parts = [_car_body(rng, width, long, belt).moved(y=sill)]
    start, stop = (np.array(belt_span) - 0.5) * long
    over, until = (np.array(roof_span) - 0.5) * long
    cabin = tapered_box(
        (0.94 * width, stop - start),
        (width * rng.uniform(0.7, 0.82), until - over),
        roof - belt,
        shift=(over + until - start - stop) / 2,
    )
    parts.append(cabin.moved(y=sill + belt, z=(start + stop) / 2))
    if kind == "pickup":
        side = (
            panel(0.36 * long, 0.2 * belt, 0.06)
            .turned("y", 90.0)
            .moved(0.44 * width, sill + belt, -0.3 * long)
        )
        parts += [side, side.scaled(x=-1.0)]
    tyre = join(cylinder(wheel, 0.22), torus(0.55 * wheel, 0.12 * wheel).moved(y=0.22)).turned("z", -90.0)
    axles = (-rng.uniform(0.27, 0.34) * long, rng.uniform(0.27, 0.36) * long)
    wheels = [tyre.moved(x=width / 2 - 0.2, y=wheel, z=axle) for axle in axles]
    parts += wheels + [part.scaled(x=-1.0) for part in wheels]
    if chance(rng, 0.5):
        mirror = box(0.18, 0.12, 0.08).moved(width / 2 + 0.06, sill + belt, float(stop) - 0.15 * width)
        parts += [mirror, mirror.scaled(x=-1.0)]
    return parts


def _car_body(rng: np.random.Generator, width: float, long: float, belt: float) -> Part:
    """Body below the windows: rounded sections (S, 8, 3) along z, lower and narrower at the ends."""
    places = np.array([-0.5, -0.46, -0.3, 0.0, 0.22, 0.45, 0.5])
    front, rear = rng.uniform(0.65, 0.85), rng.uniform(0.8, 0.98)
    tops = belt * np.array([0.75 * rear, rear, 1.0, 1.0, 0.97, front, 0.7 * front])
    halves = width / 2 * np.array([0.86, 0.95, 1.0, 1.0, 1.0, 0.93, 0.8])
    across = np.array([-0.9, -1.0, -1.0, -0.85, 0.85, 1.0, 1.0, 0.9])
    rings: Array = np.empty((len(places), len(across), 3))
    rings[..., 0] = np.outer(halves, across)
    rings[..., 1] = np.outer(tops, [0.0, 0.2, 0.75, 1.0, 1.0, 0.75, 0.2, 0.0])
    rings[..., 2] = places[:, None] * long
    return loft(rings)
