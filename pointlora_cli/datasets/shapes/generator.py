"""Labelled point clouds of the built-in object classes, each fully determined by its seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.shapes import scanning
from pointlora_cli.datasets.shapes.classes import SHAPE_BUILDERS
from pointlora_cli.datasets.shapes.primitives import join, rotation

SHAPE_CLASSES: tuple[str, ...] = tuple(sorted(SHAPE_BUILDERS))
"""Names of the built-in classes, in alphabetical order."""

_SPLITS = {"train": 0, "test": 1}
_LARGEST_SEED = 2**64 - 1
# Largest change of proportions along x, y and z (as a logarithm), so that a bounding box tells little.
_STRETCH = np.array([0.12, 0.3, 0.12])


@dataclass(frozen=True)
class ShapeOptions:
    """How the objects are scanned; the same seed shows the same object under any options.

    points: points in a cloud. rotate: no rotation, a random one about the up axis y, or any of SO(3).
    tilt_degrees: largest random tilt of the up axis. noise: standard deviation of the jitter relative to
    the radius of the unit sphere, clipped at 3 deviations. occlusion: fraction 0..0.9 of the surface that
    is cut away. clutter: fraction 0..0.5 of the points that are background.
    """

    points: int = 1024
    rotate: Literal["none", "up", "any"] = "up"
    tilt_degrees: float = 5.0
    noise: float = 0.01
    occlusion: float = 0.0
    clutter: float = 0.0

    def __post_init__(self) -> None:
        if self.points < 1:
            raise ValueError(f"points must be at least 1, not {self.points}")
        if self.rotate not in ("none", "up", "any"):
            raise ValueError(f"rotate must be 'none', 'up' or 'any', not {self.rotate!r}")
        limits = {"tilt_degrees": 180.0, "noise": 1.0, "occlusion": 0.9, "clutter": 0.5}
        for name, largest in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= largest:
                raise ValueError(f"{name} must be from 0 to {largest:g}, not {value}")


def generate_cloud(
    class_name: str, seed: int | tuple[int, ...], options: ShapeOptions
) -> NDArray[np.float32]:
    """Return one cloud (points, 3) of a class, centred in the unit sphere, y up, points in random order.

    The seed is one integer or several, each from 0 to 2**64 - 1. Unknown classes and other seeds raise
    ValueError.
    """
    _check_classes([class_name])
    # One stream a step, so that changing how an object is scanned does not change the object.
    shape, surface, view, background, pose, noise = _streams(class_name, seed, 6)

    stretch = np.exp(_STRETCH * shape.uniform(-1.0, 1.0, 3))
    whole = join(*SHAPE_BUILDERS[class_name](shape)).scaled(*stretch)
    behind = round(options.points * options.clutter)
    seen = options.points - behind
    points = whole.sample(max(seen, round(seen / (1.0 - options.occlusion))), surface)
    if options.occlusion > 0.0:
        points = scanning.keep_seen(points, seen, view)
    if behind:
        points = np.concatenate([points, scanning.surroundings(points, behind, background)])

    turn = scanning.small_tilt(pose, options.tilt_degrees)
    if options.rotate == "up":
        turn = turn @ rotation("y", pose.uniform(0.0, 360.0))
    elif options.rotate == "any":
        turn = turn @ scanning.random_rotation(pose)
    points = scanning.fit_unit_sphere(points @ turn.T)
    if options.noise > 0.0:
        points = scanning.fit_unit_sphere(scanning.jitter(points, options.noise, noise))
    return noise.permutation(points).astype(np.float32)


def generate_shapes(
    clouds_per_class: int,
    seed: int,
    split: Literal["train", "test"],
    options: ShapeOptions,
    classes: Sequence[str] = SHAPE_CLASSES,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return clouds (n, points, 3) and labels (n,) that index `classes`, the classes taking turns.

    A cloud depends on the seed, the split, its class and its number within the class alone: a larger
    set begins with the smaller one, and the splits share no cloud.
    """
    _check_classes(classes)
    if len(set(classes)) != len(classes) or not classes:
        raise ValueError(f"classes must be different names, at least one, not {list(classes)}")
    if clouds_per_class < 1:
        raise ValueError(f"clouds_per_class must be at least 1, not {clouds_per_class}")
    if split not in _SPLITS:
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    clouds = np.empty((clouds_per_class * len(classes), options.points, 3), dtype=np.float32)
    for index in range(len(clouds)):
        number, label = divmod(index, len(classes))
        clouds[index] = generate_cloud(classes[label], (seed, _SPLITS[split], number), options)
    return clouds, np.tile(np.arange(len(classes), dtype=np.int64), clouds_per_class)


def _check_classes(classes: Sequence[str]) -> None:
    unknown = [name for name in classes if name not in SHAPE_BUILDERS]
    if unknown:
        raise ValueError(f"unknown shape class {unknown[0]!r}; there are {', '.join(SHAPE_CLASSES)}")


def _streams(class_name: str, seed: int | tuple[int, ...], count: int) -> list[np.random.Generator]:
    seeds = seed if isinstance(seed, tuple) else (seed,)
    if not seeds or not all(0 <= value <= _LARGEST_SEED for value in seeds):
        raise ValueError(f"a seed must be one or more integers from 0 to 2**64 - 1, not {seed}")
    # SeedSequence pads with zeros and splits large numbers, so that (1,) and (1, 0), or (2**32,) and (0, 1),
    # would be one seed: the length and two words a number keep them apart.
    words = [zlib.crc32(class_name.encode()), len(seeds)]
    for value in seeds:
        words += [int(value) & 0xFFFFFFFF, int(value) >> 32]
    sequence = np.random.SeedSequence(words)
    return [np.random.Generator(np.random.PCG64(child)) for child in sequence.spawn(count)]
