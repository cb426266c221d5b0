"""Devices: headphones, spectacles, camera, keyboard, monitor, clock, telephone."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import (
    around,
    boxes,
    egg,
    hoop,
    mirrored,
    rods,
    strand,
)
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    box,
    cylinder,
    ellipsoid,
    frustum,
    grid,
    join,
    panel,
    plate,
    revolve,
    tube,
)
from pointlora_cli.datasets.shapes.unevenness import superellipsoid


def headphones(rng: np.random.Generator) -> list[Part]:
    """Headphones: a bow over two padded cups, round or oval, some with a microphone."""
    radius, cup = rng.uniform(0.075, 0.095), rng.uniform(0.03, 0.05)
    angle = np.linspace(-0.15, np.pi + 0.15, 20)
    bow = np.stack([radius * np.cos(angle), 1.15 * radius * np.sin(angle), 0 * angle], axis=1)
    thick, wide = rng.uniform(0.004, 0.008), rng.uniform(1.0, 3.5)
    parts = [strand(bow, thick).scaled(z=wide)]
    shell = join(cylinder(cup, 0.02), hoop(0.75 * cup, 0.3 * cup), egg(cup, 0.015, cup).moved(y=0.02))
    oval, tilt = rng.uniform(1.0, 1.35), rng.uniform(-8.0, 12.0)
    side = shell.scaled(x=oval).turned("z", -90.0).turned("z", tilt).moved(x=0.95 * radius, y=-0.03)
    parts.append(mirrored(side))
    if chance(rng, 0.35):
        arm = np.array([(radius, -0.04, 0.02), (radius, -0.09, 0.06), (0.5 * radius, -0.11, 0.1)])
        parts += [strand(arm, 0.003), egg(0.012, 0.007, 0.007).moved(*arm[-1])]
    return parts


def spectacles(rng: np.random.Generator) -> list[Part]:
    """Spectacles: two round, oval or square rims with or without glasses, a bridge, and temples."""
    size, gap, thick = rng.uniform(0.02, 0.03), rng.uniform(0.008, 0.014), rng.uniform(0.0012, 0.003)
    turn = np.linspace(0.0, 2.0 * np.pi, 33)
    power, flat = pick(rng, 1.0, 0.6, 0.4), rng.uniform(0.65, 1.0)
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power * size
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power * size * flat
    rim = np.stack([x + size + gap, y, 0 * turn], axis=1)
    parts = [mirrored(strand(rim, thick, 6))]
    if chance(rng, 0.6):
        glass = np.stack([rim, np.broadcast_to(rim.mean(axis=0), rim.shape)])
        parts.append(mirrored(grid(glass)))
    share = np.linspace(-1.0, 1.0, 7)
    bridge = np.stack(
        [gap * 1.1 * share, 0.25 * size + 0.4 * gap * (1 - share**2), 0.2 * gap * (1 - share**2)], axis=1
    )
    parts.append(strand(bridge, thick, 6))
    out, long, fold = 2 * size + gap, rng.uniform(0.11, 0.15), pick(rng, 0.0, 0.0, rng.uniform(0.2, 0.9))
    temple = np.array([(out, 0.3 * size, 0.0), (out, 0.3 * size, -0.78 * long), (out, -0.7 * size, -long)])
    temple[1:, 0] -= fold * long * 0.5
    parts.append(mirrored(strand(temple, 1.2 * thick, 6)))
    return parts


def camera(rng: np.random.Generator) -> list[Part]:
    """Camera: a body with a lens, a finder hump or none, buttons; some on a tripod."""
    wide, high, deep = rng.uniform(0.1, 0.15), rng.uniform(0.06, 0.1), rng.uniform(0.03, 0.06)
    parts = [plate(wide, deep, high, rng.uniform(0.0, 0.015))]
    size, long = rng.uniform(0.3, 0.48) * high, rng.uniform(0.02, 0.14)
    barrel = revolve(
        size * np.array([1.0, 1.0, 0.9, 0.9, 1.08, 1.08, 0.8, 0.6]),
        long * np.array([0, 0.3, 0.32, 0.6, 0.65, 1.0, 1.0, 0.8]),
    )
    shift = pick(rng, 0.0, rng.uniform(-0.15, 0.15)) * wide
    parts.append(barrel.turned("x", 90.0).moved(shift, 0.48 * high, deep / 2))
    if chance(rng, 0.6):
        parts.append(box(0.3 * wide, 0.28 * high, 0.8 * deep).moved(x=shift, y=high))
    parts += [
        cylinder(0.008, 0.01).moved(-0.35 * wide, high),
        cylinder(0.012, 0.008).moved(0.33 * wide, high),
    ]
    if chance(rng, 0.4):
        grip = egg(0.14 * wide, 0.5 * high, 0.5 * deep).moved(-0.4 * wide, 0.5 * high, 0.4 * deep)
        parts.append(grip)
    if chance(rng, 0.3):
        tall, spread = rng.uniform(0.2, 0.5), rng.uniform(0.12, 0.25)
        leg = tube([(0.0, 0.0, 0.01), (0.0, -tall, spread)], [0.008, 0.005], 6)
        parts.append(around(leg, 3))
    return parts


def keyboard(rng: np.random.Generator) -> list[Part]:
    """Keyboard: rows of keys on a flat wedge, with or without a number block, some with a wrist rest."""
    rows, columns = int(rng.integers(4, 7)), int(rng.integers(10, 22))
    pitch, thick = 0.019, rng.uniform(0.008, 0.02)
    wide, deep = pitch * (columns + 1), pitch * (rows + 1)
    parts = [plate(wide, deep, thick, rng.uniform(0.0, 0.02))]
    x, z = np.meshgrid((np.arange(columns) - columns / 2) * pitch, (np.arange(rows) - rows / 2) * pitch)
    low = np.stack([x.ravel(), np.full(x.size, thick), z.ravel()], axis=1)
    sizes = np.full((x.size, 3), 0.8 * pitch)
    sizes[:, 1] = rng.uniform(0.003, 0.009)
    last = z.ravel() > z.max() - 1e-9
    space = last & (np.abs(x.ravel()) < 0.25 * wide)
    keep = ~space
    if columns > 16:
        keep &= np.abs(x.ravel() - 0.24 * wide) > 0.7 * pitch
    bar = boxes([[-0.25 * wide, thick, z.max()]], [0.5 * wide, sizes[0, 1], 0.8 * pitch])
    parts += [boxes(low[keep], sizes[keep]), bar]
    if chance(rng, 0.3):
        parts.append(plate(wide, 0.07, 0.8 * thick, 0.01).moved(z=deep / 2 + 0.04))
    tilt = rng.uniform(0.0, 8.0)
    return [part.turned("x", tilt) for part in parts]


def monitor(rng: np.random.Generator) -> list[Part]:
    """Monitor or television: a flat or bulky screen, curved now and then, on a foot, two feet or an arm."""
    wide = rng.uniform(0.4, 1.2)
    high = wide * rng.uniform(0.5, 0.8)
    thick, level = rng.uniform(0.02, 0.06), rng.uniform(0.05, 0.25)
    screen = join(
        panel(wide, high, thick, rng.uniform(0.0, 0.03)),
        panel(0.94 * wide, 0.9 * high, 0.006).moved(y=0.05 * high, z=thick / 2),
    )
    if chance(rng, 0.25):  # a tube behind it
        back = frustum(0.62, 0.35, rng.uniform(0.3, 0.6)).scaled(x=wide, z=high).turned("x", -90.0)
        screen = join(screen, back.moved(y=high / 2))
    tilt = rng.uniform(-4.0, 15.0)
    parts = [screen.turned("x", -tilt).moved(y=level)]
    foot = pick(rng, "plate", "round", "feet", "tripod")
    neck = box(rng.uniform(0.04, 0.12), level + 0.3 * high, 0.03).moved(z=-0.5 * thick - 0.02)
    if foot == "plate":
        parts += [neck, plate(rng.uniform(0.3, 0.6) * wide, rng.uniform(0.15, 0.3), 0.015, 0.03)]
    elif foot == "round":
        parts += [neck, cylinder(rng.uniform(0.12, 0.2), 0.015)]
    elif foot == "feet":
        legs = np.array([(0.4 * wide, level, 0.0)] * 2)
        parts.append(
            mirrored(
                rods(legs, np.array([(0.42 * wide, 0.0, 0.14), (0.42 * wide, 0.0, -0.14)]), 0.012, 0.012, 6)
            )
        )
    else:
        arm = tube([(0.0, level, 0.0), (0.0, 0.05, 0.0), (0.0, 0.0, 0.25)], 0.015, 6)
        parts += [neck, around(arm, 3)]
    return parts


def clock(rng: np.random.Generator) -> list[Part]:
    """Clock: on a wall, an alarm clock with bells, a tall one with a pendulum, or a wrist watch."""
    radius, thick = rng.uniform(0.1, 0.2), rng.uniform(0.02, 0.08)
    is_round = chance(rng, 0.7)
    case = (
        cylinder(radius, thick).turned("x", 90.0)
        if is_round
        else panel(2 * radius, 2 * radius, thick).moved(y=-radius, z=thick / 2)
    )
    rim = hoop(radius, 0.06 * radius).turned("x", 90.0).moved(z=thick)
    parts = [case, rim] if is_round else [case]
    for long, wide in ((0.8, 0.05), (0.55, 0.08)):
        hand = box(wide * radius, long * radius, 0.02 * radius).turned("z", rng.uniform(0.0, 360.0))
        parts.append(hand.moved(z=thick + 0.02 * radius))
    mark = box(0.05 * radius, 0.12 * radius, 0.03 * radius).moved(y=0.8 * radius, z=thick)
    parts += [mark.turned("z", 30.0 * hour) for hour in range(12)]
    kind = pick(rng, "wall", "alarm", "tall", "watch")
    if kind == "alarm":
        bell = ellipsoid(0.4 * radius, 0.35 * radius, 0.4 * radius, 0.0, 90.0).moved(
            y=1.12 * radius, z=thick / 2
        )
        foot = tube(
            [(0.5 * radius, -0.7 * radius, thick / 2), (0.75 * radius, -1.25 * radius, thick / 2)],
            0.07 * radius,
            6,
        )
        parts += [mirrored(bell.turned("z", -35.0)), mirrored(foot)]
    elif kind == "tall":
        low = -rng.uniform(6.0, 9.0) * radius
        parts += [box(2.8 * radius, 2.8 * radius, 2 * thick).moved(y=-1.4 * radius, z=-0.2 * thick)]
        parts += [
            box(2.0 * radius, -low, 1.6 * thick).moved(y=low),
            box(2.8 * radius, 1.5 * radius, 2 * thick).moved(y=low - radius),
        ]
        parts.append(
            cylinder(0.45 * radius, 0.02)
            .turned("x", 90.0)
            .moved(rng.uniform(-0.4, 0.4) * radius, 0.6 * low, 0.9 * thick)
        )
    elif kind == "watch":
        turn = np.linspace(0.0, 2.0 * np.pi, 33)
        wide, deep = rng.uniform(0.45, 0.8) * radius, 1.5 * radius
        band = [
            np.stack([0 * turn + x, deep * np.sin(turn), deep * (np.cos(turn) - 1.0) * 0.8], axis=1)
            for x in (-wide, wide)
        ]
        parts.append(grid(np.stack(band)))
    return parts


def telephone(rng: np.random.Generator) -> list[Part]:
    """Telephone: a dial telephone with a handset and its cord, a mobile one, or a cordless one in a cradle."""
    kind = pick(rng, "dial", "dial", "mobile", "cordless")
    if kind == "mobile":
        wide, high = rng.uniform(0.06, 0.08), rng.uniform(0.12, 0.17)
        body = panel(wide, high, rng.uniform(0.007, 0.02), 0.01)
        rows = np.array([(x, y, 0.01) for x in (-0.3, -0.08, 0.14) for y in (0.08, 0.18, 0.28, 0.38)]) * [
            wide,
            high,
            1.0,
        ]
        keys = (
            [boxes(rows, [0.16 * wide, 0.07 * high, 0.004])]
            if chance(rng, 0.4)
            else [box(0.25 * wide, 0.25 * wide, 0.006).moved(-0.25 * wide, 0.72 * high, -0.012)]
        )
        lean = rng.uniform(0.0, 70.0)
        return [part.turned("x", -lean) for part in (body, *keys)]
    if kind == "cordless":
        hand = superellipsoid(0.028, 0.09, 0.018, 0.4, 0.6).moved(y=0.12)
        buttons = boxes(
            [[x, y, 0.015] for x in (-0.018, -0.004, 0.01) for y in (0.06, 0.08, 0.1, 0.12)],
            [0.009, 0.009, 0.006],
        )
        stick = tube([(0.015, 0.2, 0.0), (0.015, rng.uniform(0.24, 0.34), 0.0)], 0.006, 6)
        lean = rng.uniform(5.0, 25.0)
        whole = [part.turned("x", -lean) for part in (hand, buttons, stick)]
        return [*whole, frustum(0.06, 0.045, 0.05)]
    wide, rise = rng.uniform(0.18, 0.23), rng.uniform(0.08, 0.12)
    corner = wide / 2
    body = frustum(corner * 1.414, 0.8 * corner, rise, capped=True).scaled(z=rng.uniform(0.8, 1.0))
    dial = join(cylinder(0.05, 0.012), around(hoop(0.009, 0.003).moved(y=0.013, z=0.036), 10)).turned(
        "x", 35.0
    )
    share = np.linspace(-1.0, 1.0, 11)
    grip = np.stack([0.11 * share, rise + 0.05 + 0.02 * (1 - share**2), 0 * share - 0.02], axis=1)
    ends = [frustum(0.03, 0.024, 0.035).moved(sign * 0.1, rise + 0.02, -0.02) for sign in (-1.0, 1.0)]
    cord = np.linspace(0.0, 1.0, 120)
    coil = np.stack(
        [
            -0.1 - 0.04 * np.sin(np.pi * cord),
            rise * (1 - cord) + 0.01 * np.sin(90 * cord),
            0.1 * cord + 0.01 * np.cos(90 * cord),
        ],
        axis=1,
    )
    return [body, dial.moved(y=0.6 * rise, z=0.07), strand(grip, 0.014), *ends, strand(coil, 0.003, 4)]
