"""Bringing a cloud of any size to the number of points and the frame that a model takes.

The result does not depend on the order of a cloud's points, nor on points given twice.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.clouds.cloud import PointCloud
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.data import Normalization

_CANDIDATES = 16  # farthest-point sampling chooses among this many times the points wanted


def resample(cloud: PointCloud, count: int, normalize: Normalization) -> NDArray[np.float32]:
    """Bring a cloud to (count, 3) float32, normalised as the protocol says.

    A cloud with more distinct points is thinned: a uniform sample if it is very large, then
    farthest-point sampling. One with fewer repeats its points evenly; nothing is padded.
    """
    distinct = canonical_points(cloud.points)
    frame = _in_frame(distinct, cloud.offset, normalize)
    if len(frame) > count:
        candidates = torch.from_numpy(frame[: _CANDIDATES * count])
        chosen = farthest_point_sampling(candidates.unsqueeze(0), count)[0].numpy()
    else:
        chosen = np.arange(count) % len(frame)
    return np.ascontiguousarray(frame[chosen])


def canonical_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The distinct points of (N, 3), in an order that depends on their coordinates alone.

    The order is that of a hash, so any prefix is a uniform sample of the cloud.
    """
    bits = np.ascontiguousarray(points + np.float32(0)).view(np.uint32).astype(np.uint64)  # -0.0 is 0.0
    key = bits[:, 0]
    for axis in (1, 2):
        key = _mix(key) ^ bits[:, axis]
    _, first = np.unique(_mix(key), return_index=True)
    return points[first]


def _mix(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: every input bit reaches every output bit, and no two inputs meet."""
    key = key + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = key ^ (key >> np.uint64(31))
    return mixed


def _in_frame(
    points: NDArray[np.float32], offset: NDArray[np.float64], normalize: Normalization
) -> NDArray[np.float32]:
    if normalize == "none":
        return (points + offset).astype(np.float32)
    centered = points.astype(np.float64)
    centered -= centered.mean(axis=0)
    if normalize == "unit-sphere":
        centered /= np.sqrt(np.square(centered).sum(axis=1).max())
    return centered.astype(np.float32)
