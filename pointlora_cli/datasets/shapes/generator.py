"""Labelled point clouds of the built-in object classes, each fully determined by its seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.shapes import corruption, scanning
from pointlora_cli.datasets.shapes.collection import COLLECTIONS, collection_classes, collection_of
from pointlora_cli.datasets.shapes.primitives import Array, Part, join, rotation

SHAPE_CLASSES: tuple[str, ...] = collection_classes("objects")
"""Names of the classes to fine-tune on, in alphabetical order."""

SPLITS = {"train": 0, "test": 1}
"""What the seeds of a split's clouds hold."""

_LARGEST_SEED = 2**64 - 1
# Largest change of proportions along x, y and z (as a logarithm), so that a bounding box tells little.
_STRETCH = np.array([0.12, 0.3, 0.12])
_LARGEST = {
    "tilt_degrees": 180.0,
    "noise": 1.0,
    "occlusion": 0.9,
    "clutter": 0.5,
    "ray_noise": 0.2,
    "falloff": 4.0,
    "holes": 0.5,
    "fragments": 0.3,
    "outliers": 0.1,
    "airborne": 1.0,
}
_STRENGTHS = ("noise", "occlusion", "clutter", "ray_noise", "falloff", "holes", "fragments", "outliers")


@dataclass(frozen=True)
class ShapeOptions:
    """How the objects are scanned; the same seed shows the same object under any options.

    points: points in a cloud. rotate: no rotation, a random one about the up axis y, or any of SO(3).
    tilt_degrees: largest random tilt of the up axis. noise: standard deviation of the jitter relative to
    the radius of the unit sphere, clipped at 3 deviations. occlusion: fraction 0..0.9 of the surface that
    is cut away. clutter: fraction 0..0.5 of the points that are background.

    ray_noise: standard deviation of noise along the rays of a scanner, relative to the object's radius.
    falloff: power 0..4 of the distance to the scanner with which the density falls. holes: fraction 0..0.5 of
    the surface that is lost in round holes. fragments: fraction 0..0.3 of the points that are a piece of
    another object of the collection. outliers: fraction 0..0.1 of the points that lie anywhere. distinct:
    least fraction of different points; the others repeat them, as where a cloud of few points is filled up.
    airborne: chance 0..1 of a cloud to be scanned from above in parallel lines, then without falloff.
    varied: each cloud draws how much of each of these it has, from none to what is given.
    """

    points: int = 1024
    rotate: Literal["none", "up", "any"] = "up"
    tilt_degrees: float = 5.0
    noise: float = 0.01
    occlusion: float = 0.0
    clutter: float = 0.0
    ray_noise: float = 0.0
    falloff: float = 0.0
    holes: float = 0.0
    fragments: float = 0.0
    outliers: float = 0.0
    distinct: float = 1.0
    airborne: float = 0.0
    varied: bool = False

    def __post_init__(self) -> None:
        if self.points < 1:
            raise ValueError(f"points must be at least 1, not {self.points}")
        if self.rotate not in ("none", "up", "any"):
            raise ValueError(f"rotate must be 'none', 'up' or 'any', not {self.rotate!r}")
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if not 0.0 <= value <= largest:
                raise ValueError(f"{name} must be from 0 to {largest:g}, not {value}")
        if not 0.0 < self.distinct <= 1.0:
            raise ValueError(f"distinct must be above 0 and at most 1, not {self.distinct}")


def generate_cloud(
    class_name: str, seed: int | tuple[int, ...], options: ShapeOptions
) -> NDArray[np.float32]:
    """Return one cloud (points, 3) of a class, centred in the unit sphere, y up, points in random order.

    The seed is one integer or several, each from 0 to 2**64 - 1. Unknown classes and other seeds raise
    ValueError.
    """
    streams = _streams(class_name, seed)
    if options.varied:
        options = _varied(options, streams.strengths)
    points = _scanned(class_name, options, streams)
    if options.distinct < 1.0:
        points = corruption.few_of_them(points, options.distinct, streams.few)
    pose = streams.pose
    turn = scanning.small_tilt(pose, options.tilt_degrees)
    if options.rotate == "up":
        turn = turn @ rotation("y", pose.uniform(0.0, 360.0))
    elif options.rotate == "any":
        turn = turn @ scanning.random_rotation(pose)
    points = scanning.fit_unit_sphere(points @ turn.T)
    if options.noise > 0.0:
        points = scanning.fit_unit_sphere(scanning.jitter(points, options.noise, streams.noise))
    if len(points) < options.points:
        points = scanning.fit_unit_sphere(corruption.repeated(points, options.points, streams.few))
    return streams.noise.permutation(points).astype(np.float32)


def _scanned(class_name: str, options: ShapeOptions, streams: _Streams) -> Array:
    """Points (options.points, 3) of a new object and of what is about it, where the scanner has them."""
    whole = _drawn(class_name, streams.shape)
    behind = round(options.points * options.clutter)
    beside, stray = int(options.points * options.fragments), int(options.points * options.outliers)
    seen = options.points - behind - beside - stray
    unpierced = max(seen, round(seen / (1.0 - options.holes)))
    from_above = streams.lines.random() < options.airborne
    dense = unpierced * (corruption.SPARE if options.falloff > 0.0 or from_above else 1)
    points = whole.sample(max(dense, round(dense / (1.0 - options.occlusion))), streams.surface)
    if options.occlusion > 0.0:
        points = scanning.keep_seen(points, dense, streams.view)
    scanner = corruption.place_scanner(points, streams.sensor)
    if from_above:
        points = corruption.scan_in_lines(points, unpierced, streams.lines)
    elif options.falloff > 0.0:
        points = corruption.thin_with_distance(points, unpierced, scanner, options.falloff, streams.density)
    if options.holes > 0.0:
        points = corruption.lose_in_holes(points, seen, streams.holes)
    around = []
    if behind:
        around.append(scanning.surroundings(points, behind, streams.background))
    if beside:
        names = collection_classes(collection_of(class_name))
        other = _drawn(names[streams.beside.integers(len(names))], streams.beside)
        piece = other.sample(2 * beside, streams.beside)
        around.append(corruption.piece_beside(points, piece, beside, streams.beside))
    if stray:
        around.append(corruption.stray_points(points, stray, streams.stray))
    points = np.concatenate([points, *around])
    if options.ray_noise > 0.0:
        points = corruption.noise_along_rays(points, scanner, options.ray_noise, streams.rays)
    return points


def _varied(options: ShapeOptions, rng: np.random.Generator) -> ShapeOptions:
    """Options whose strengths lie between 0 and the given ones; a third of them are 0."""
    share = np.maximum(rng.uniform(-0.5, 1.0, len(_STRENGTHS)), 0.0)
    drawn = {name: float(part) * getattr(options, name) for name, part in zip(_STRENGTHS, share, strict=True)}
    return replace(options, **drawn)


def _drawn(class_name: str, rng: np.random.Generator) -> Part:
    stretch = np.exp(_STRETCH * rng.uniform(-1.0, 1.0, 3))
    builder = COLLECTIONS[collection_of(class_name)][class_name]
    return join(*builder(rng)).scaled(*stretch)


def generate_shapes(
    clouds_per_class: int,
    seed: int,
    split: Literal["train", "test"],
    options: ShapeOptions,
    classes: Sequence[str] = SHAPE_CLASSES,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return clouds (n, points, 3) and labels (n,) that index `classes`, the classes taking turns.

    For clouds to pre-train on, give `collection_classes("pretraining")` as the classes.

    A cloud depends on the seed, the split, its class and its number within the class alone: a larger
    set begins with the smaller one, and the splits share no cloud.
    """
    for name in classes:
        collection_of(name)
    if len(set(classes)) != len(classes) or not classes:
        raise ValueError(f"classes must be different names, at least one, not {list(classes)}")
    if clouds_per_class < 1:
        raise ValueError(f"clouds_per_class must be at least 1, not {clouds_per_class}")
    if split not in SPLITS:
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    clouds = np.empty((clouds_per_class * len(classes), options.points, 3), dtype=np.float32)
    for index in range(len(clouds)):
        number, label = divmod(index, len(classes))
        clouds[index] = generate_cloud(classes[label], (seed, SPLITS[split], number), options)
    return clouds, np.tile(np.arange(len(classes), dtype=np.int64), clouds_per_class)


class _Streams(NamedTuple):
    """One stream a step, so that changing how an object is scanned does not change the object.

    New ones go to the end: the streams are told apart by their number.
    """

    shape: np.random.Generator
    surface: np.random.Generator
    view: np.random.Generator
    background: np.random.Generator
    pose: np.random.Generator
    noise: np.random.Generator
    sensor: np.random.Generator
    density: np.random.Generator
    holes: np.random.Generator
    beside: np.random.Generator
    stray: np.random.Generator
    rays: np.random.Generator
    few: np.random.Generator
    strengths: np.random.Generator
    lines: np.random.Generator


def _streams(class_name: str, seed: int | tuple[int, ...]) -> _Streams:
    seeds = seed if isinstance(seed, tuple) else (seed,)
    if not seeds or not all(0 <= value <= _LARGEST_SEED for value in seeds):
        raise ValueError(f"a seed must be one or more integers from 0 to 2**64 - 1, not {seed}")
    # SeedSequence pads with zeros and splits large numbers, so that (1,) and (1, 0), or (2**32,) and (0, 1),
    # would be one seed: the length and two words a number keep them apart.
    words = [zlib.crc32(class_name.encode()), len(seeds)]
    for value in seeds:
        words += [int(value) & 0xFFFFFFFF, int(value) >> 32]
    sequence = np.random.SeedSequence(words)
    children = sequence.spawn(len(_Streams._fields))
    return _Streams(*(np.random.Generator(np.random.PCG64(child)) for child in children))
