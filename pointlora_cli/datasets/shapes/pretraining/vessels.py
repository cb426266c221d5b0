"""Vessels and what else is turned or woven: vase, bowl, wine glass, jug, teapot, bucket and others."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick, smooth_profile
from pointlora_cli.datasets.shapes.copies import around, ball, hoop, mirrored, strand
from pointlora_cli.datasets.shapes.primitives import (
    Array,
    Part,
    cylinder,
    disc,
    frustum,
    grid,
    plate,
    revolve,
    tube,
)


def _walled(radii: Array, heights: Array, wall: float) -> Part:
    """Open vessel with a floor, an outside and an inside a wall apart, and a rim."""
    inside = np.maximum(radii - wall, 0.05 * radii.max())
    floor = np.maximum(heights, heights[0] + wall)
    profile = np.concatenate([[0.0], radii, inside[::-1], [0.0]])
    return revolve(profile, np.concatenate([heights[:1], heights, floor[::-1], floor[:1]]))


def _bow(low: float, high: float, inner: tuple[float, float], reach: float, thick: float) -> Part:
    """Bowed handle beside a vessel, from a height and distance (inner) to another, `reach` wide."""
    share = np.linspace(0.0, 1.0, 10)
    along = inner[0] + share * (inner[1] - inner[0]) + reach * np.sin(np.pi * share) ** 0.7
    return strand(np.stack([along, low + share * (high - low), 0.0 * share], axis=1), thick)


def vase(rng: np.random.Generator) -> list[Part]:
    """Vase: belly, neck and lip drawn at random, round or with flutes, some with two handles."""
    height, belly = rng.uniform(0.2, 0.6), rng.uniform(0.06, 0.16)
    foot, neck, lip = rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.8), rng.uniform(0.4, 1.2)
    swell, narrow = rng.uniform(0.2, 0.55), rng.uniform(0.7, 0.88)
    profile = [foot * belly, belly, neck * belly, lip * neck * belly + 0.3 * belly]
    radii, levels = smooth_profile(np.array([0.0, swell, narrow, 1.0]) * height, profile, 20)
    body = _walled(radii, levels, 0.06 * belly)
    if chance(rng, 0.3):
        corners, turn = body.triangles, np.arctan2(body.triangles[..., 0], body.triangles[..., 2])
        flutes, twist = int(rng.integers(5, 12)), rng.uniform(-6.0, 6.0) / height
        ripple = 1.0 + 0.08 * np.cos(flutes * turn + twist * corners[..., 1])
        body = Part(corners * np.stack([ripple, np.ones_like(ripple), ripple], axis=-1))
    if chance(rng, 0.3):
        inner = (0.9 * belly, 0.85 * neck * belly)
        handle = _bow(swell * height, narrow * height, inner, rng.uniform(0.3, 0.6) * belly, 0.08 * belly)
        return [body, mirrored(handle)]
    return [body]


def bowl(rng: np.random.Generator) -> list[Part]:
    """Bowl: shallow or deep, on a foot ring or flat, oval now and then, with or without fruit in it."""
    radius = rng.uniform(0.08, 0.2)
    height = radius * rng.uniform(0.35, 1.1)
    share = np.linspace(0.0, 1.0, 12)
    radii = radius * (0.3 + 0.7 * np.sin(share * np.pi / 2) ** rng.uniform(0.5, 1.6))
    parts = [_walled(radii, share * height, rng.uniform(0.04, 0.1) * radius)]
    if chance(rng, 0.5):
        rise = rng.uniform(0.05, 0.25) * radius
        parts = [part.moved(y=rise) for part in parts] + [frustum(0.45 * radius, 0.3 * radius, 1.1 * rise)]
    if chance(rng, 0.3):
        for _ in range(int(rng.integers(2, 7))):
            size, angle, far = rng.uniform(0.15, 0.3) * radius, rng.uniform(0.0, 6.28), rng.uniform(0.0, 0.5)
            at = far * radius
            parts.append(ball(size).moved(at * np.sin(angle), 0.6 * height, at * np.cos(angle)))
    wide = pick(rng, 1.0, 1.0, rng.uniform(1.2, 1.8))
    return [part.scaled(x=wide) for part in parts]


def wine_glass(rng: np.random.Generator) -> list[Part]:
    """Stemmed glass: a cup of a goblet, a flute, a coupe or a cone, on a stem and a round foot."""
    radius, stem = rng.uniform(0.03, 0.045), rng.uniform(0.06, 0.11)
    kind = pick(rng, "goblet", "flute", "coupe", "cone")
    tall = {"goblet": 2.4, "flute": 4.0, "coupe": 1.0, "cone": 1.4}[kind] * radius * rng.uniform(0.85, 1.2)
    bulge, mouth = {
        "goblet": (1.15, rng.uniform(0.7, 1.0)),
        "flute": (0.75, 0.65),
        "coupe": (1.0, 1.3),
        "cone": (0.6, 1.3),
    }[kind]
    middle = 0.5 if kind == "cone" else 0.4
    cup, levels = smooth_profile(
        [0.0, middle * tall, tall], [0.1 * radius, bulge * radius, mouth * radius], 12
    )
    parts = [_walled(cup, levels, 0.04 * radius).moved(y=stem)]
    thin = rng.uniform(0.08, 0.14) * radius
    knob = pick(rng, 1.0, 1.0, 2.5)
    shaft = smooth_profile([0.0, 0.5 * stem, stem], [2.0 * thin, knob * thin, 1.4 * thin], 10)
    foot = rng.uniform(0.7, 1.05) * radius
    return [*parts, revolve(*shaft), revolve([0.0, foot, 0.0], [0.0, 0.0, 0.15 * radius])]


def jug(rng: np.random.Generator) -> list[Part]:
    """Jug: a bellied or straight pitcher with a beak at the rim and one large handle behind it."""
    height, belly = rng.uniform(0.18, 0.35), rng.uniform(0.06, 0.1)
    foot, neck = rng.uniform(0.6, 1.0) * belly, rng.uniform(0.45, 0.9) * belly
    mouth = neck * rng.uniform(1.0, 1.3)
    places = np.array([0.0, rng.uniform(0.25, 0.45), rng.uniform(0.65, 0.82), 1.0]) * height
    radii, levels = smooth_profile(places, [foot, belly, neck, mouth], 18)
    body = _walled(radii, levels, 0.06 * belly)
    corners = body.triangles
    turn, level = np.arctan2(corners[..., 2], -corners[..., 0]), corners[..., 1] / height
    beak = np.exp(-((turn / 0.35) ** 2)) * np.clip((level - 0.75) / 0.25, 0.0, 1.0) ** 2
    pulled = corners.copy()
    pulled[..., 0] *= 1.0 + rng.uniform(0.3, 0.7) * beak
    pulled[..., 1] += 0.06 * height * beak
    inner = (0.95 * belly, mouth)
    reach = rng.uniform(0.5, 0.9) * belly
    handle = _bow(places[1], rng.uniform(0.88, 1.0) * height, inner, reach, rng.uniform(0.09, 0.15) * belly)
    return [Part(pulled), handle]


def teapot(rng: np.random.Generator) -> list[Part]:
    """Teapot: a round body with a lid and a knob, a bent spout, and a handle behind or above."""
    radius = rng.uniform(0.08, 0.11)
    height = radius * rng.uniform(1.1, 1.9)
    radii, levels = smooth_profile(
        np.array([0.0, rng.uniform(0.35, 0.6), 1.0]) * height, np.array([0.6, 1.0, 0.45]) * radius, 16
    )
    lid = smooth_profile([0.0, 0.1 * height, 0.22 * height], np.array([0.46, 0.3, 0.02]) * radius, 8)
    knob = ball(rng.uniform(0.1, 0.16) * radius).moved(y=1.3 * height)
    share = np.linspace(0.0, 1.0, 10)
    reach = rng.uniform(0.7, 1.1) * radius
    out = -(0.85 * radius + reach * share)
    rise = height * (0.35 + rng.uniform(0.45, 0.7) * share ** rng.uniform(1.0, 2.2))
    spout = strand(np.stack([out, rise, 0.0 * share], axis=1), radius * (0.26 - 0.16 * share), 10)
    parts = [revolve([0.0, *radii], [0.0, *levels]), revolve(*lid).moved(y=height), knob, spout]
    if chance(rng, 0.3):
        angle = np.linspace(0.0, np.pi, 14)
        lift = rng.uniform(0.8, 1.2) * radius
        bow = np.stack(
            [0.8 * radius * np.cos(angle), 0.85 * height + lift * np.sin(angle), 0.0 * angle], axis=1
        )
        return [*parts, strand(bow, 0.07 * radius)]
    inner = (0.9 * radius, 0.9 * radius)
    return [*parts, _bow(0.3 * height, 0.8 * height, inner, rng.uniform(0.5, 0.8) * radius, 0.09 * radius)]


def bucket(rng: np.random.Generator) -> list[Part]:
    """Bucket: a tapered open pail with a wire handle up, hanging or half way; some with hoops."""
    bottom, top, height = rng.uniform(0.09, 0.13), rng.uniform(0.13, 0.17), rng.uniform(0.2, 0.34)
    share = np.linspace(0.0, 1.0, 6)
    parts = [_walled(bottom + share * (top - bottom), share * height, 0.006)]
    parts.append(hoop(top, 0.008).moved(y=height))
    angle = np.linspace(0.0, np.pi, 18)
    arc = np.stack([1.03 * top * np.cos(angle), 1.05 * top * np.sin(angle), 0.0 * angle], axis=1)
    lean = pick(rng, 0.0, rng.uniform(-105.0, 105.0))
    parts.append(strand(arc, rng.uniform(0.005, 0.009)).turned("x", lean).moved(y=0.95 * height))
    for level in rng.uniform(0.1, 0.85, int(rng.integers(0, 4))):
        parts.append(hoop(bottom + level * (top - bottom), 0.006).moved(y=level * height))
    return parts


def can(rng: np.random.Generator) -> list[Part]:
    """Can or jar: a straight cylinder with beaded ends, ribs, a lid with a ring, or a wide screw top."""
    radius = rng.uniform(0.03, 0.06)
    height = radius * rng.uniform(1.2, 4.0)
    bead = rng.uniform(0.03, 0.08) * radius
    profile, levels = [0.0, 0.85 * radius, radius, radius], [0.0, 0.0, 0.08 * height, 0.92 * height]
    if chance(rng, 0.5):
        profile += [0.85 * radius, 0.8 * radius, 0.0]
        levels += [height, 0.97 * height, 0.97 * height]
        tab = plate(0.5 * radius, 0.9 * radius, 0.05 * radius, 0.2 * radius).moved(y=0.98 * height)
        parts = [revolve(profile, levels), tab, hoop(0.82 * radius, bead).moved(y=height)]
    else:
        top = rng.uniform(0.75, 1.02) * radius
        parts = [revolve([*profile, 0.0], [*levels, height])]
        parts.append(cylinder(top, rng.uniform(0.1, 0.3) * height).moved(y=0.93 * height))
    for level in np.linspace(0.25, 0.75, int(rng.integers(0, 5))):
        parts.append(hoop(radius, bead).moved(y=level * height))
    return parts


def pan(rng: np.random.Generator) -> list[Part]:
    """Pan or pot: flat or deep, with one long handle or two short ones, and perhaps a lid with a knob."""
    radius = rng.uniform(0.1, 0.17)
    height = radius * pick(rng, rng.uniform(0.2, 0.45), rng.uniform(0.7, 1.3))
    flare, share = rng.uniform(0.75, 1.0), np.linspace(0.0, 1.0, 6)
    parts = [_walled(radius * (flare + (1.0 - flare) * share), share * height, 0.03 * radius)]
    if chance(rng, 0.6):
        long, drop = rng.uniform(1.0, 2.0) * radius, rng.uniform(0.0, 0.2) * radius
        path = [(radius, 0.85 * height, 0.0), (1.3 * radius, height + drop, 0.0)]
        path.append((radius + long, height + 1.4 * drop, 0.0))
        parts.append(tube(path, rng.uniform(0.05, 0.09) * radius, 8).scaled(z=rng.uniform(1.0, 1.6)))
    else:
        grip = hoop(0.25 * radius, 0.05 * radius).moved(1.1 * radius, 0.8 * height)
        parts.append(mirrored(grip))
    if chance(rng, 0.35):
        lid = revolve(radius * np.array([1.02, 0.7, 0.3, 0.0]), radius * np.array([0.0, 0.12, 0.2, 0.22]))
        parts += [lid.moved(y=height), ball(0.12 * radius).moved(y=height + 0.32 * radius)]
    return parts


def basket(rng: np.random.Generator) -> list[Part]:
    """Basket: a woven wall of staves and bands, oval or round, with or without a hooped handle."""
    radius, height = rng.uniform(0.14, 0.25), rng.uniform(0.1, 0.35)
    base, staves, bands = rng.uniform(0.6, 1.0), int(rng.integers(10, 22)), int(rng.integers(3, 9))
    thick = rng.uniform(0.006, 0.012)
    stave = tube([(0.0, 0.0, base * radius), (0.0, height, radius)], thick, 5, capped=False)
    turn = np.linspace(0.0, 2.0 * np.pi, 2 * staves + 1)
    parts = [around(stave, staves), disc(base * radius), hoop(radius, 1.8 * thick).moved(y=height)]
    for number, share in enumerate(np.linspace(0.08, 0.9, bands)):
        reach = radius * (base + (1.0 - base) * share) + thick * np.cos(staves * turn + np.pi * number)
        ring = np.stack(
            [reach * np.sin(turn), np.full(len(turn), share * height), reach * np.cos(turn)], axis=1
        )
        parts.append(strand(ring, thick, 4))
    if chance(rng, 0.55):
        angle = np.linspace(0.0, np.pi, 18)
        lift = rng.uniform(0.8, 1.6) * radius
        bow = np.stack([radius * np.cos(angle), height + lift * np.sin(angle), 0.0 * angle], axis=1)
        parts.append(strand(bow, 1.6 * thick))
    wide = pick(rng, 1.0, rng.uniform(1.2, 1.7))
    return [part.scaled(x=wide) for part in parts]


def barrel(rng: np.random.Generator) -> list[Part]:
    """Barrel: bellied or straight with hoops, closed or open, upright or lying on its side."""
    radius, height = rng.uniform(0.2, 0.35), rng.uniform(0.5, 1.0)
    ends = rng.uniform(0.72, 1.0)
    share = np.linspace(0.0, 1.0, 12)
    radii = radius * (ends + (1.0 - ends) * np.sin(np.pi * share))
    whole = [_walled(radii, share * height, 0.04) if chance(rng, 0.3) else revolve(radii, share * height)]
    whole += [disc(ends * radius).moved(y=level * height) for level in (0.03, 0.97)]
    for level in pick(rng, (0.1, 0.9), (0.08, 0.3, 0.7, 0.92), (0.33, 0.66)):
        reach = radius * (ends + (1.0 - ends) * np.sin(np.pi * level))
        net = np.linspace(0.0, 2.0 * np.pi, 33)
        band = np.empty((2, 33, 3))
        band[..., 0], band[..., 2] = 1.03 * reach * np.sin(net), 1.03 * reach * np.cos(net)
        band[..., 1] = (level + np.array([[-0.03], [0.03]])) * height
        whole.append(grid(band))
    if chance(rng, 0.3):
        return [part.turned("x", 90.0).moved(y=radius) for part in whole]
    return whole
