"""Point clouds whose file holds a label of each point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.cloud import PointCloud, from_coordinates
from pointlora_cli.clouds.files import checked_size, cloud_error, system_errors
from pointlora_cli.clouds.label_names import AUTO, whole_labels
from pointlora_cli.clouds.reading import LABELLED_SUFFIXES, find_format


def has_place_for_labels(path: Path | str) -> bool:
    """Whether the name ends like a file that `read_labelled` understands, in any case; the file is not opened."""
    return Path(path).suffix.lower() in LABELLED_SUFFIXES


def read_labelled(path: Path | str, label: str = AUTO) -> tuple[PointCloud, NDArray[np.int64]]:
    """Reads a point cloud with a label of each point.

    The labels are a property of a PLY's vertices, a field of a PCD, the classification of LAS or LAZ, an array
    or field of NPZ or NPY, or a named column of text. Text and arrays whose columns have no names hold them in
    the last of 4 columns (x y z label) or 7 (with a normal or a color between).

    Args:
        path: PLY, PCD, LAS, LAZ, NPY, NPZ, XYZ, TXT, PTS, CSV or ASC.
        label: "auto" for the usual names, the name of what holds the labels, or "last" for the last column.

    Returns:
        The cloud, as `read` gives it, and labels (N,) of the points kept.

    Raises:
        CloudError: the path or the content cannot be used, there are no labels, or one is not a whole number;
            the message begins with the path.
    """
    path = Path(path)
    with system_errors(path), np.errstate(all="ignore"):
        checked_size(path)
        form, warnings = find_format(path)
        if form.read_labelled is None:
            problem = f"is {form.name}, a mesh, which has no labels at points"
            raise cloud_error(path, problem, "save labelled points, as PLY for example")
        rows = form.read_labelled(path, label)
        cloud = from_coordinates(rows.coordinates, path, warnings + rows.warnings)
        kept = np.isfinite(rows.coordinates).all(axis=1)
        return cloud, whole_labels(path, rows.values[kept], rows.place)
