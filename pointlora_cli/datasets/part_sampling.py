"""Bringing test clouds with part labels to one size.

The published protocol draws test points with replacement, so its scores vary from run to run. By default
we take the same points each time, drawn without replacement: each point of the file has the same chance,
so the score estimates what the published protocol measures on average, and no point takes another's place
by occurring twice. Farthest points would be as fixed, but sparser than the clouds of training, and would
give thin parts more weight in the score. With replacement we draw once, by a seed, for all evaluations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.datasets.seeding import named_stream
from pointlora_cli.specs.data import AnyPartData

Rows = NDArray[np.int64]


def fixed_rows(size: int, count: int) -> Rows:
    """The rows (count,) that a test cloud of `size` points keeps: always the same, in the file's order.

    Each point is there floor(count / size) times; those that are there once more are drawn without
    replacement, from a stream that depends on `size` alone.
    """
    whole, rest = divmod(count, size)
    times = np.full(size, whole)
    times[named_stream("test points", size).permutation(size)[:rest]] += 1
    return np.repeat(np.arange(size), times)


def replaced_rows(size: int, count: int, seed: int, index: int) -> Rows:
    """Rows (count,) of test cloud `index`, drawn with replacement; no cloud's draw depends on another's."""
    return named_stream("test points", seed, index).randint(0, size, count, dtype=np.int64)


def evaluation_arrays(
    clouds: PartClouds, spec: AnyPartData
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Clouds of one size to evaluate on, sampled as `spec.test_sampling` says.

    Returns:
        points (n, P, 3), parts (n, P), category (n,).
    """
    points = np.empty((len(clouds), spec.points, 3), dtype=np.float32)
    parts = np.empty((len(clouds), spec.points), dtype=np.int64)
    for index in range(len(clouds)):
        own_points, own_parts = clouds.cloud(index)
        if spec.test_sampling == "fixed":
            rows = fixed_rows(len(own_points), spec.points)
        else:
            rows = replaced_rows(len(own_points), spec.points, spec.test_seed, index)
        points[index], parts[index] = own_points[rows], own_parts[rows]
    return points, parts, clouds.category
