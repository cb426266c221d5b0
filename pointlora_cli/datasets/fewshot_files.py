"""The published few-shot episodes of ModelNet40: pickles of {"train": [...], "test": [...]}."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.catalog.cache import cached_folder
from pointlora_cli.catalog.settings import current_settings
from pointlora_cli.clouds.files import shown
from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.episodes import QUERIES
from pointlora_cli.datasets.modelnet40 import CLASSES
from pointlora_cli.datasets.pickles import load_plain_pickle
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import FewShotData

STORED_POINTS = 8192
_COLUMNS = 6  # x y z and a normal
_MOST_CLOUDS = 4000  # in a split; a small pickle can hold one array any number of times
_FOLDER = "ModelNetFewshot"
_REMEDY = (
    "Fetch the published folder by hand (`pointlora download modelnet40-fewshot` says where it is), then run: "
    "pointlora download modelnet40-fewshot --from-dir DIR; or draw episodes from ModelNet40 with "
    "--set data.episodes=generated"
)


class Episode(NamedTuple):
    """An episode with all its stored points."""

    classes: tuple[int, ...]  # ModelNet40's label of each new one
    train: LabelledClouds  # (n, 8192, 3), as stored
    test: LabelledClouds
    notices: tuple[str, ...]


class _Part(NamedTuple):
    clouds: LabelledClouds
    originals: NDArray[np.int64]  # (n,) ModelNet40's labels


def find_episode(spec: FewShotData) -> Path:
    """The file of the spec's episode, in either spelling of its folder.

    Raises:
        DataError: it is not there, and how to get it.
    """
    file = f"{spec.fold}.pkl"
    spellings = [f"{spec.way}way{between}{spec.shot}shot" for between in ("_", "")]
    if spec.root is None:
        root = cached_folder("modelnet40-fewshot", current_settings())
        if root is None:
            raise DataError(f"few-shot episode {spellings[0]}/{file} is not downloaded", remedy=_REMEDY)
    else:
        root = Path(spec.root).expanduser()
    for folder in (root, root / _FOLDER):
        for spelling in spellings:
            if (folder / spelling / file).is_file():
                return folder / spelling / file
    raise DataError(
        f"{shown(root)}: no few-shot episode {spellings[0]}/{file} or {spellings[1]}/{file}, "
        f"there or in {_FOLDER}/",
        remedy=_REMEDY,
    )


def read_episode(path: Path, way: int, shot: int) -> Episode:
    """Read and check a published episode.

    Raises:
        DataError: the file is damaged or laid out otherwise; it names the item.
        IntegrityError: it asks for objects that could run code; nothing was run.
    """
    content = load_plain_pickle(path, what="a few-shot episode")
    if not isinstance(content, dict) or not {"train", "test"} <= content.keys():
        raise DataError(f"{shown(path)}: not a dictionary with 'train' and 'test'", remedy=_REMEDY)
    train, test = (_read_part(path, split, content[split], way) for split in ("train", "test"))
    classes = _original_classes(path, train, test, way)
    notices = []
    for split, part, each in (("training", train, shot), ("test", test, QUERIES)):
        if len(part.clouds) != way * each:
            notices.append(
                f"{shown(path)}: {len(part.clouds)} {split} clouds; {way} classes of {each} make {way * each}"
            )
    return Episode(classes, train.clouds, test.clouds, tuple(notices))


def _read_part(path: Path, split: str, items: object, way: int) -> _Part:
    if not isinstance(items, list | tuple) or not items:
        raise DataError(f"{shown(path)}: '{split}' is no list of clouds", remedy=_REMEDY)
    if len(items) > _MOST_CLOUDS:
        raise DataError(f"{shown(path)}: '{split}' holds {len(items):,} clouds, far too many", remedy=_REMEDY)
    points, labels, originals = [], [], []
    for place, item in enumerate(items):
        where = f"{shown(path)}: '{split}' item {place}"
        if not isinstance(item, list | tuple) or len(item) != 3:
            raise DataError(f"{where}: not (points, label, ModelNet40's label)", remedy=_REMEDY)
        points.append(_points(item[0], where))
        labels.append(_label(item[1], way, f"{where}: its label"))
        originals.append(_label(item[2], len(CLASSES), f"{where}: its label in ModelNet40"))
    clouds = LabelledClouds(np.stack(points), np.array(labels, dtype=np.int64))
    return _Part(clouds, np.array(originals, dtype=np.int64))


def _points(array: object, where: str) -> NDArray[np.float32]:
    if (
        not isinstance(array, np.ndarray)
        or array.dtype.kind != "f"
        or array.shape != (STORED_POINTS, _COLUMNS)
    ):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{where}: {found}, expected floats ({STORED_POINTS}, {_COLUMNS})", remedy=_REMEDY)
    with np.errstate(over="ignore"):
        points = array[:, :3].astype(np.float32)
    if not np.isfinite(points).all():
        raise DataError(f"{where}: values that are NaN, infinite or too large", remedy=_REMEDY)
    return points


def _label(value: object, end: int, what: str) -> int:
    """A whole number from 0 up to, and without, `end`, alone or as an array of one."""
    if isinstance(value, int | float | np.integer | np.floating | np.ndarray) and not isinstance(value, bool):
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "iuf":
            number = array.reshape(()).item()
            if 0 <= number < end and number == int(number):
                return int(number)
    raise DataError(f"{what} is not a whole number from 0 to {end - 1}", remedy=_REMEDY)


def _original_classes(path: Path, train: _Part, test: _Part, way: int) -> tuple[int, ...]:
    """ModelNet40's label of each new one."""
    found: dict[int, int] = {}
    for split, part in (("train", train), ("test", test)):
        for place, (label, original) in enumerate(
            zip(part.clouds.labels.tolist(), part.originals.tolist(), strict=True)
        ):
            if found.setdefault(label, original) != original:
                raise DataError(
                    f"{shown(path)}: '{split}' item {place}: label {label} is {CLASSES[original]} here and "
                    f"{CLASSES[found[label]]} before",
                    remedy=_REMEDY,
                )
    missing = [label for label in range(way) if label not in train.clouds.labels]
    if missing:
        raise DataError(f"{shown(path)}: no training cloud of label {missing[0]}", remedy=_REMEDY)
    if len(set(found.values())) < way:
        raise DataError(f"{shown(path)}: two labels are the same class of ModelNet40", remedy=_REMEDY)
    return tuple(found[label] for label in range(way))
