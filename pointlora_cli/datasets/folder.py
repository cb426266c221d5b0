"""A folder of clouds: root/<class>/<file>, or root/train|test/<class>/<file>."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.labelled import has_place_for_labels, read_labelled
from pointlora_cli.clouds.reading import is_readable, read
from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.folder_listing import (
    Listing,
    Splits,
    clouds_in,
    list_by_folder,
    list_splits,
    prepared_all,
    summary,
)
from pointlora_cli.datasets.resampling import resample
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.errors import CloudError, DataError
from pointlora_cli.specs.data import FolderData

_REMEDY = (
    "Arrange the clouds as root/<class>/<file>, with train/ and test/ above the classes if you have a split."
)


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
    return _class_names(spec.root, _list_splits(spec.root).listings)


def folder_files(spec: FolderData) -> list[Path]:
    """All clouds of the folder.

    Raises:
        DataError: the folder is missing or laid out otherwise.
    """
    return _list_splits(spec.root).paths


def load_folder(spec: FolderData) -> ClassificationData:
    """Read and resample every cloud of the folder.

    A file that cannot be read is left out, with a notice that names it.

    Raises:
        DataError: the folder is missing or laid out otherwise, or a class has no readable cloud.
    """
    splits = _list_splits(spec.root)
    train, test, whole = splits.train, splits.test, splits.whole
    classes = _class_names(spec.root, splits.listings)
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
    return ClassificationData(classes, train_clouds, test_clouds, (*splits.notices, *notices))


def load_labelled_folder(
    spec: FolderData, classes: tuple[str, ...]
) -> tuple[LabelledClouds, tuple[str, ...]]:
    """Read a folder to evaluate on: its test/ part, or the whole of it where it is not split.

    Returns:
        the clouds, labelled as in `classes`, and notices.

    Raises:
        DataError: the folder is missing or laid out otherwise, or holds a class that is not in `classes`.
    """
    splits = _list_splits(spec.root)
    listing = splits.test or splits.whole
    assert listing is not None  # there is one or the other
    unknown = sorted(set(listing.files) - set(classes))
    if unknown:
        raise DataError(
            f"{spec.root}: holds classes that the model does not know: {', '.join(unknown)}",
            remedy=f"The model knows {', '.join(classes)}.",
        )
    loaded = _load(listing, classes, spec)
    return loaded.clouds, tuple(loaded.notices)


def _class_names(root: str, listings: Sequence[Listing]) -> tuple[str, ...]:
    classes = sorted({name for listing in listings for name in listing.files})
    if len(classes) < 2:
        notices = [notice for listing in listings for notice in listing.notices]
        found = f"{root}: found {len(classes)} class folders with clouds, need at least 2"
        raise DataError("; ".join([found, *notices]), remedy=_REMEDY + _hint(listings))
    return tuple(classes)


def _hint(listings: Sequence[Listing]) -> str:
    """What else the clouds may be meant for, where they lie in no class folders."""
    for listing in listings:
        for path in clouds_in(listing.root, has_place_for_labels)[0][:1]:
            with suppress(CloudError):
                read_labelled(path)
                return " They have labels at their points: to learn those, give --preset segmentation-folder."
    return ""


def _list_splits(root: str) -> Splits:
    return list_splits(
        Path(root).expanduser(), lambda folder: list_by_folder(folder, is_readable), remedy=_REMEDY
    )


def _load(listing: Listing, classes: Sequence[str], spec: FolderData) -> _Loaded:
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
    notices = [*summary("left out", unreadable), *summary("repaired", repaired)]
    if listing.ignored:
        notices.append(
            f"{listing.root}: {listing.ignored} files in class folders are no clouds and were ignored"
        )
    notices += listing.notices
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

    return prepared_all(paths, prepare)
