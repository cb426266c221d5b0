"""Creatures with legs and wings: human, quadruped, bird."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import ball, egg, mirrored, rods, shifted, strand
from pointlora_cli.datasets.shapes.primitives import (
    Array,
    Part,
    extrude,
    frustum,
    grid,
    join,
    revolve,
    rotation,
    tube,
)


def _limb(
    start: Array, lengths: tuple[float, float], angles: tuple[float, float, float], radius: float
) -> list[Part]:
    """Two bones and a hand or foot, hanging down unless swung forward, bent at the joint and spread aside."""
    swing, bend, aside = angles
    spread = rotation("z", aside)
    upper = spread @ rotation("x", -swing) @ np.array([0.0, -lengths[0], 0.0])
    lower = spread @ rotation("x", -swing - bend) @ np.array([0.0, -lengths[1], 0.0])
    joint = start + upper
    end = joint + lower
    path = np.stack([start, joint, end])
    bones = rods(path[:-1], path[1:], radius * np.array([1.0, 0.8]), radius * np.array([0.8, 0.6]), 8)
    return [bones, ball(0.85 * radius).moved(*joint), ball(radius).moved(*end)]


def human(rng: np.random.Generator) -> list[Part]:
    """Human figure: standing, walking, running, sitting, reaching up or with arms out; thin or stout."""
    stout, tall = rng.uniform(0.8, 1.5), rng.uniform(0.9, 1.1)
    shoulder, hip, crotch = rng.uniform(0.17, 0.23), rng.uniform(0.09, 0.13), 0.85 * tall
    chest = crotch + rng.uniform(0.5, 0.6)
    pose = pick(rng, "standing", "walking", "running", "sitting", "reaching", "wide", "free")
    swing = {"walking": rng.uniform(15, 30), "running": rng.uniform(35, 60)}.get(pose, 0.0)
    legs = [(swing, -0.3 * swing, 4.0), (-swing, -swing, 4.0)]
    arms = [(-swing, 0.8 * swing + 8.0, 8.0), (swing, 0.8 * swing + 8.0, 8.0)]
    if pose == "sitting":
        legs = [(rng.uniform(75, 95), -rng.uniform(60, 95), rng.uniform(0, 15)) for _ in range(2)]
        arms = [(rng.uniform(0, 50), rng.uniform(0, 70), 10.0) for _ in range(2)]
    elif pose in ("reaching", "wide"):
        lift = rng.uniform(120, 175) if pose == "reaching" else rng.uniform(60, 95)
        arms = [(0.0, rng.uniform(-10, 10), lift * rng.uniform(0.85, 1.0)) for _ in range(2)]
        legs = [(0.0, 0.0, rng.uniform(2.0, 22.0))] * 2
    elif pose == "free":
        legs = [(rng.uniform(-30, 60), -rng.uniform(0, 70), rng.uniform(0, 30)) for _ in range(2)]
        arms = [(rng.uniform(-40, 150), rng.uniform(0, 110), rng.uniform(0, 60)) for _ in range(2)]
    parts: list[Part] = []
    for side, leg, arm in ((1.0, legs[0], arms[0]), (-1.0, legs[1], arms[1])):
        limbs = _limb(np.array([hip, crotch, 0.0]), (0.42 * tall, 0.42 * tall), leg, 0.07 * stout)
        foot = limbs[2].triangles.reshape(-1, 3).mean(axis=0)
        limbs.append(egg(0.045, 0.035, 0.12).moved(foot[0], foot[1] - 0.03, foot[2] + 0.07))
        limbs += _limb(np.array([shoulder, chest, 0.0]), (0.29 * tall, 0.27 * tall), arm, 0.045 * stout)
        parts += [part.scaled(x=side) for part in limbs]
    trunk = egg(shoulder * 0.95, 0.5 * (chest - crotch) + 0.1, 0.11 * stout).moved(y=(chest + crotch) / 2)
    yoke = tube([(-shoulder, chest, 0.0), (shoulder, chest, 0.0)], 0.055 * stout, 8)
    head = egg(0.085, 0.12, 0.1).moved(y=chest + 0.25)
    parts += [trunk, yoke, head, tube([(0.0, chest, 0.0), (0.0, chest + 0.18, 0.0)], 0.05, 8)]
    if chance(rng, 0.25):  # a skirt or a coat
        parts.append(
            frustum(rng.uniform(0.2, 0.36), 0.13, rng.uniform(0.35, 0.6), capped=False).moved(y=crotch - 0.3)
        )
    if chance(rng, 0.25):
        brim = join(revolve([0.0, 0.18, 0.11], [0.0, 0.0, 0.01]), frustum(0.11, 0.09, 0.1))
        parts.append(brim.moved(y=chest + 0.32))
    lean = rng.uniform(0.0, 20.0) if pose == "running" else rng.uniform(-4.0, 6.0)
    return [part.turned("x", lean) for part in parts]


def quadruped(rng: np.random.Generator) -> list[Part]:
    """Four-legged animal: from cat and dog to horse, cow, giraffe and elephant, standing or walking."""
    kind = pick(rng, "cat", "dog", "horse", "cow", "giraffe", "elephant")
    leg, fat, neck, up, thick = {
        "cat": (0.45, 0.2, 0.15, 45.0, 0.05),
        "dog": (0.6, 0.2, 0.28, 45.0, 0.05),
        "horse": (0.85, 0.24, 0.55, 50.0, 0.06),
        "cow": (0.65, 0.32, 0.3, 15.0, 0.07),
        "giraffe": (1.2, 0.25, 1.2, 68.0, 0.06),
        "elephant": (0.75, 0.42, 0.15, 20.0, 0.15),
    }[kind]
    leg, fat, neck, up = (
        leg * rng.uniform(0.85, 1.2),
        fat * rng.uniform(0.85, 1.2),
        neck * rng.uniform(0.85, 1.2),
        up + rng.uniform(-12, 12),
    )
    long = rng.uniform(0.9, 1.15)
    body = egg(fat, 1.1 * fat, 0.55 * long).moved(y=leg + 0.6 * fat)
    parts = [body, egg(1.02 * fat, 1.15 * fat, 0.28 * long).moved(y=leg + 0.65 * fat, z=0.25 * long)]
    stride = pick(rng, 0.0, rng.uniform(10.0, 35.0))
    for end, sign in ((0.36 * long, 1.0), (-0.38 * long, -1.0)):
        for side in (1.0, -1.0):
            swing = sign * side * stride
            limb = _limb(
                np.array([0.6 * fat, leg + 0.15 * fat, end]),
                (0.5 * leg, 0.55 * leg),
                (swing, -0.4 * abs(swing), 0.0),
                thick,
            )
            parts += [part.scaled(x=side) for part in limb]
    angle = np.deg2rad(up)
    base = np.array([0.0, leg + 0.9 * fat, 0.45 * long])
    tip = base + neck * np.array([0.0, np.sin(angle), np.cos(angle)])
    parts.append(strand(np.stack([base - [0.0, 0.0, 0.1], tip]), [0.6 * fat, 0.35 * fat]))
    parts.append(_head(rng, kind, leg).moved(*shifted(tip, 0.0, 0.03, 0.05)))
    share = np.linspace(0.0, 1.0, 6)
    tail, curl = rng.uniform(0.3, 0.7), rng.uniform(-0.9, 0.9)
    path = np.stack(
        [0.1 * np.sin(4 * share), leg + 1.1 * fat + tail * curl * share, -0.52 * long - 0.6 * tail * share], 1
    )
    return [*parts, strand(path, 0.035 * (1.3 - share), 6)]


def _head(rng: np.random.Generator, kind: str, leg: float) -> Part:
    """Head of a four-legged animal about the origin, with ears and on some with horns or a trunk."""
    if kind == "elephant":
        skull, share = rng.uniform(0.2, 0.28), np.linspace(0.0, 1.0, 8)
        hang = [0 * share, -0.95 * leg * share - 0.1, skull + 0.3 * np.sin(3.0 * share)]
        trunk = strand(np.stack(hang, axis=1), skull * (0.42 - 0.25 * share))
        ears = egg(0.05, 1.5 * skull, skull).turned("y", 20.0).moved(x=skull)
        return join(egg(skull, skull, skull), trunk, mirrored(ears))
    skull = rng.uniform(0.13, 0.17)
    snout = 0.7 * skull * (rng.uniform(0.4, 1.3) if kind in ("cat", "dog") else rng.uniform(1.3, 1.9))
    nose = egg(0.45 * skull, 0.42 * skull, snout).moved(y=-0.2 * skull, z=snout)
    ear = egg(0.25 * skull, rng.uniform(0.4, 1.0) * skull, 0.1 * skull).turned("z", -25.0)
    parts = [
        egg(0.75 * skull, 0.8 * skull, skull),
        nose,
        mirrored(ear.moved(0.5 * skull, skull, -0.3 * skull)),
    ]
    if kind in ("cow", "giraffe") or chance(rng, 0.1):
        bow = np.array([(0.4, 0.6, -0.2), (1.0, 0.9, -0.2), (1.2, rng.uniform(1.2, 1.9), 0.0)]) * skull
        parts.append(mirrored(strand(bow, np.array([0.14, 0.1, 0.03]) * skull)))
    return join(*parts).turned("x", rng.uniform(10.0, 50.0))


def bird(rng: np.random.Generator) -> list[Part]:
    """Bird: flying with wings spread, standing with them folded, or a long-legged or swimming one."""
    fat, long = rng.uniform(0.12, 0.2), rng.uniform(0.25, 0.4)
    kind = pick(rng, "flying", "flying", "standing", "wader", "swimming")
    pitch = {"flying": 0.0, "standing": rng.uniform(20, 50), "wader": 15.0, "swimming": 5.0}[kind]
    neck = {"wader": rng.uniform(0.3, 0.55), "swimming": rng.uniform(0.15, 0.45)}.get(
        kind, rng.uniform(0.03, 0.1)
    )
    body = egg(fat, 0.95 * fat, long)
    tail_wide, tail_long = rng.uniform(0.05, 0.2), rng.uniform(0.15, 0.45)
    root, end = -0.85 * long, -long - tail_long
    fan = np.array([(-0.03, root), (0.03, root), (tail_wide, end), (-tail_wide, end)])
    parts = [body, extrude(fan, 0.02)]
    if kind == "flying":
        parts.append(mirrored(_wing(rng, 0.6 * fat)))
    else:
        folded = egg(0.25 * fat, 0.7 * fat, 0.95 * long).moved(0.85 * fat, 0.1 * fat, -0.25 * long)
        parts.append(mirrored(folded))
    parts = [part.turned("x", -pitch) for part in parts]
    share = np.linspace(0.0, 1.0, 6)
    bow = 0.3 * neck * np.sin(np.pi * share)
    rise = np.deg2rad({"flying": 15.0}.get(kind, 70.0))
    start = np.array([0.0, np.sin(np.deg2rad(pitch)), np.cos(np.deg2rad(pitch))]) * 0.8 * long
    path = (
        start
        + neck * share[:, None] * np.array([0.0, np.sin(rise), np.cos(rise)])
        + bow[:, None] * np.array([0.0, 0.0, 1.0])
    )
    parts.append(strand(path, np.linspace(0.55, 0.35, 6) * fat))
    skull = 0.5 * fat * rng.uniform(0.8, 1.2)
    parts.append(egg(0.85 * skull, 0.9 * skull, skull).moved(*path[-1]))
    beak = frustum(0.4 * skull, 0.0, rng.uniform(0.8, 2.6) * skull).turned("x", 90.0 + rng.uniform(0.0, 20.0))
    parts.append(beak.moved(*(path[-1] + [0.0, 0.0, 0.7 * skull])))
    if kind in ("standing", "wader"):
        leg = rng.uniform(0.12, 0.2) if kind == "standing" else rng.uniform(0.4, 0.7)
        x, low = 0.4 * fat, -fat - leg
        foot = tube([(x, -0.6 * fat, 0.0), (x, low, 0.02), (x, low, 0.14)], 0.014, 6)
        parts.append(mirrored(foot))
    return parts


def _wing(rng: np.random.Generator, start: float) -> Part:
    """Wing of a flying bird along x from a start, arched and more or less swept back."""
    span, lift, sweep = rng.uniform(0.6, 1.1), rng.uniform(-0.3, 0.7), rng.uniform(-0.1, 0.35)
    share, edge = np.linspace(0.0, 1.0, 8)[:, None], np.linspace(0.5, -0.5, 5)
    chord = rng.uniform(0.2, 0.4) * (1.0 - share ** rng.uniform(1.5, 4.0)) + 0.02
    x = start + span * share
    y = lift * span * np.sin(2.4 * share) * 0.6 + 0.06 * chord * (1.0 - 4.0 * edge**2)
    z = 0.05 + chord * edge - sweep * span * share**1.5
    return grid(np.stack(np.broadcast_arrays(x, y, z), axis=-1))
