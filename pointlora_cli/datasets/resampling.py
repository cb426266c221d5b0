"""Bringing a cloud of any size to the number of points and the frame that a model takes.

The result does not depend on the order of a cloud's points, nor on points given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.clouds.cloud import PointCloud
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.data import Normalization

_CANDIDATES = 16  # farthest-point sampling chooses among this many times the points wanted


@dataclass(frozen=True)
class Frame:
    """Where a protocol puts the points of a cloud: at (point - center) / scale."""

    center: NDArray[np.float64]  # (3,)
    scale: float

    def place(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points (N, 3) of the cloud, in the frame."""
        placed = points.astype(np.float64)
        placed -= self.center
        placed /= self.scale
        return placed.astype(np.float32)


def frame_of(points: NDArray[np.float32], offset: NDArray[np.float64], normalize: Normalization) -> Frame:
    """The frame of a cloud's distinct points (N, 3), from which `offset` (3,) was taken out."""
    if normalize == "none":
        return Frame(-offset, 1.0)
    center = points.astype(np.float64).mean(axis=0)
    if normalize == "center":
        return Frame(center, 1.0)
    return Frame(center, float(np.sqrt(np.square(points - center).sum(axis=1).max())))


class Resampled(NamedTuple):
    """A cloud as a model takes it, and where its other points are for the model."""

    points: NDArray[np.float32]  # (P, 3)
    frame: Frame


def resample(cloud: PointCloud, count: int, normalize: Normalization) -> NDArray[np.float32]:
    """Bring a cloud to (count, 3) float32, normalised as the protocol says.

    A cloud with more distinct points is thinned: a uniform sample if it is very large, then
    farthest-point sampling. One with fewer repeats its points evenly; nothing is padded.
    """
    distinct = canonical_points(cloud.points)
    placed = frame_of(distinct, cloud.offset, normalize).place(distinct[: _CANDIDATES * count])
    if len(distinct) <= count:
        return placed[_repeated(len(distinct), count)]
    chosen = farthest_point_sampling(torch.from_numpy(placed).unsqueeze(0), count)[0].numpy()
    return np.ascontiguousarray(placed[chosen])


def draw_in_frame(cloud: PointCloud, count: int, normalize: Normalization) -> Resampled:
    """Draw `count` of a cloud's distinct points uniformly, as part segmentation is trained and evaluated.

    Where there are fewer, they are repeated evenly. The frame is for all points of the cloud.
    """
    distinct = canonical_points(cloud.points)
    frame = frame_of(distinct, cloud.offset, normalize)
    return Resampled(frame.place(distinct[_repeated(len(distinct), count)]), frame)


def _repeated(size: int, count: int) -> NDArray[np.int64]:
    """The first `count` of `size` rows, all of them in turn where there are fewer."""
    return np.arange(count) % size


def canonical_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The distinct points of (N, 3), in an order that depends on their coordinates alone.

    The order is that of a hash, so any prefix is a uniform sample of the cloud.
    """
    return points[canonical_rows(points)]


def canonical_rows(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rows of `canonical_points`; of equal points the first."""
    bits = np.ascontiguousarray(points + np.float32(0)).view(np.uint32).astype(np.uint64)  # -0.0 is 0.0
    key = bits[:, 0]
    for axis in (1, 2):
        key = _mix(key) ^ bits[:, axis]
    _, first = np.unique(_mix(key), return_index=True)
    return first


def _mix(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: every input bit reaches every output bit, and no two inputs meet."""
    key = key + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = key ^ (key >> np.uint64(31))
    return mixed
