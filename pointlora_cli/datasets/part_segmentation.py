"""What a part-segmentation data set gives: clouds of any size, a category each, a part label at each point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def part_name(category: str, label: int) -> str:
    """The name of a part: its category's, and the label that the files give it."""
    return f"{category}/{label}"


@dataclass(frozen=True)
class PartClouds:
    """Clouds of different sizes, one after the other: cloud i is rows offsets[i] to offsets[i + 1]."""

    points: NDArray[np.float32]  # (rows, 3)
    parts: NDArray[np.uint8]  # (rows,) part labels, counted over all categories
    offsets: NDArray[np.int64]  # (n + 1,)
    category: NDArray[np.int64]  # (n,)

    def __len__(self) -> int:
        """Number of clouds."""
        return len(self.category)

    def cloud(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Points (N, 3) and parts (N,) of a cloud; views, not copies."""
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.points[rows], self.parts[rows]

    def between(self, first: int, last: int) -> PartClouds:
        """The clouds from `first` up to, and without, `last`; views of the rows, not copies."""
        start, stop = int(self.offsets[first]), int(self.offsets[last])
        return PartClouds(
            self.points[start:stop],
            self.parts[start:stop],
            self.offsets[first : last + 1] - start,
            self.category[first:last],
        )

    def subset(self, indices: NDArray[np.int64]) -> PartClouds:
        """The clouds at `indices`; copies."""
        sizes = self.offsets[indices + 1] - self.offsets[indices]
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[indices] - offsets[:-1], sizes)
        return PartClouds(self.points[rows], self.parts[rows], offsets, self.category[indices])


@dataclass(frozen=True)
class PartSegmentationData:
    """A part-segmentation data set; the published protocol trains on `trainval`."""

    categories: tuple[str, ...]
    parts: tuple[range, ...]  # the part labels of each category
    trainval: PartClouds  # the training clouds, then the validation clouds
    train_count: int
    test: PartClouds
    notices: tuple[str, ...] = ()  # what a person should know of the files
    part_names: tuple[str, ...] = ()  # of each part label, as `part_name` gives it

    @property
    def train(self) -> PartClouds:
        """The training clouds alone."""
        return self.trainval.between(0, self.train_count)

    @property
    def val(self) -> PartClouds:
        """The validation clouds alone."""
        return self.trainval.between(self.train_count, len(self.trainval))

    @property
    def part_count(self) -> int:
        """Number of part labels of all categories together."""
        return max(parts.stop for parts in self.parts)
