"""What is not smooth: random waves through space, surfaces that they dent or bend, and swollen bodies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlora_cli.datasets.shapes.primitives import SIDES, Array, Part, grid


def waves(rng: np.random.Generator, length: float, count: int = 8) -> Callable[[Array], Array]:
    """A smooth random function of places (..., 3), of deviation 1 and wave lengths about `length`."""
    vectors = rng.standard_normal((3, count)) * (2.0 * np.pi / length / np.sqrt(3.0))
    phases = rng.uniform(0.0, 2.0 * np.pi, count)

    def height(places: Array) -> Array:
        return np.asarray(np.sin(places @ vectors + phases).sum(axis=-1) * np.sqrt(2.0 / count))

    return height


def dented(part: Part, rng: np.random.Generator, amount: float, length: float) -> Part:
    """A body about the origin with every place moved towards it or away, by a share of its distance."""
    rise = amount * waves(rng, length)(part.triangles)
    return Part(part.triangles * np.maximum(1.0 + rise, 0.1)[..., None])


def warped(part: Part, rng: np.random.Generator, amount: float, length: float) -> Part:
    """The part with every place moved by smooth random steps of a deviation, along all three axes."""
    fields = [waves(rng, length) for _ in range(3)]
    return Part(part.triangles + amount * np.stack([field(part.triangles) for field in fields], axis=-1))


def superellipsoid(x: float, y: float, z: float, up: float, around: float) -> Part:
    """Body of three half-axes about the origin: powers of 1 give an ellipsoid, 0 a box, 2 edges all over."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, SIDES // 2 + 1)[:, None]
    longitude = np.linspace(-np.pi, np.pi, SIDES + 1)
    ring, level = _power(np.cos(latitude), up), _power(np.sin(latitude), up)
    net = np.empty((SIDES // 2 + 1, SIDES + 1, 3))
    net[..., 0] = x * ring * _power(np.cos(longitude), around)
    net[..., 1] = y * level
    net[..., 2] = z * ring * _power(np.sin(longitude), around)
    return grid(net)


def _power(values: Array, exponent: float) -> Array:
    return np.asarray(np.sign(values) * np.abs(values) ** exponent)
