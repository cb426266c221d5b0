"""Show which parts of a cloud the token selection keeps."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.adaptation.pointlora import PointLoRA
from pointlora_cli.clouds.reading import read
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.datasets.resampling import resample
from pointlora_cli.errors import UsageError
from pointlora_cli.models.grouping import group
from pointlora_cli.models.point_mae import PointMAE
from pointlora_cli.services.new_files import make_folder, unused_path
from pointlora_cli.services.trained_model import TrainedModel
from pointlora_cli.training.devices import autocast

_COLORS = np.array(
    [[150, 150, 150], [214, 39, 40], [255, 187, 0], [31, 119, 180], [44, 160, 44], [148, 103, 189]], np.uint8
)
"""Of points that are not kept, and of those kept at the first, second, … scale."""


class SelectionViews:
    """Writes one PLY for each cloud: the cloud as the model sees it, coloured by what is kept.

    Its property `label` is 0 for a point in no kept patch, else the number of the finest scale that keeps
    a patch with it. A file that is there already is never replaced: the new name gets a number.
    """

    def __init__(self, trained: TrainedModel, folder: Path) -> None:
        if not isinstance(trained.model.adaptation, PointLoRA):
            raise UsageError(
                f"the method of {trained.folder} is {trained.record.method.name}, which selects no tokens",
                remedy="Leave out --selection, or give a model of method pointlora.",
            )
        make_folder(folder)
        self._trained = trained
        self._folder = folder

    def write(self, cloud: Path) -> Path:
        """Write the view of a cloud file; return its path.

        Raises:
            CloudError: the cloud cannot be read, or the view cannot be written.
        """
        resampling = self._trained.record.resampling
        points = resample(read(cloud), resampling.points, resampling.normalize)
        labels = kept_scales(self._trained, points)
        path = unused_path(self._folder, cloud.stem, ".ply")
        shown = np.where(labels > 0, (labels - 1) % (len(_COLORS) - 1) + 1, 0)
        write_ply(path, points, colors=_COLORS[shown], labels=labels)
        return path


@torch.inference_mode()
def kept_scales(trained: TrainedModel, points: NDArray[np.float32]) -> NDArray[np.int64]:
    """The scale (P,), from 1, at which each point of (P, 3) is kept; 0 where it is not."""
    model = trained.model
    batch = torch.from_numpy(points)[None].to(trained.device)
    with autocast(trained.device, trained.dtype):
        notes = model(batch).sequence.notes
    backbone = cast(PointMAE, model.backbone)  # the spec lets a selection have no other kind
    scales = model.adaptation.scales(backbone.scale)
    groupings = group(batch, scales, skip_near_origin=backbone.skip_near_origin)
    labels = torch.zeros(len(points), dtype=torch.int64, device=trained.device)
    for number, grouping in reversed(list(enumerate(groupings, start=1))):  # the finest is written last
        kept = notes[f"selected{number - 1}"][0]
        labels[grouping.neighbor_indices[0, kept].flatten()] = number
    return labels.cpu().numpy()
