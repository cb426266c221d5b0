"""ScanObjectNN (ICCV 2019), from its published HDF5 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointlora_cli.catalog.cache import cached_folder
from pointlora_cli.catalog.settings import current_settings
from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import ScanObjectNNData

CLASSES = (
    "bag",
    "bin",
    "box",
    "cabinet",
    "chair",
    "desk",
    "display",
    "door",
    "shelf",
    "table",
    "bed",
    "pillow",
    "sink",
    "sofa",
    "toilet",
)
"""The fifteen classes; the place of a name is its label."""

STORED_POINTS = 2048
_LARGEST = 8 * 2**30  # bytes; the published files hold 0.3 GB

_FILES = {
    "obj-bg": "main_split/{split}_objectdataset.h5",
    "obj-only": "main_split_nobg/{split}_objectdataset.h5",
    "pb-t50-rs": "main_split/{split}_objectdataset_augmentedrot_scale75.h5",
}

_REMEDY = (
    "Accept the terms at https://hkust-vgd.github.io/scanobjectnn/ and run: pointlora download scanobjectnn "
    "(it says how to go on); or give the folder that holds main_split/ with --set data.root=PATH."
)


def files(root: Path, spec: ScanObjectNNData) -> tuple[Path, Path]:
    """The training and the test file of the spec's variant."""
    pattern = _FILES[spec.variant]
    return root / pattern.format(split="training"), root / pattern.format(split="test")


def require_files(spec: ScanObjectNNData) -> tuple[Path, Path]:
    """The training and the test file, where both are there.

    Raises:
        DataError: which are missing, and how to get them.
    """
    name = f"ScanObjectNN ({spec.variant})"
    if spec.root is None:
        root = cached_folder("scanobjectnn", current_settings())
        if root is None:
            raise DataError(f"{name} is not downloaded", remedy=_REMEDY)
    else:
        root = Path(spec.root).expanduser()
    both = files(root, spec)
    missing = [str(path) for path in both if not path.is_file()]
    if missing:
        raise DataError(f"{name} is not there: missing {' and '.join(missing)}", remedy=_REMEDY)
    return both


def load_scanobjectnn(spec: ScanObjectNNData) -> ClassificationData:
    """Read both splits, as stored: the protocol neither centres nor scales.

    Training clouds keep all 2,048 stored points, of which each step draws some; test clouds are thinned to
    `spec.points` by farthest-point sampling from the first, as the official evaluation does.

    Raises:
        DataError: a file is missing, or does not hold what was published.
    """
    train, test = (_read(path, spec) for path in require_files(spec))
    return ClassificationData(CLASSES, train, LabelledClouds(thin(test.points, spec.points), test.labels))


def _read(path: Path, spec: ScanObjectNNData) -> LabelledClouds:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            data, label = file["data"], file["label"]
            if data.size * 4 > _LARGEST or label.size * 8 > _LARGEST:  # before memory is taken for it
                raise DataError(f"{path}: 'data' {data.shape} or 'label' {label.shape} is far too large")
            points, labels = np.asarray(data), np.asarray(label)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, AttributeError, MemoryError) as error:
        raise DataError(f"{path}: not a ScanObjectNN file: {error}", remedy=_REMEDY) from error
    if (
        points.ndim != 3
        or points.shape[1:] != (STORED_POINTS, 3)
        or not np.issubdtype(points.dtype, np.floating)
    ):
        raise DataError(
            f"{path}: 'data' is {points.dtype} {points.shape}, expected floats (n, {STORED_POINTS}, 3)"
        )
    if labels.shape != (len(points),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{path}: 'label' is {labels.dtype} {labels.shape}, expected integers ({len(points)},)"
        )
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DataError(f"{path}: labels must be 0 to {len(CLASSES) - 1}, and at least one cloud be there")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32, copy=False)
    if not np.isfinite(points).all():
        raise DataError(f"{path}: 'data' holds values that are NaN, infinite or too large")
    if spec.replace_near_origin:
        import torch

        from pointlora_cli.ops.near_origin import without_near_origin

        # The official evaluation begins with the first point, wherever it is.
        points = without_near_origin(torch.from_numpy(points), keep_first=True).numpy()
    return LabelledClouds(points, labels.astype(np.int64))
