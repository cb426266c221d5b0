"""A folder of clouds: root/<class>/<file>, or root/train|test/<class>/<file>."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.reading import is_readable, read
from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.resampling import resample
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.errors import CloudError, DataError
from pointlora_cli.specs.data import FolderData

_REMEDY = (
    "Arrange the clouds as root/<class>/<file>, with train/ and test/ above the classes if you have a split."
)
_NAMED = 5  # files named in one message


class _Listing(NamedTuple):
    """The cloud files of one split, by class."""

    root: Path
    files: dict[str, list[Path]]
    ignored: int  # files in class folders that are no clouds


class _Loaded(NamedTuple):
    """The readable clouds of one split."""

    clouds: LabelledClouds
    names: list[str]  # of their files, for the split
    notices: list[str]


def list_folder_classes(spec: FolderData) -> tuple[str, ...]:
    """The class names, sorted; no cloud is read.

    Raises:
        DataError: the folder is missing or laid out otherwise.
    """
    return _class_names(
        spec.root, [listing for listing in _list_splits(Path(spec.root).expanduser()) if listing]
    )


def load_folder(spec: FolderData) -> ClassificationData:
    """Read and resample every cloud of the folder.

    A file that cannot be read is left out, with a notice that names it.

    Raises:
        DataError: the folder is missing or laid out otherwise, or a class has no readable cloud.
    """
    train, test, whole = _list_splits(Path(spec.root).expanduser())
    classes = _class_names(spec.root, [listing for listing in (train, test, whole) if listing])
    if whole is not None:
        loaded = _load(whole, classes, spec)
        notices = loaded.notices
        rest, held_out = stratified_split(
            loaded.clouds.labels, spec.test_fraction, spec.split_seed, loaded.names
        )
        train_clouds, test_clouds = loaded.clouds.subset(rest), loaded.clouds.subset(held_out)
        notices.append(
            f"{spec.root} has no test/ folder: {len(test_clouds)} of {len(loaded.clouds)} clouds are held "
            f"out for testing, class by class (data.split_seed {spec.split_seed})"
        )
    else:
        assert train is not None and test is not None  # there is no whole, so there are both
        loaded_train, loaded_test = _load(train, classes, spec), _load(test, classes, spec)
        train_clouds, test_clouds = loaded_train.clouds, loaded_test.clouds
        notices = loaded_train.notices + loaded_test.notices
    missing = [name for index, name in enumerate(classes) if index not in train_clouds.labels]
    if missing:
        raise DataError(
            f"{spec.root}: no readable training cloud of class {', '.join(missing)}", remedy=_REMEDY
        )
    return ClassificationData(classes, train_clouds, test_clouds, tuple(notices))


def load_labelled_folder(
    spec: FolderData, classes: tuple[str, ...]
) -> tuple[LabelledClouds, tuple[str, ...]]:
    """Read a folder to evaluate on: its test/ part, or the whole of it where it is not split.

    Returns:
        the clouds, labelled as in `classes`, and notices.

    Raises:
        DataError: the folder is missing or laid out otherwise, or holds a class that is not in `classes`.
    """
    _, test, whole = _list_splits(Path(spec.root).expanduser())
    listing = test or whole
    assert listing is not None  # there is one or the other
    unknown = sorted(set(listing.files) - set(classes))
    if unknown:
        raise DataError(
            f"{spec.root}: holds classes that the model does not know: {', '.join(unknown)}",
            remedy=f"The model knows {', '.join(classes)}.",
        )
    loaded = _load(listing, classes, spec)
    return loaded.clouds, tuple(loaded.notices)


def _class_names(root: str, listings: Sequence[_Listing]) -> tuple[str, ...]:
    classes = sorted({name for listing in listings for name in listing.files})
    if len(classes) < 2:
        raise DataError(
            f"{root}: found {len(classes)} class folders with clouds, need at least 2", remedy=_REMEDY
        )
    return tuple(classes)


def _list_splits(root: Path) -> tuple[_Listing | None, _Listing | None, _Listing | None]:
    """(train, test, None) where the folder has both, else (None, None, the whole)."""
    if not root.exists():
        raise DataError(f"{root}: no such folder", remedy="Check the path given with --data or data.root.")
    if not root.is_dir():
        raise DataError(f"{root}: a file, not a folder", remedy=_REMEDY)
    has = {name: (root / name).is_dir() for name in ("train", "test")}
    if all(has.values()):
        return _list_classes(root / "train"), _list_classes(root / "test"), None
    if any(has.values()):
        there, lacking = ("train", "test") if has["train"] else ("test", "train")
        raise DataError(f"{root}: has a {there}/ folder but no {lacking}/ folder", remedy=_REMEDY)
    return None, None, _list_classes(root)


def _list_classes(root: Path) -> _Listing:
    files: dict[str, list[Path]] = {}
    ignored = 0
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        for folder in folders:
            there = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
            clouds = [path for path in there if is_readable(path)]
            ignored += len(there) - len(clouds)
            if clouds:
                files[folder.name] = clouds
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be listed: {error.strerror}") from error
    return _Listing(root, files, ignored)


def _load(listing: _Listing, classes: Sequence[str], spec: FolderData) -> _Loaded:
    files = [(label, path) for label, name in enumerate(classes) for path in listing.files.get(name, [])]
    if not files:
        raise DataError(f"{listing.root}: no class folder with clouds", remedy=_REMEDY)
    prepared = _prepare_all([path for _, path in files], spec)
    unreadable, repaired, good, points = [], [], [], []
    for (label, path), (cloud, messages) in zip(files, prepared, strict=True):
        if cloud is None:
            unreadable.append(messages[0])
            continue
        good.append((label, path.name))
        points.append(cloud)
        if messages:
            repaired.append(f"{path}: {'; '.join(messages)}")
    if not points:
        raise DataError(f"{listing.root}: none of {len(files)} files could be read: {unreadable[0]}")
    notices = [*_summary("left out", unreadable), *_summary("repaired", repaired)]
    if listing.ignored:
        notices.append(
            f"{listing.root}: {listing.ignored} files in class folders are no clouds and were ignored"
        )
    labels = np.array([label for label, _ in good], dtype=np.int64)
    return _Loaded(LabelledClouds(np.stack(points), labels), [name for _, name in good], notices)


def _prepare_all(
    paths: Sequence[Path], spec: FolderData
) -> list[tuple[NDArray[np.float32] | None, tuple[str, ...]]]:
    """Each file's cloud (P, 3) and what was repaired; None and the reason where it cannot be read."""

    def prepare(path: Path) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
        try:
            cloud = read(path)
        except CloudError as error:
            return None, (error.message,)
        return resample(cloud, spec.points, spec.normalize), cloud.warnings

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            return list(pool.map(prepare, paths))
        except BaseException:  # Ctrl-C waits for the files being read, not for all
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _summary(what: str, messages: list[str]) -> list[str]:
    shown = [f"{what}: {message}" for message in messages[:_NAMED]]
    if len(messages) > _NAMED:
        shown.append(f"{what}: {len(messages) - _NAMED} more files")
    return shown
