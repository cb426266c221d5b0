"""Label the points of clouds, all of them, and write what was found."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.clouds.cloud import PointCloud
from pointlora_cli.clouds.palette import part_colors
from pointlora_cli.clouds.reading import read
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.datasets.cells import occupied_cells
from pointlora_cli.datasets.part_vocabulary import label_of_part
from pointlora_cli.datasets.resampling import Resampled, draw_in_frame
from pointlora_cli.errors import UsageError
from pointlora_cli.services.predict_places import PartPlaces
from pointlora_cli.services.predictor import Predictor, Settings
from pointlora_cli.services.trained_model import TrainedModel
from pointlora_cli.training.adapter_file import AdapterRecord, Resampling
from pointlora_cli.training.devices import autocast, memory_guard

MOST_PLACES = 1 << 16
"""Where a cloud has more points, those in one small cell get one label, unless each is asked for."""

_CHUNK = {"cpu": 2048, "cuda": 1 << 16}  # points labelled at a time; what stays in a CPU's cache is faster


class Part(NamedTuple):
    """A part of a category."""

    name: str
    label: int  # as the files of the training data have it
    color: tuple[int, int, int]  # red, green, blue

    @property
    def hex_color(self) -> str:
        """The color as #rrggbb."""
        return "#" + bytes(self.color).hex()


@dataclass(frozen=True)
class Labelled:
    """What the model says of the points of one cloud."""

    path: Path
    category: str
    parts: tuple[Part, ...]  # all of the category
    counts: tuple[int, ...]  # points of each
    written: Path
    notices: tuple[str, ...]  # what was repaired or resampled

    @property
    def points(self) -> int:
        """Points of the cloud."""
        return sum(self.counts)


@dataclass(frozen=True)
class WholeCloud:
    """A cloud with all its points, and as the model takes it."""

    path: Path
    cloud: PointCloud
    resampled: Resampled


@dataclass(frozen=True)
class WholeCloudPreparation:
    """Reads files, resamples them to what a model was trained on, and keeps all points."""

    resampling: Resampling

    def __call__(self, path: Path) -> WholeCloud:
        """Prepare a file.

        Raises:
            CloudError: it cannot be read.
        """
        cloud = read(path)
        return WholeCloud(
            path, cloud, draw_in_frame(cloud, self.resampling.points, self.resampling.normalize)
        )


class PartPredictor(Predictor[WholeCloud, Labelled]):
    """Labels clouds of one category, and writes a coloured PLY of each.

    The tokens come from the cloud as the model takes it, and are carried to every point of the file, in the
    file's own coordinates. The property `label` is what the training data's files call the part.
    """

    batch = 1

    def __init__(
        self, trained: TrainedModel, places: PartPlaces, *, category: str | None, each_point: bool = False
    ) -> None:
        """Choose the category.

        Args:
            trained: a model of part segmentation.
            places: where the PLYs go; its folders are made before the first is written.
            category: of all clouds; None where the model knows only one.
            each_point: ask the model at each point of clouds of any size.

        Raises:
            UsageError: the model does not know the category, or knows several and none is named.
            DataError: the record of the model has no labels of its parts.
        """
        super().__init__(trained)
        self._places = places
        self._each_point = each_point
        self._index = category_index(trained.record, category)
        self._category = trained.record.categories[self._index]
        names = [trained.record.classes[part] for part in self._category.labels]
        self._colors = part_colors(len(names))
        self._labels = np.array([label_of_part(name) for name in names])
        self.parts = tuple(
            Part(name, int(label), (int(red), int(green), int(blue)))
            for name, label, (red, green, blue) in zip(names, self._labels, self._colors, strict=True)
        )

    @property
    def settings(self) -> Settings:
        """What decides a prediction besides the cloud."""
        own: Settings = {
            "category": self._category.name,
            "exact": self._each_point,
            "output": str(self._places.folder),
        }
        return super().settings | own

    @property
    def prepare(self) -> Callable[[Path], WholeCloud]:
        """Reads a file and resamples it."""
        return WholeCloudPreparation(self.trained.record.resampling)

    @property
    def again(self) -> Callable[[TrainedModel], PartPredictor]:
        """Makes the same predictor of another copy of the model."""
        return partial(
            PartPredictor,
            places=self._places.for_another_process(),
            category=self._category.name,
            each_point=self._each_point,
        )

    def finish(self, prepared: Sequence[WholeCloud]) -> list[Labelled]:
        """Label prepared clouds; their PLYs are not yet in place.

        Raises:
            UsageError: the device has no more memory.
            CloudError: a PLY cannot be written.
        """
        return [self._label(whole.path, whole.cloud, whole.resampled) for whole in prepared]

    def settle(self, prediction: Labelled) -> Labelled:
        """Give the PLY of a prediction its name.

        Raises:
            CloudError: it cannot be renamed.
        """
        return replace(prediction, written=self._places.place(prediction.written, prediction.path.stem))

    def _label(self, path: Path, cloud: PointCloud, resampled: Resampled) -> Labelled:
        resampling = self.trained.record.resampling
        points, notices = resampled.frame.place(cloud.points), cloud.warnings
        if len(points) < resampling.points:
            notices += (f"repeated from {len(points):,} to the model's {resampling.points:,} points",)
        if len(points) > MOST_PLACES and not self._each_point:
            cells = occupied_cells(points, MOST_PLACES)
            found = self._parts_at(resampled, cells.means)[cells.cell]
            share = cells.size / float(np.ptp(points, axis=0).max())
            notices += (
                f"labelled {len(points):,} points by {len(cells.means):,} cells, each {share:.2%} of the cloud's "
                "longest side wide; --exact asks the model at each point",
            )
        else:
            found = self._parts_at(resampled, points)
        written = self._places.pending_file()
        whole = (
            cloud.points + cloud.offset if cloud.offset.any() else cloud.points
        )  # float64 where it must be
        write_ply(written, whole, colors=self._colors[found], labels=self._labels[found])
        counts = np.bincount(found, minlength=len(self.parts)).tolist()
        return Labelled(path, self._category.name, self.parts, tuple(counts), written, notices)

    @torch.inference_mode()
    def _parts_at(self, resampled: Resampled, at: NDArray[np.float32]) -> NDArray[np.int64]:
        """The likeliest of the category's parts (M,), from 0, at places (M, 3) of the cloud's frame."""
        trained, device = self.trained, self.trained.device
        category = torch.tensor([self._index], device=device)
        own = slice(self._category.labels.start, self._category.labels.stop)
        found = []
        with (
            memory_guard("Run on the CPU with --device cpu, or free memory."),
            autocast(device, trained.dtype),
        ):
            encoding = trained.segmenter.encode(torch.from_numpy(resampled.points)[None].to(device))
            for places in torch.split(torch.from_numpy(at)[None], _CHUNK[device.type], dim=1):
                logits = trained.segmenter.label(encoding, category, places.to(device))
                found.append(logits[0, :, own].argmax(dim=1).cpu())
        return torch.cat(found).numpy()


def category_index(record: AdapterRecord, wanted: str | None) -> int:
    """Which of a model's categories is meant; case is no matter where it is clear without.

    Raises:
        UsageError: none of that name, or several and no name.
    """
    names = [category.name for category in record.categories]
    if wanted is None:
        if len(names) == 1:
            return 0
        raise UsageError(
            f"the model knows {len(names)} categories, and must be told which the clouds are of",
            remedy=f"Give --category NAME, one of: {', '.join(names)}.",
        )
    if wanted in names:
        return names.index(wanted)
    small = [name.casefold() for name in names]
    if small.count(wanted.casefold()) == 1:
        return small.index(wanted.casefold())
    near = difflib.get_close_matches(wanted.casefold(), small, n=1)
    hint = f"Did you mean '{names[small.index(near[0])]}'? " if near else ""
    raise UsageError(f"the model knows no category '{wanted}'", remedy=f"{hint}It knows {', '.join(names)}.")
