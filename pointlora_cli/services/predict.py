"""Classify clouds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.clouds.cloud import PointCloud
from pointlora_cli.clouds.reading import is_readable, read
from pointlora_cli.clouds.writing import is_written_here
from pointlora_cli.datasets.base import SPARE
from pointlora_cli.datasets.resampling import resample
from pointlora_cli.errors import CloudError, DataError
from pointlora_cli.services.trained_model import TrainedModel
from pointlora_cli.training.classification import predict_logits
from pointlora_cli.training.devices import memory_guard

_BATCH = 32


@dataclass(frozen=True)
class Classified:
    """What the model says of one cloud."""

    path: Path
    points: int  # in the file
    probabilities: NDArray[np.float64]  # (classes,), as the adapter's record orders them
    notices: tuple[str, ...]  # what was repaired or resampled


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be classified."""

    path: Path
    error: CloudError


def find_clouds(paths: Sequence[Path], output: Path | None = None) -> list[Path]:
    """The files named, and every readable file in the folders named, hidden ones excepted, sorted within each.

    Args:
        paths: files, which are taken as they are, and folders.
        output: the folder that results are written to. In a folder above it, what lies in it is left out;
            where it is itself named, those of its files that an earlier call wrote.

    Raises:
        DataError: a folder holds nothing readable.
    """
    written = None if output is None else output.expanduser().resolve()
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            file
            for file in path.rglob("*")
            if is_readable(file) and _is_shown(file, path) and not _is_result(file, path, written)
        )
        if not inside:
            raise DataError(f"{path}: no point-cloud or mesh file in this folder")
        found += inside
    return found


def _is_shown(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.is_file()


def _is_result(file: Path, folder: Path, written: Path | None) -> bool:
    """Whether a file in a folder that was named is a result, not a cloud to look at."""
    if written is None or written not in file.resolve().parents:
        return False
    return folder.resolve() in written.parents or is_written_here(file)


class _Ready(NamedTuple):
    """A cloud as the model takes it; the file's own points are let go."""

    points: NDArray[np.float32]  # (P, 3)
    size: int  # points in the file
    notices: tuple[str, ...]


def predict(trained: TrainedModel, paths: Sequence[Path]) -> Iterator[Classified | Unreadable]:
    """Classify each file, in order; a broken one is reported and does not stop the rest."""
    for start in range(0, len(paths), _BATCH):
        batch = [_read(trained, path) for path in paths[start : start + _BATCH]]
        clouds = [cloud for cloud in batch if isinstance(cloud, _Ready)]
        probabilities = iter(_probabilities(trained, clouds))
        for path, cloud in zip(paths[start : start + _BATCH], batch, strict=True):
            if isinstance(cloud, _Ready):
                yield Classified(path, cloud.size, next(probabilities), cloud.notices)
            else:
                yield Unreadable(path, cloud)


def _read(trained: TrainedModel, path: Path) -> _Ready | CloudError:
    resampling = trained.record.resampling
    try:
        cloud = read(path)
    except CloudError as error:
        return error
    points = resample(cloud, resampling.points, resampling.normalize)
    return _Ready(points, len(cloud.points), _notices(cloud, resampling.points))


def _probabilities(trained: TrainedModel, clouds: list[_Ready]) -> NDArray[np.float64]:
    if not clouds:
        return np.empty((0, len(trained.record.classes)))
    # On a CPU a cloud is classified by itself: batches are little faster there, and rounding that
    # depends on the batch could change which of two equally good tokens is selected.
    batch_size = 1 if trained.device.type == "cpu" else _BATCH
    points = torch.from_numpy(np.stack([cloud.points for cloud in clouds]))
    with memory_guard("Run on the CPU with --device cpu, or free memory."):
        logits = predict_logits(
            trained.classifier, points, batch_size=batch_size, device=trained.device, dtype=trained.dtype
        )
    spare = [index for index, name in enumerate(trained.record.classes) if name.startswith(SPARE)]
    scores = logits.double()
    scores[:, spare] = -torch.inf  # no class: never an answer
    return scores.softmax(dim=1).cpu().numpy()


def _notices(cloud: PointCloud, wanted: int) -> tuple[str, ...]:
    if len(cloud.points) == wanted:
        return cloud.warnings
    how = "thinned" if len(cloud.points) > wanted else "repeated"
    return (*cloud.warnings, f"{how} from {len(cloud.points):,} to the model's {wanted:,} points")
