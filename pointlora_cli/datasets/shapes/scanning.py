"""What a scanner does to an object: it sees one side, sees the surroundings too, and measures with noise.

All functions take a generator, change no argument, and keep y up unless they turn the cloud.
"""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.shapes.primitives import Array, rotation

CLIPPED_AT = 3.0  # standard deviations of jitter
LARGEST_NORM = 1.0 - 1e-6  # leaves room for the rounding to float32


def fit_unit_sphere(points: Array) -> Array:
    """Centre points (N, 3) on their mean and scale them so that the farthest has a norm of (just under) 1."""
    centred = points - points.mean(axis=0)
    largest = np.sqrt((centred**2).sum(axis=1).max())
    return np.asarray(centred * (LARGEST_NORM / max(float(largest), 1e-12)))


def random_direction(rng: np.random.Generator) -> Array:
    """Draw a unit vector (3,) uniformly over the sphere."""
    vector = rng.standard_normal(3)
    return np.asarray(vector / np.sqrt(vector @ vector))


def random_rotation(rng: np.random.Generator) -> Array:
    """Draw a rotation matrix (3, 3) uniformly over SO(3), from a uniform unit quaternion."""
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / np.sqrt(quaternion @ quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def small_tilt(rng: np.random.Generator, degrees: float) -> Array:
    """Draw a tilt (3, 3) of at most `degrees` about a random horizontal axis."""
    heading, angle = rng.uniform(0.0, 360.0), rng.uniform(0.0, degrees)
    return np.asarray(rotation("y", heading) @ rotation("x", angle) @ rotation("y", -heading))


def keep_seen(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Cut points (N, 3) down to the `count` that a partial scan would have, with one clean edge.

    Half of the time what lies deepest along a random view is lost, otherwise a ball around a random
    surface point, as where something stands in front of the object.
    """
    if rng.random() < 0.5:
        distance = points @ random_direction(rng)
    else:
        distance = -((points - points[rng.integers(len(points))]) ** 2).sum(axis=1)
    return points[np.argpartition(distance, count - 1)[:count]]


def surroundings(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw `count` background points (count, 3) near an object (N, 3): floor, wall, or loose blobs."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, reach = (low + high) / 2, rng.uniform(0.5, 0.9) * float((high - low).max())
    kind = rng.integers(3)
    if kind == 0:
        spread = rng.uniform(-reach, reach, (count, 3))
        spread[:, 1] = 0.0
        return np.asarray(spread + np.array([middle[0], low[1] - rng.uniform(0.0, 0.03), middle[2]]))
    if kind == 1:
        heading = rng.uniform(0.0, 2.0 * np.pi)
        away = np.array([np.sin(heading), 0.0, np.cos(heading)])
        across = np.array([away[2], 0.0, -away[0]])
        gap = float((points @ away).max() - middle @ away) + rng.uniform(0.01, 0.1)
        spread = rng.uniform(-reach, reach, (count, 2))
        return np.asarray(
            middle + gap * away + spread[:, :1] * across + spread[:, 1:] * np.array([0.0, 1.0, 0.0])
        )
    blobs = int(rng.integers(1, 4))
    directions = np.stack([random_direction(rng) for _ in range(blobs)])
    sizes = rng.uniform(0.08, 0.25, (blobs, 3)) * reach
    centers = middle + directions * ((high - low) / 2 + rng.uniform(0.0, 0.3) * reach)
    chosen = rng.integers(blobs, size=count)
    return np.asarray(centers[chosen] + sizes[chosen] * rng.standard_normal((count, 3)).clip(-2.0, 2.0))


def jitter(points: Array, deviation: float, rng: np.random.Generator) -> Array:
    """Add gaussian noise of a standard deviation to points (N, 3), clipped at 3 deviations."""
    noise = rng.standard_normal(points.shape).clip(-CLIPPED_AT, CLIPPED_AT)
    return np.asarray(points + deviation * noise)
