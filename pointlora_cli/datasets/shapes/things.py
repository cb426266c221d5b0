"""Things to hold: bottle, guitar, laptop, mug."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick, smooth_profile
from pointlora_cli.datasets.shapes.primitives import (
    Array,
    Part,
    annulus,
    box,
    cylinder,
    ellipse,
    extrude,
    loft,
    panel,
    plate,
    revolve,
    rounded_rectangle,
    tapered_box,
    torus,
    tube,
    upright,
)

# --- bottle -------------------------------------------------------------------------------------------


def bottle(rng: np.random.Generator) -> list[Part]:
    """Bottle: round or square body, shoulder and neck with a cap or open; some with a jug's handle."""
    radius, height = rng.uniform(0.03, 0.06), rng.uniform(0.16, 0.34)
    neck = rng.uniform(0.25, 0.55) * radius
    shoulder, throat = rng.uniform(0.4, 0.75) * height, rng.uniform(0.06, 0.25) * height
    levels = [0.0, 0.03 * height, shoulder, height - throat, height]
    radii = [0.9 * radius, radius, radius * rng.uniform(0.85, 1.1), neck, neck]
    if chance(rng, 0.3):  # a waist to hold it by
        levels.insert(2, 0.5 * shoulder)
        radii.insert(2, rng.uniform(0.7, 0.9) * radius)
    straight = np.asarray(radii), np.asarray(levels)
    profile = straight if chance(rng, 0.3) else smooth_profile(levels, radii, 20)
    square = chance(rng, 0.25)
    parts = [_square_turned(rng, *profile) if square else _vessel(*profile)]
    if chance(rng, 0.75):
        wide = rng.uniform(1.05, 1.4) * neck
        parts.append(cylinder(wide, rng.uniform(0.04, 0.1) * height).moved(y=0.97 * height))
    if not square and chance(rng, 0.15):
        grip = torus(rng.uniform(0.12, 0.16) * height, 0.15 * radius, 0.0, 180.0).turned("x", 90.0)
        parts.append(grip.moved(x=0.75 * radius, y=0.65 * height))
    return parts


def _vessel(radii: Array, heights: Array) -> Part:
    """Turned vessel (P,) that closes with a disc at its lowest point."""
    return revolve([0.0, *radii], [heights[0], *heights])


def _square_turned(rng: np.random.Generator, radii: Array, heights: Array) -> Part:
    flat, corner = rng.uniform(0.5, 1.0), rng.uniform(0.2, 0.6)
    outline = rounded_rectangle(1.9, 1.9 * flat, corner)
    rings = np.empty((len(radii), len(outline), 3))
    rings[..., 0], rings[..., 2] = np.outer(radii, outline[:, 0]), np.outer(radii, outline[:, 1])
    rings[..., 1] = heights[:, None]
    return loft(rings)


# --- mug ----------------------------------------------------------------------------------------------


def mug(rng: np.random.Generator) -> list[Part]:
    """Mug: an open vessel, straight, tapered or bellied, with a round, square or ear-shaped handle."""
    radius = rng.uniform(0.035, 0.05)
    height = radius * rng.uniform(1.2, 3.0)
    bottom, middle = rng.uniform(0.6, 1.05) * radius, rng.uniform(0.85, 1.15) * radius
    radii, levels = smooth_profile([0.0, 0.45 * height, height], [bottom, middle, radius], 8)
    wall = rng.uniform(0.05, 0.1) * radius
    inside = np.maximum(radii - wall, 0.1 * radius)
    floor = np.concatenate([[wall], levels[1:]])
    parts = [_vessel(radii, levels), _vessel(inside, floor)]
    parts.append(annulus(radius - wall, radius).moved(y=height))
    low, high = rng.uniform(0.12, 0.3), rng.uniform(0.7, 0.92)
    feet = [(float(np.interp(part * height, levels, radii)), part * height) for part in (low, high)]
    parts.append(_handle(rng, feet, rng.uniform(0.45, 0.9) * radius, rng.uniform(0.08, 0.16) * radius))
    if chance(rng, 0.12):
        profile = [0.0, 0.9 * radius, rng.uniform(1.6, 2.0) * radius]
        parts.append(revolve(profile, [0.0, 0.0, 0.25 * radius]).moved(y=-0.02 * radius))
    return parts


def _handle(rng: np.random.Generator, feet: list[tuple[float, float]], reach: float, thick: float) -> Part:
    (x0, y0), (x1, y1) = feet
    out, style = max(x0, x1) + reach, pick(rng, "round", "square", "ear")
    if style == "square":
        path = [(x0, y0), (out, y0), (out, y1), (x1, y1)]
    else:
        angle = np.linspace(-np.pi / 2, np.pi / 2, 11)
        bulge = np.cos(angle) ** (0.8 if style == "round" else 0.5)
        droop = 0.0 if style == "round" else 0.15 * (y1 - y0)
        share = (1.0 + np.sin(angle)) / 2
        along = x0 + share * (x1 - x0) + bulge * (out - np.maximum(x0, x1))
        path = list(zip(along, y0 + share * (y1 - y0) + droop * bulge * share, strict=True))
    return tube([(x, y, 0.0) for x, y in path], thick, 8).scaled(z=rng.uniform(1.0, 1.8))


# --- laptop -------------------------------------------------------------------------------------------


def laptop(rng: np.random.Generator) -> list[Part]:
    """Laptop: a flat keyboard half and a hinged screen, opened more or less."""
    width = rng.uniform(0.28, 0.4)
    depth = width * rng.uniform(0.58, 0.8)
    base, lid, corner = rng.uniform(0.012, 0.03), rng.uniform(0.005, 0.014), rng.uniform(0.0, 0.03)
    opened = rng.uniform(70.0, 140.0)
    keyboard = plate(width, depth, base, corner)
    if chance(rng, 0.4):  # thinner at the front
        keyboard = tapered_box((width, depth), (0.99 * width, 0.98 * depth), base)
    bezel = panel(width * rng.uniform(0.96, 1.0), depth * rng.uniform(0.92, 1.0), lid, corner)
    screen = bezel.turned("x", 90.0 - opened).moved(y=base, z=-depth / 2)
    parts = [keyboard, screen]
    rows, keys = int(rng.integers(4, 7)), rng.uniform(0.8, 0.95) * width
    pitch = 0.5 * depth / rows
    for row in range(rows):
        key = box(keys, rng.uniform(0.002, 0.005), 0.7 * pitch)
        parts.append(key.moved(y=base, z=-0.35 * depth + row * pitch))
    pad = box(rng.uniform(0.25, 0.4) * width, 0.002, 0.25 * depth)
    parts.append(pad.moved(y=base, z=0.32 * depth))
    hinge = rng.uniform(0.006, 0.014)
    span = rng.uniform(0.3, 0.48) * width
    parts.append(tube([(-span, base, -depth / 2), (span, base, -depth / 2)], hinge, 8))
    if chance(rng, 0.25):  # on a stand
        rise = rng.uniform(0.03, 0.14)
        stand = tapered_box((0.7 * width, 0.8 * depth), (0.5 * width, 0.4 * depth), rise)
        parts = [part.turned("x", rng.uniform(0.0, 3.0)).moved(y=rise) for part in parts] + [stand]
    return parts


# --- guitar -------------------------------------------------------------------------------------------


def guitar(rng: np.random.Generator) -> list[Part]:
    """Guitar: waisted or cut-away body, neck and head; acoustic, electric or small, upright or leaning."""
    electric = chance(rng, 0.45)
    long = rng.uniform(0.38, 0.54)
    wide, waist = rng.uniform(0.6, 0.9) * long, rng.uniform(0.15, 0.45)
    thick = rng.uniform(0.03, 0.05) if electric else rng.uniform(0.08, 0.14)
    outline = _waisted(rng, long, wide, waist, horns=electric)
    body = upright(extrude(outline, thick)).moved(z=thick / 2)
    neck, nut = rng.uniform(0.26, 0.6), rng.uniform(0.04, 0.06)
    joint, front = 0.8 * long, thick / 2
    fretboard = tapered_box((1.2 * nut, 0.035), (nut, 0.025), neck + 0.2 * long)
    parts = [body, fretboard.moved(y=joint, z=front)]
    top = joint + 0.2 * long + neck
    head, lean = rng.uniform(0.13, 0.2), rng.uniform(0.0, 15.0)
    slab = tapered_box((nut, 0.02), (nut * rng.uniform(1.2, 1.9), 0.02), head)
    pegs = [
        tube([(-1.1 * nut, y, 0.0), (1.1 * nut, y, 0.0)], 0.007, 6) for y in np.linspace(0.25, 0.85, 3) * head
    ]
    parts += [part.turned("x", -lean).moved(y=top, z=front) for part in (slab, *pegs)]
    parts.append(box(rng.uniform(0.1, 0.16), 0.03, 0.015).moved(y=rng.uniform(0.2, 0.35) * long, z=front))
    if electric:
        pickup = box(0.08, 0.035, 0.02)
        parts += [pickup.moved(y=level * long, z=front) for level in (0.42, 0.62)]
    else:
        hole = upright(extrude(ellipse(0.1, 0.1), 0.012))
        parts.append(hole.moved(y=0.6 * long, z=front + 0.012))
    back, side = rng.uniform(0.0, 35.0), rng.uniform(-15.0, 15.0)  # as it leans on a wall
    return [part.turned("z", side).turned("x", -back) for part in parts]


def _waisted(rng: np.random.Generator, long: float, wide: float, waist: float, horns: bool) -> Array:
    """Outline (K, 2) of a guitar's body in (x, y) from y = 0 to about `long`."""
    turn = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    level = (1.0 - np.cos(turn)) / 2  # 0 at the bottom, 1 at the top
    upper = rng.uniform(0.65, 0.85)
    half = wide / 2 * (1.0 + (upper - 1.0) * level - waist * np.exp(-(((level - 0.6) / 0.16) ** 2)))
    x = np.sign(np.sin(turn)) * half * np.abs(np.sin(turn)) ** 0.6
    y = long * level
    if horns:  # cut the body away beside the neck, on both sides or on one
        beside = np.exp(-(((np.abs(x) - 0.12 * wide) / (0.08 * wide)) ** 2)) * (level > 0.75)
        y = y - rng.uniform(0.09, 0.13) * long * beside
    if chance(rng, 0.5):
        x = np.where((x > 0) & (level > 0.72), x * (1.0 - 1.6 * (level - 0.72)), x)
    return np.stack([x, y], axis=1)
