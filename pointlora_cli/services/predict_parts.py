"""Label the points of clouds, all of them, and write what was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from pointlora_cli.errors import CloudError, UsageError
from pointlora_cli.services.new_files import make_folder, unused_path
from pointlora_cli.services.predict import Unreadable
from pointlora_cli.services.trained_model import TrainedModel
from pointlora_cli.training.adapter_file import AdapterRecord
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


class PartPredictor:
    """Labels clouds of one category, and writes a coloured PLY of each.

    The tokens come from the cloud as the model takes it, and are carried to every point of the file, in the
    file's own coordinates. The property `label` is what the training data's files call the part.
    """

    def __init__(
        self, trained: TrainedModel, folder: Path, *, category: str | None, each_point: bool = False
    ) -> None:
        """Choose the category and make the folder.

        Args:
            trained: a model of part segmentation.
            folder: where the PLYs go.
            category: of all clouds; None where the model knows only one.
            each_point: ask the model at each point of clouds of any size.

        Raises:
            UsageError: the model does not know the category, or knows several and none is named; or the folder
                cannot be made.
            DataError: the record of the model has no labels of its parts.
        """
        self._trained = trained
        self._folder = folder
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
        make_folder(folder)

    def predict(self, paths: Sequence[Path]) -> Iterator[Labelled | Unreadable]:
        """Label each file, in order; a broken one is reported and does not stop the rest.

        Raises:
            CloudError: a PLY cannot be written.
        """
        for path in paths:
            try:
                cloud = read(path)
            except CloudError as error:
                yield Unreadable(path, error)
                continue
            yield self._label(path, cloud)

    def _label(self, path: Path, cloud: PointCloud) -> Labelled:
        resampling = self._trained.record.resampling
        resampled = draw_in_frame(cloud, resampling.points, resampling.normalize)
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
        written = unused_path(self._folder, path.stem, ".ply")
        whole = (
            cloud.points + cloud.offset if cloud.offset.any() else cloud.points
        )  # float64 where it must be
        write_ply(written, whole, colors=self._colors[found], labels=self._labels[found])
        counts = np.bincount(found, minlength=len(self.parts)).tolist()
        return Labelled(path, self._category.name, self.parts, tuple(counts), written, notices)

    @torch.inference_mode()
    def _parts_at(self, resampled: Resampled, at: NDArray[np.float32]) -> NDArray[np.int64]:
        """The likeliest of the category's parts (M,), from 0, at places (M, 3) of the cloud's frame."""
        trained, device = self._trained, self._trained.device
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
