"""Thousands of built-in objects, made in several processes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.progress import DataListener, reporter
from pointlora_cli.datasets.shapes.generator import SPLITS, ShapeOptions, generate_cloud, generate_shapes
from pointlora_cli.datasets.workers import map_in_workers

_MANY = 2000  # clouds that take long enough to tell of, and to start processes for
_FEW = 1000  # of a process


class _Wanted(NamedTuple):
    """What decides a cloud."""

    class_name: str
    seed: tuple[int, ...]


def generate_many(
    clouds_per_class: int,
    seed: int,
    split: Literal["train", "test"],
    options: ShapeOptions,
    classes: Sequence[str],
    listen: DataListener,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The same clouds (n, points, 3) and labels (n,) as `generate_shapes` returns; `listen` hears how far it is.

    Raises:
        DataError: a process died.
    """
    count = clouds_per_class * len(classes)
    if count < _MANY:
        return generate_shapes(clouds_per_class, seed, split, options, classes)
    wanted = [
        _Wanted(name, (seed, SPLITS[split], number)) for number in range(clouds_per_class) for name in classes
    ]
    clouds = np.empty((count, options.points, 3), dtype=np.float32)
    report = reporter(f"making {count:,} built-in shapes ({split})", count, listen)
    with closing(map_in_workers(partial(_made, options), wanted, few=_FEW)) as made:
        for index, cloud in enumerate(made):
            clouds[index] = cloud
            report(index + 1)
    return clouds, np.tile(np.arange(len(classes), dtype=np.int64), clouds_per_class)


def _made(options: ShapeOptions, wanted: _Wanted) -> NDArray[np.float32]:
    return generate_cloud(wanted.class_name, wanted.seed, options)
