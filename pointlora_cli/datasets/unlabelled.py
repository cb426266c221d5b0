"""Clouds without labels, to pre-train on: drawn from files of any size, kept in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.reading import read
from pointlora_cli.datasets.folder_listing import prepared_all
from pointlora_cli.datasets.progress import DataListener, reporter
from pointlora_cli.datasets.resampling import draw_in_frame
from pointlora_cli.errors import CloudError
from pointlora_cli.specs.data import Normalization


@dataclass(frozen=True)
class UnlabelledClouds:
    """Clouds of one size."""

    points: NDArray[np.float32]  # (n, S, 3)

    def __len__(self) -> int:
        """Number of clouds."""
        return len(self.points)

    def subset(self, indices: NDArray[np.int64]) -> UnlabelledClouds:
        """The clouds at `indices`."""
        return UnlabelledClouds(self.points[indices])


@dataclass(frozen=True)
class UnlabelledData:
    """A data set without labels."""

    train: UnlabelledClouds
    test: UnlabelledClouds
    notices: tuple[str, ...] = ()  # what a person should know of the files


@dataclass(frozen=True)
class Drawn:
    """What was drawn from files."""

    clouds: UnlabelledClouds  # of the readable ones
    paths: list[Path]  # theirs
    unreadable: list[str]  # why the others are not there
    repaired: list[str]


def draw_all(
    paths: Sequence[Path], count: int, normalize: Normalization, *, what: str, listen: DataListener
) -> Drawn:
    """Draw `count` points of each cloud or mesh, uniformly and always the same, in the frame of all its points.

    Args:
        paths: the files.
        count: points of a cloud; one that has fewer repeats them evenly.
        normalize: the frame.
        what: is done, as `listen` hears it.
        listen: told how far it is.
    """
    points = np.empty((len(paths), count, 3), np.float32)  # filled in place: no cloud is ever there twice
    places = {path: place for place, path in enumerate(paths)}

    def prepare(path: Path) -> tuple[bool, tuple[str, ...]]:
        try:
            cloud = read(path)
        except CloudError as error:
            return False, (error.message,)
        points[places[path]] = draw_in_frame(cloud, count, normalize).points
        return True, cloud.warnings

    found = prepared_all(paths, prepare, reporter(what, len(paths), listen))
    good = np.array([is_read for is_read, _ in found], dtype=bool)
    pairs = list(zip(paths, found, strict=True))
    return Drawn(
        UnlabelledClouds(points if good.all() else points[good]),
        [path for path, (is_read, _) in pairs if is_read],
        [messages[0] for _, (is_read, messages) in pairs if not is_read],
        [f"{path}: {'; '.join(messages)}" for path, (is_read, messages) in pairs if is_read and messages],
    )
