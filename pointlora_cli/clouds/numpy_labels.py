"""NPY and NPZ with labels: in a column or a field of the points, or in an array beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import cloud_error, quoted
from pointlora_cli.clouds.label_names import AUTO, LAST, LabelledRows, find_label, is_label_name, label_column
from pointlora_cli.clouds.numpy_files import (
    choose_points,
    geometry_of,
    load_member,
    load_point_array,
    opened_archive,
)

_NUMBERS = "fiub"


def read_labelled_npy(path: Path, label: str) -> LabelledRows:
    """Reads an array (N, 4) or (N, 7) whose last column is the label, or a structured one with a field of labels.

    Raises:
        CloudError: as `read_npy`, or there are no labels in it.
    """
    return _rows(path, load_point_array(path), label)


def read_labelled_npz(path: Path, label: str) -> LabelledRows:
    """Reads the points of an NPZ with the array of labels beside them; where there is none, as `read_labelled_npy`.

    Raises:
        CloudError: as `read_npz`, or there are no labels in it.
    """
    with opened_archive(path) as archive:
        chosen = choose_points(path, archive)
        points = load_member(path, archive, chosen)
        others = [name for name in archive.namelist() if name.endswith(".npy") and name != chosen]
        names = [name.removesuffix(".npy") for name in others]
        if (
            label == LAST
            or points.dtype.names
            or (label == AUTO and not any(is_label_name(name) for name in names))
        ):
            return _rows(path, points, label)
        found, warnings = find_label(path, label, names, "array")
        values = load_member(path, archive, others[found])
    geometry = geometry_of(points)
    return LabelledRows(
        geometry.vertices,
        _beside(path, values, names[found], len(geometry.vertices)),
        f"the array {quoted(names[found])}",
        geometry.warnings + warnings,
    )


def _beside(path: Path, values: NDArray[np.generic], name: str, count: int) -> NDArray[np.float64]:
    """The labels (count,) of an array of their own."""
    if (
        values.dtype.kind not in _NUMBERS
        or values.dtype.subdtype
        or values.size != max(values.shape, default=0)
    ):
        problem = (
            f"the array {quoted(name)} holds {values.dtype} of the shape {values.shape}, not (N,) labels"
        )
        raise cloud_error(path, problem, "save one whole number for each point")
    if values.size != count:
        problem = f"the array {quoted(name)} holds {values.size:,} labels of {count:,} points"
        raise cloud_error(path, problem, "save one whole number for each point")
    return values.reshape(-1).astype(np.float64)


def _rows(path: Path, array: NDArray[np.generic], label: str) -> LabelledRows:
    geometry = geometry_of(array)
    if array.dtype.names:
        table: NDArray[Any] = array.reshape(-1)
        fields = [
            name for name in array.dtype.names if table[name].ndim == 1 and table[name].dtype.kind in _NUMBERS
        ]
        found, warnings = find_label(path, label, fields, "field")
        values = table[fields[found]].astype(np.float64)
        return LabelledRows(geometry.vertices, values, f"the field {quoted(fields[found])}", warnings)
    rows: NDArray[Any] = array.reshape(-1, int(array.shape[-1]))
    if len(rows) != len(geometry.vertices):
        raise cloud_error(path, f"the array is {rows.shape}, points in columns: no place for labels")
    column, warnings = label_column(path, label, (), rows.shape[1])
    return LabelledRows(
        geometry.vertices,
        rows[:, column].astype(np.float64),
        f"column {column + 1}",
        geometry.warnings + warnings,
    )
