"""ModelNet40's processed files: a pickle for each split, [clouds, labels], as Point-BERT published them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import shown
from pointlora_cli.datasets.pickles import load_plain_pickle
from pointlora_cli.datasets.progress import DataListener, DataProgress
from pointlora_cli.errors import DataError

STORED_POINTS = 8192
PROCESSED_FILES = ("modelnet40_train_8192pts_fps.dat", "modelnet40_test_8192pts_fps.dat")

_REMEDY = "Fetch the file again; it should hold a list of clouds (8192, 6) and a list of labels."


def read_processed(train: Path, test: Path, classes: int, listen: DataListener) -> dict[str, NDArray[Any]]:
    """Both files' coordinates, without normals, and labels.

    Args:
        train: the training file.
        test: the test file.
        classes: labels are less than this.
        listen: told how far it is.

    Returns:
        train_points and test_points (n, 8192, 3) float32, train_labels and test_labels (n,) int64.

    Raises:
        DataError: a file does not hold what was published; the first item that is wrong is named.
        IntegrityError: a file would run code.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for done, (split, path) in enumerate((("train", train), ("test", test)), start=1):
        listen(DataProgress("reading ModelNet40", done - 1, 2))
        arrays[f"{split}_points"], arrays[f"{split}_labels"] = _read(path, classes)
        listen(DataProgress("reading ModelNet40", done, 2))
    return arrays


def _read(path: Path, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    content = load_plain_pickle(path, what="a processed ModelNet40 file", keep=_without_normals)
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise _problem(path, "is not a list of clouds and a list of labels")
    clouds, labels = (list(part) if isinstance(part, tuple | np.ndarray) else part for part in content)
    del content
    if not isinstance(clouds, list) or not isinstance(labels, list):
        raise _problem(path, "is not a list of clouds and a list of labels")
    if len(clouds) != len(labels) or not clouds:
        raise _problem(path, f"holds {len(clouds):,} clouds and {len(labels):,} labels")
    points = np.empty((len(clouds), STORED_POINTS, 3), dtype=np.float32)
    for index, cloud in enumerate(clouds):
        problem = _wrong_with(cloud)
        if problem:
            raise _problem(path, f"cloud {index} {problem}")
        points[index] = cloud
        clouds[index] = None  # its memory is free for the next
        if not np.isfinite(points[index]).all():
            raise _problem(path, f"cloud {index} holds values that are NaN or infinite")
    return points, _checked_labels(path, labels, classes)


def _without_normals(array: NDArray[Any]) -> NDArray[Any]:
    """The coordinates of clouds, as soon as they are read: the file is twice as large."""
    if array.ndim in (2, 3) and array.shape[-1] == 6 and array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array[..., :3], dtype=np.float32)
    return array


def _wrong_with(cloud: object) -> str | None:
    if not isinstance(cloud, np.ndarray) or cloud.dtype.kind != "f":
        return f"is {_described(cloud)}, expected an array of floats"
    if cloud.shape != (STORED_POINTS, 3):
        rows = f"has {len(cloud):,} points" if cloud.shape[1:] == (3,) else f"has the shape {cloud.shape}"
        return f"{rows}, expected ({STORED_POINTS}, 6) or ({STORED_POINTS}, 3)"
    return None


def _checked_labels(path: Path, labels: list[Any], classes: int) -> NDArray[np.int64]:
    checked = np.empty(len(labels), dtype=np.int64)
    for index, label in enumerate(labels):
        number = label.item() if isinstance(label, np.ndarray | np.generic) and label.size == 1 else label
        if type(number) is not int or not 0 <= number < classes:
            raise _problem(path, f"label {index} is {_described(label)}, expected 0 to {classes - 1}")
        checked[index] = number
    return checked


def _described(item: object) -> str:
    if isinstance(item, np.ndarray) and item.size != 1:
        return f"an array of {item.dtype} {item.shape}"
    if isinstance(item, int | float | np.generic | np.ndarray):
        return ascii(item.item() if isinstance(item, np.generic | np.ndarray) else item)[:40]
    return f"of type {type(item).__name__}"


def _problem(path: Path, what: str) -> DataError:
    return DataError(f"{shown(path)}: {what}", remedy=_REMEDY)
