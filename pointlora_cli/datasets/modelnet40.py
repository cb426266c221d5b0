"""ModelNet40 (CVPR 2015), from the field's processed files or from the raw tree of text files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.catalog.cache import cached_folder
from pointlora_cli.catalog.settings import current_settings
from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.compact import load_or_build
from pointlora_cli.datasets.modelnet40_processed import PROCESSED_FILES, read_processed
from pointlora_cli.datasets.modelnet40_raw import LISTS, TREE, RawTree
from pointlora_cli.datasets.progress import DataListener, reporter, unheard
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import ModelNet40Data

CLASSES = (
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone",
    "cup", "curtain", "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp",
    "laptop", "mantel", "monitor", "night_stand", "person", "piano", "plant", "radio", "range_hood", "sink",
    "sofa", "stairs", "stool", "table", "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox",
)  # fmt: skip
"""The forty classes; the place of a name is its label."""

Files = Literal["auto", "processed", "raw"]
Floats = NDArray[np.float32]
_Build = Callable[[DataListener], Mapping[str, NDArray[Any]]]

_VERSION = 1  # of the conversion: another one makes other arrays of the same files
_CHUNK = 8  # clouds that are normalised at a time; they fit into the processor's cache


@dataclass(frozen=True)
class Stored:
    """All shapes as they are stored: 8,192 points each, neither centred nor scaled."""

    train_points: Floats  # (n, 8192, 3)
    train_labels: NDArray[np.int64]  # (n,)
    test_points: Floats  # (m, 8192, 3)
    test_labels: NDArray[np.int64]  # (m,)
    identity: Mapping[str, str | int]  # of the files that they come from
    notices: tuple[str, ...] = ()  # what a person should know of the files


@dataclass(frozen=True)
class _Source:
    """Where the shapes are read from."""

    folder: Path
    is_raw: bool


def require_modelnet40(spec: ModelNet40Data) -> None:
    """Raise what `load_modelnet40` would raise for missing files, without reading any of them.

    Raises:
        DataError: what is missing, and how to get it.
    """
    _find(spec.root, spec.files)


def load_modelnet40(spec: ModelNet40Data, listen: DataListener = unheard) -> ClassificationData:
    """Read both splits, each cloud in its unit sphere.

    Training clouds keep all 8,192 stored points, of which each step draws some; test clouds are thinned to
    `spec.points` by farthest-point sampling from the first, as the official evaluation does. With all 8,192
    test clouds stay as they are. What is converted is kept, as long as no file changes.

    Raises:
        DataError: files are missing, or do not hold what was published.
        IntegrityError: a processed file would run code.
    """
    stored = load_stored(spec.root, spec.files, listen)
    test, notices = _thinned_test(stored, spec, listen)
    normalized(stored.train_points, out=stored.train_points)
    return ClassificationData(
        CLASSES,
        LabelledClouds(stored.train_points, stored.train_labels),
        LabelledClouds(test, stored.test_labels),
        tuple(dict.fromkeys(stored.notices + notices)),
    )


def load_stored(root: str | None, files: Files = "auto", listen: DataListener = unheard) -> Stored:
    """Read all shapes; they are converted once, and kept under the cache's folder.

    Args:
        root: the folder that holds the processed files or the raw tree, or the tree itself; None: what
            `pointlora download` fetched.
        files: which of the two to read; auto: the processed files where they are there.
        listen: told how far a conversion is.

    Raises:
        DataError: files are missing, or do not hold what was published.
        IntegrityError: a processed file would run code.
    """
    identity, build = _opened(root, files)
    arrays, notices = load_or_build(_converted(), "modelnet40", identity, lambda: build(listen))
    return Stored(**arrays, identity=identity, notices=notices)


def stored_identity(root: str | None, files: Files = "auto") -> Mapping[str, str | int]:
    """The identity of what `load_stored` would give, without reading any shape.

    Raises:
        DataError: files are missing, or do not hold what was published.
        IntegrityError: a list of the raw tree names a path outside it.
    """
    return _opened(root, files)[0]


def _opened(root: str | None, files: Files) -> tuple[dict[str, str | int], _Build]:
    """The identity of the files, and what makes arrays of them."""
    source = _find(root, files)
    identity: dict[str, str | int] = {"version": _VERSION}
    if source.is_raw:
        tree = RawTree(source.folder, CLASSES)
        return {**identity, "files": tree.identity}, tree.convert
    train, test = (source.folder / name for name in PROCESSED_FILES)
    for path in (train, test):
        status = path.stat()
        identity[path.name] = f"{status.st_size} bytes of {status.st_mtime_ns}"
    return identity, lambda listen: read_processed(train, test, len(CLASSES), listen)


def normalized(points: Floats, out: Floats | None = None) -> Floats:
    """Clouds (n, S, 3) less their mean, over their largest norm; computed in double precision.

    A cloud whose points are all equal ends at the origin.

    Args:
        points: (n, S, 3).
        out: where to write them; may be `points`. None: a new array.

    Returns:
        (n, S, 3).
    """
    result = np.empty_like(points) if out is None else out
    for start in range(0, len(points), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        planes = points[chunk].transpose(0, 2, 1).astype(np.float64, order="C")  # (n, 3, S)
        planes -= planes.mean(axis=2, keepdims=True)
        x, y, z = planes[:, 0], planes[:, 1], planes[:, 2]
        largest = np.sqrt((x * x + y * y + z * z).max(axis=1))
        planes /= np.where(largest > 0, largest, 1)[:, None, None]
        result[chunk] = planes.transpose(0, 2, 1)
    return result


def _thinned_test(
    stored: Stored, spec: ModelNet40Data, listen: DataListener
) -> tuple[Floats, tuple[str, ...]]:
    """The normalised test clouds (m, P, 3), kept for the next time where that took work."""

    def build() -> dict[str, Floats]:
        total = len(stored.test_points)
        report = reporter("sampling ModelNet40 (test)", total, listen)
        clouds = normalized(stored.test_points)
        thinned = thin(clouds, spec.points, skip_near_origin=spec.skip_near_origin, report=report)
        return {"points": thinned}

    if spec.points == stored.test_points.shape[1] and not spec.skip_near_origin:
        return build()["points"], ()
    key = {**stored.identity, "points": spec.points, "skip_near_origin": spec.skip_near_origin}
    arrays, notices = load_or_build(_converted(), "modelnet40-test", key, build)
    return arrays["points"], notices


def _converted() -> Path:
    return current_settings().home / "converted"


def _find(root: str | None, files: Files) -> _Source:
    """The folder of the processed files or of the raw tree.

    Raises:
        DataError: what is missing, and how to get it.
    """
    if root is None:
        settings = current_settings()
        entries = {"auto": ("modelnet40", "modelnet40-raw"), "processed": ("modelnet40",)}
        cached = [cached_folder(entry, settings) for entry in entries.get(files, ("modelnet40-raw",))]
        folders = [folder for folder in cached if folder is not None]
        where = "the cache of downloads"
    else:
        folders = [Path(root).expanduser()]
        where = str(folders[0])
    missing = []
    for is_raw, names in ((False, PROCESSED_FILES), (True, LISTS)):
        if files == ("processed" if is_raw else "raw"):
            continue
        for folder in [place for given in folders for place in (given, given / TREE)]:
            absent = [name for name in names if not (folder / name).is_file()]
            if not absent:
                return _Source(folder, is_raw)
            if len(absent) < len(names):
                missing.append(f"{folder} lacks {' and '.join(absent)}")
    expected = {"processed": " and ".join(PROCESSED_FILES), "raw": f"{TREE}/ with its three lists"}
    kinds = ["processed", "raw"] if files == "auto" else [files]
    reason = "; ".join(missing) or f"{where} holds no {', nor '.join(expected[kind] for kind in kinds)}"
    entry = "modelnet40-raw" if files == "raw" else "modelnet40"
    raise DataError(
        f"ModelNet40 is not there: {reason}",
        remedy=f"Run: pointlora download {entry}, or give the folder that holds it with --set data.root=PATH",
    )
