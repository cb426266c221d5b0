"""Clouds made up for measuring: of the shape and number of points that a data set has, with labels at random."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.build import output_counts
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.datasets.shapes.collection import collection_classes
from pointlora_cli.models.build import Outputs
from pointlora_cli.specs.data import (
    AnyClassificationData,
    AnyData,
    AnyPartData,
    FewShotData,
    FolderData,
    ModelNet40Data,
    ScanObjectNNData,
    SegmentationFolderData,
    ShapesData,
)

_STORED = {"scanobjectnn": 2048, "modelnet40": 8192, "modelnet40-fewshot": 8192}
_PART_CLOUD = 2616  # points of a ShapeNetPart cloud, on average
_ASSUMED = 10  # classes, or parts, of a folder, which need not be there
_ASSUMED_CLOUDS = 1000


def bench_outputs(data: AnyData) -> Outputs:
    """Classes, or parts and categories, of a data set; ten, or ten of one category, where that takes a folder."""
    match data:
        case FolderData():
            return Outputs(_ASSUMED)
        case SegmentationFolderData():
            return Outputs(_ASSUMED, 1)
        case _:
            return Outputs(*output_counts(data))


def training_clouds(data: AnyData) -> int:
    """How many clouds there would be to learn from; a thousand where that takes a folder."""
    match data:
        case ScanObjectNNData():
            return 11416 if data.variant == "pb-t50-rs" else 2309
        case ModelNet40Data():
            return 9843
        case FewShotData():
            return data.way * data.shot
        case ShapesData():
            return len(collection_classes(data.collection)) * data.clouds_per_class
        case _:
            return _ASSUMED_CLOUDS


def made_up_clouds(data: AnyClassificationData, classes: int, count: int) -> LabelledClouds:
    """`count` clouds with as many points as the data set stores, the same in every run."""
    random = np.random.default_rng(0)
    points = _surfaces(random, count, _STORED.get(data.source, data.points))
    return LabelledClouds(points, random.integers(classes, size=count))


def evaluated_clouds(data: AnyClassificationData, classes: int, count: int) -> LabelledClouds:
    """The same, with the points that the model takes."""
    random = np.random.default_rng(1)
    return LabelledClouds(_surfaces(random, count, data.points), random.integers(classes, size=count))


def made_up_part_clouds(data: AnyPartData, outputs: Outputs, count: int) -> PartClouds:
    """`count` clouds, each with a category and a part label at each of its points."""
    random = np.random.default_rng(0)
    points = _surfaces(random, count, _PART_CLOUD).reshape(-1, 3)
    parts = random.integers(outputs.classes, size=len(points), dtype=np.uint8)
    offsets = np.arange(count + 1, dtype=np.int64) * _PART_CLOUD
    return PartClouds(points, parts, offsets, random.integers(outputs.categories, size=count))


def part_ranges(outputs: Outputs) -> list[range]:
    """The part labels of each category, about as many for each."""
    borders = np.linspace(0, outputs.classes, outputs.categories + 1).astype(int).tolist()
    return [range(first, last) for first, last in itertools.pairwise(borders)]


def _surfaces(random: np.random.Generator, count: int, points: int) -> NDArray[np.float32]:
    """(count, points, 3) points on ellipsoids within the unit sphere, none near its middle."""
    directions = random.standard_normal((count, points, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    axes = random.uniform(0.3, 1.0, (count, 1, 3))
    clouds: NDArray[np.float32] = (directions * axes).astype(np.float32)
    return clouds
