"""Thinning many stored clouds to their farthest points, as the official evaluation does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.workers import map_in_workers
from pointlora_cli.ops.pruned_sampling import pruned_farthest_points

Floats = NDArray[np.float32]


def thin(
    points: Floats,
    count: int,
    *,
    skip_near_origin: bool = False,
    report: Callable[[int], None] | None = None,
) -> Floats:
    """The farthest `count` of the stored points of each cloud, beginning with its first.

    Args:
        points: (n, S, 3), finite.
        count: how many to keep; with all S, clouds stay as they are unless near points are left out.
        skip_near_origin: never take a point with squared norm <= 1e-3 but for the first; where the others
            are too few, one of them repeats.
        report: told after each cloud how many are done.

    Returns:
        (n, count, 3), in the order in which they were chosen.
    """
    if count == points.shape[1] and not skip_near_origin:
        return points
    thinned = np.empty((len(points), count, 3), dtype=np.float32)
    farthest = partial(_farthest, count=count, skip_near_origin=skip_near_origin)
    with closing(map_in_workers(farthest, list(points))) as clouds:
        for index, cloud in enumerate(clouds):
            thinned[index] = cloud
            if report:
                report(index + 1)
    return thinned


def _farthest(cloud: Floats, count: int, skip_near_origin: bool) -> Floats:
    """The farthest points (count, 3) of one cloud (S, 3)."""
    return cloud[pruned_farthest_points(cloud, count, skip_near_origin=skip_near_origin)]
