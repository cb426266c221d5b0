"""What a pre-trained network makes of clouds that it has not seen, for a look: PLY files and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.clouds.pictures import Image, draw_cloud, write_png
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.models.grouping import group
from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder, random_order
from pointlora_cli.services.new_files import make_folder, unused_path
from pointlora_cli.services.preparation import Prepared
from pointlora_cli.specs.data import FolderData, UnlabelledFolderData
from pointlora_cli.training.devices import autocast
from pointlora_cli.training.masked_modelling import MaskedModellingTask

_CLOUDS = 6
_SIZE = 320  # pixels of a cloud in the picture
_SEEN, _PREDICTED = (130, 130, 130), (213, 94, 0)

Points = NDArray[np.float32]


def write_reconstructions(prepared: Prepared, folder: Path) -> tuple[Path, ...]:
    """Write some test clouds, their visible patches and what is predicted of the others; none replaces a file.

    Of each cloud three PLY files: `<i>-input`, `<i>-visible` and `<i>-predicted`, whose property `label` is 0 for
    points of visible patches and 1 for predicted ones; and `reconstructions.png` with a row for each cloud. The
    same patches are hidden as in an evaluation.

    Args:
        prepared: a pre-training, with the weights in its model.
        folder: made where it is not there.

    Returns:
        the files, the picture last.

    Raises:
        UsageError: the folder cannot be made.
        CloudError: a file cannot be written.
    """
    task = prepared.task
    assert isinstance(task, MaskedModellingTask)  # of a pre-training
    make_folder(folder)
    paths, rows = [], []
    up = "z" if isinstance(prepared.spec.data, FolderData | UnlabelledFolderData) else "y"
    clouds = task.test_points
    chosen = np.unique(np.linspace(0, len(clouds) - 1, _CLOUDS).round().astype(np.int64))
    for index in chosen:
        seen, predicted = _reconstructed(prepared, task.model, clouds, int(index))
        both = np.concatenate([seen, predicted])
        labels = np.repeat([0, 1], [len(seen), len(predicted)])
        colors = np.array([_SEEN, _PREDICTED], np.uint8)[labels]
        whole = clouds[index]
        grey = np.broadcast_to(np.array(_SEEN, np.uint8), whole.shape)
        parts = (("input", whole, grey, None), ("visible", seen, colors[: len(seen)], None))
        for name, points, shades, marks in (*parts, ("predicted", both, colors, labels)):
            path = unused_path(folder, f"{index}-{name}", ".ply")
            write_ply(path, points, np.ascontiguousarray(shades), marks)
            paths.append(path)
        pictures: list[Image] = [
            draw_cloud(points, shades, _SIZE, up="z" if up == "z" else "y")
            for points, shades in ((whole, grey), (seen, colors[: len(seen)]), (both, colors))
        ]
        rows.append(np.concatenate(pictures, axis=1))
    picture = unused_path(folder, "reconstructions", ".png")
    write_png(picture, np.concatenate(rows))
    return (*paths, picture)


@torch.inference_mode()
def _reconstructed(
    prepared: Prepared, model: MaskedAutoencoder, clouds: Points, index: int
) -> tuple[Points, Points]:
    """The points of visible patches, and those predicted of the hidden ones, (n, 3) each."""
    task, spec = prepared.task, prepared.spec
    model.eval()
    seed = torch.Generator().manual_seed(spec.train.seed)
    order = random_order(len(clouds), model.patches, seed)[index].to(task.device)
    points = torch.from_numpy(clouds[index][None]).to(task.device)
    (patches,) = group(points, [model.backbone.scale], skip_near_origin=model.backbone.skip_near_origin)
    placed = patches.neighborhoods[0] + patches.centers[0][:, None]  # (G, K, 3)
    with autocast(task.device, task.dtype):
        found = model(points, order[None])
    predicted = found.predicted[0].float() + found.centers[0][:, None]
    seen = placed[order[: model.visible]].reshape(-1, 3)
    return seen.cpu().numpy(), predicted.reshape(-1, 3).cpu().numpy()
