"""Parts of machines: chain, screw, spring, gear."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.building import chance, pick
from pointlora_cli.datasets.shapes.copies import (
    around,
    hoop,
    random_turns,
    rods,
    scattered,
    strand,
)
from pointlora_cli.datasets.shapes.primitives import (
    Part,
    box,
    cylinder,
    ellipsoid,
    frustum,
    grid,
    revolve,
    rotation,
    tube,
)


def chain(rng: np.random.Generator) -> list[Part]:
    """Chain: links in turn across and along, hanging in a bow, in a ring, straight, or thrown down."""
    count, thick = int(rng.integers(6, 20)), rng.uniform(0.16, 0.3)
    link = hoop(1.0, thick).scaled(z=rng.uniform(1.0, 1.9))
    pitch = 2.0 * (float(link.triangles[..., 2].max()) - 2.0 * thick)
    along = pitch * (np.arange(count) - (count - 1) / 2)
    kind = pick(rng, "straight", "bow", "ring", "thrown")
    if kind == "straight":
        heading, places = 0 * along, np.stack([0 * along, 0 * along, along], axis=1)
    elif kind == "thrown":
        heading = np.cumsum(rng.uniform(-0.7, 0.7, count))
    else:
        heading = along / pitch * (2 * np.pi / count if kind == "ring" else rng.uniform(0.1, 2.6) / count)
    if kind != "straight":
        steps = pitch * np.stack([np.sin(heading), 0 * heading, np.cos(heading)], axis=1)
        places = np.cumsum(steps, axis=0) - steps / 2
    cosine, sine, zero, one = np.cos(heading), np.sin(heading), 0 * heading, 1 + 0 * heading
    turns = np.stack(
        [
            np.stack([cosine, zero, sine], 1),
            np.stack([zero, one, zero], 1),
            np.stack([-sine, zero, cosine], 1),
        ],
        1,
    )
    roll = np.deg2rad(90.0 * (np.arange(count) % 2) + rng.uniform(-15, 15, count))
    spin = np.stack(
        [
            np.stack([np.cos(roll), -np.sin(roll), zero], 1),
            np.stack([np.sin(roll), np.cos(roll), zero], 1),
            np.stack([zero, zero, one], 1),
        ],
        1,
    )
    whole = scattered(link, places, turns @ spin)
    return [whole if kind in ("ring", "thrown") else whole.turned("z", 90.0).turned("y", 90.0)]


def screw(rng: np.random.Generator) -> list[Part]:
    """Screw, bolt or nail: a threaded or plain shaft under a flat, round or six-sided head, some with a nut."""
    radius, long, head = rng.uniform(0.08, 0.14), rng.uniform(0.6, 1.2), rng.uniform(0.18, 0.28)
    turns = int(rng.integers(5, 15)) * pick(rng, 1, 1, 1, 0)
    point = pick(rng, 0.0, 0.25)
    kind = pick(rng, "flat", "round", "hexagon", "hexagon")
    if kind == "hexagon":
        top = tube([(0.0, 0.0, 0.0), (0.0, 0.7 * head, 0.0)], head, 6)
    elif kind == "round":
        top = ellipsoid(head, 0.7 * head, head, 0.0, 90.0)
    else:
        top = frustum(radius, head, 0.5 * head)
    shaft = revolve([0.0, radius, radius, 0.0], [-long - point, -long, 0.0, 0.0])
    parts = [shaft, top]
    if turns:
        share = np.linspace(0.0, 1.0, 12 * turns)
        angle = 2.0 * np.pi * turns * share
        cut = rng.uniform(0.5, 1.0)
        far = radius * np.minimum(1.0, 0.4 + (1 - share) * (3.0 if point else 9.0))
        inner = np.stack(
            [far * np.cos(angle), -long * cut * share - long * (1 - cut), far * np.sin(angle)], axis=1
        )
        rim = inner * [1.0 + 0.35, 1.0, 1.0 + 0.35]
        lift = np.array([0.0, 0.4 * long / turns * cut, 0.0])
        parts.append(grid(np.stack([inner - lift, rim, inner + lift])))
    if kind == "hexagon" and chance(rng, 0.5):
        place = -rng.uniform(0.4, 0.85) * long
        parts.append(tube([(0.0, place, 0.0), (0.0, place + 0.6 * head, 0.0)], 1.1 * head, 6))
    return parts


def spring(rng: np.random.Generator) -> list[Part]:
    """Spring: a coil, straight, tapered, bellied or bent, of few or many turns, some with straight ends."""
    turns, radius = rng.uniform(3.0, 10.0), rng.uniform(0.15, 0.4)
    share = np.linspace(0.0, 1.0, int(16 * turns))
    angle = 2.0 * np.pi * turns * share
    long = rng.uniform(0.4, 1.3)
    taper, belly = rng.uniform(-0.6, 0.3), pick(rng, 0.0, rng.uniform(-0.4, 0.6))
    far = radius * (1.0 + taper * share + belly * np.sin(np.pi * share))
    path = np.stack([far * np.cos(angle), long * share, far * np.sin(angle)], axis=1)
    bend = pick(rng, 0.0, rng.uniform(0.0, 0.6))
    path[:, 0] += bend * np.sin(np.pi * share / 2.0) ** 2
    thick = rng.uniform(0.12, 0.35) * long / turns
    parts = [strand(path, thick)]
    if chance(rng, 0.35):
        ends = path[[0, -1]]
        beyond = ends + np.array([[0.0, -0.25, 0.0], [0.0, 0.25, 0.0]])
        parts.append(rods(ends, beyond, thick, thick, 8))
    return parts


def gear(rng: np.random.Generator) -> list[Part]:
    """Gear: a toothed wheel with a hub, spokes or holes; straight, slanted or conical; some in pairs."""
    parts = []
    shift, thick = 0.0, rng.uniform(0.15, 0.5)
    for _ in range(pick(rng, 1, 1, 2)):
        teeth = int(rng.integers(8, 25))
        radius, tall = rng.uniform(0.6, 1.0), rng.uniform(0.1, 0.2)
        turn = np.arange(4 * teeth) * (2.0 * np.pi / (4 * teeth))
        reach = np.where(np.arange(4 * teeth) % 4 < 2, radius + tall, radius)
        hole = rng.uniform(0.12, 0.7) * radius
        twist, cone = pick(rng, 0.0, rng.uniform(-0.3, 0.3)), pick(rng, 1.0, 1.0, rng.uniform(0.6, 0.9))
        rings = np.empty((5, 4 * teeth + 1, 3))
        for row, (is_rim, level) in enumerate(
            ((False, 0.0), (True, 0.0), (True, thick), (False, thick), (False, 0.0))
        ):
            shape = (reach if is_rim else np.full(4 * teeth, hole)) * (cone if level else 1.0)
            angle = turn + (twist if level else 0.0)
            rings[row, :-1] = np.stack(
                [shape * np.sin(angle), level + 0 * angle, shape * np.cos(angle)], axis=1
            )
        rings[:, -1] = rings[:, 0]
        wheel = [grid(rings)]
        if hole > 0.35 * radius:
            spoke = box(0.16 * radius, 0.5 * thick, hole).moved(y=0.25 * thick, z=hole / 2)
            wheel += [around(spoke, int(rng.integers(3, 7))), cylinder(0.2 * radius, 1.2 * thick)]
        start = shift + radius if shift else 0.0
        parts += [part.moved(x=start) for part in wheel]
        shift = start + radius + 0.5 * tall
    pose = random_turns(rng, 1)[0] if chance(rng, 0.3) else rotation("x", pick(rng, 0.0, 90.0))
    return [Part(part.triangles @ pose.T) for part in parts]
