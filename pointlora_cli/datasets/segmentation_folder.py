"""A folder of clouds with a label at each point, by category, split or not.

root/<category>/<file>, or root/train|test/<category>/<file>; without folders of categories, root/<file> or
root/train|test/<file>. A part is a label of a category: the same label in two categories is two parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.labelled import read_labelled
from pointlora_cli.datasets.folder_listing import (
    Listing,
    Splits,
    prepared_all,
    summary,
)
from pointlora_cli.datasets.label_oddities import LAS_SUFFIXES, CloudLabels, odd_labels, remedy_of_count
from pointlora_cli.datasets.part_segmentation import PartClouds, PartSegmentationData, part_name
from pointlora_cli.datasets.part_vocabulary import MOST_PARTS, PartVocabulary
from pointlora_cli.datasets.progress import DataListener, DataProgress, unheard
from pointlora_cli.datasets.resampling import canonical_rows, frame_of
from pointlora_cli.datasets.segmentation_listing import (
    REMEDY,
    category_names,
    list_labelled_splits,
    listed,
    require_known,
)
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.errors import CloudError, DataError
from pointlora_cli.specs.data import SegmentationFolderData

_MOST_POINTS = 100_000  # kept of a cloud: more than any step draws, and 1.3 MB
_MANY = 100  # clouds from which on it is told how far the reading is


class _Cloud(NamedTuple):
    """A readable cloud."""

    points: NDArray[np.float32]  # (N, 3) in its frame
    labels: NDArray[np.int64]  # (N,) as in the file
    is_las: bool  # the labels are LAS classes
    notices: tuple[str, ...]


class _Loaded(NamedTuple):
    """The readable clouds of one split."""

    clouds: list[_Cloud]
    category: NDArray[np.int64]  # (n,)
    names: list[str]  # of their files, for the split
    notices: list[str]


def require_segmentation_folder(spec: SegmentationFolderData) -> None:
    """Raise what `load_segmentation_folder` would raise for another layout; of each category one cloud is read.

    Raises:
        DataError: the folder is missing or laid out otherwise, holds too few clouds, or a category has no
            cloud that can be read with its labels.
    """
    splits = list_labelled_splits(spec.root)
    categories = category_names(splits)
    if splits.whole is not None:
        _require_test_clouds(spec.root, max(map(len, splits.whole.files.values())) - 1)
    listing = splits.train or splits.whole
    assert listing is not None  # a folder is split or it is not
    for name in categories:
        _require_readable(listing.root, name, listing.files[name], spec)


def segmentation_files(spec: SegmentationFolderData) -> list[Path]:
    """All clouds of the folder.

    Raises:
        DataError: the folder is missing or laid out otherwise.
    """
    return list_labelled_splits(spec.root).paths


def load_segmentation_folder(
    spec: SegmentationFolderData, listen: DataListener = unheard
) -> PartSegmentationData:
    """Read every cloud of the folder, each in the frame of all its points.

    Of a cloud of more than 100,000 points, so many are kept, evenly. A file that cannot be read, or has no
    labels, is left out with a notice that names it.

    Raises:
        DataError: the folder is missing or laid out otherwise, a category has no readable training cloud,
            nothing is left to test on, or there are fewer than 2 parts or more than 255.
    """
    splits = list_labelled_splits(spec.root)
    categories = category_names(splits)
    train, test = _train_and_test(spec, splits, categories, listen)
    missing = [name for index, name in enumerate(categories) if index not in train.category]
    if missing:
        raise DataError(
            f"{spec.root}: no readable training cloud of category {', '.join(missing)}", remedy=REMEDY
        )
    _require_test_clouds(spec.root, len(test.clouds))
    vocabulary = _vocabulary(spec, categories, [train, test])
    trained = _vocabulary(spec, categories, [train])
    notices = [*splits.notices, *train.notices, *test.notices]
    notices += _part_notices(spec.root, vocabulary, trained)
    notices += odd_labels(spec.root, categories, _label_sets(categories, [train, test]))
    return PartSegmentationData(
        categories,
        vocabulary.parts,
        trainval=_part_clouds(train, vocabulary),
        train_count=len(train.clouds),
        test=_part_clouds(test, vocabulary),
        notices=tuple(notices),
        part_names=vocabulary.names,
    )


def folder_outputs(spec: SegmentationFolderData) -> tuple[int, int]:
    """How many parts and categories the folder has; the labels are in the clouds, so all of them are read.

    Raises:
        DataError: as `load_segmentation_folder`.
    """
    data = load_segmentation_folder(spec)
    return data.part_count, len(data.categories)


def load_labelled_clouds(
    spec: SegmentationFolderData, vocabulary: PartVocabulary, listen: DataListener = unheard
) -> tuple[PartClouds, tuple[str, ...]]:
    """Read a folder to evaluate on: its test/ part, or the whole of it where it is not split.

    Returns:
        the clouds, with the parts of `vocabulary`, and notices.

    Raises:
        DataError: the folder is missing or laid out otherwise, or holds a category or a label that the
            vocabulary does not have.
    """
    splits = list_labelled_splits(spec.root)
    listing = splits.test or splits.whole
    assert listing is not None  # there is one or the other
    require_known(listing, vocabulary.categories)
    loaded = _load(listing, vocabulary.categories, spec, listen)
    strange = {
        part_name(vocabulary.categories[index], label)
        for index, cloud in zip(loaded.category, loaded.clouds, strict=True)
        for label in vocabulary.unknown(int(index), cloud.labels)
    }
    if strange:
        raise DataError(
            f"{spec.root}: holds labels that the model does not know: {listed(sorted(strange))}",
            remedy=f"The model knows {listed(vocabulary.names)}.",
        )
    return _part_clouds(loaded, vocabulary), tuple(loaded.notices)


def _require_test_clouds(root: str, count: int) -> None:
    if count < 1:
        raise DataError(
            f"{root}: nothing is left to test on: some category needs at least 2 clouds", remedy=REMEDY
        )


def _require_readable(root: Path, category: str, paths: Sequence[Path], spec: SegmentationFolderData) -> None:
    """Read clouds up to the first that can be read."""
    errors = []
    for path in paths:
        try:
            read_labelled(path, spec.label)
        except CloudError as error:
            errors.append(error)
        else:
            return
    raise DataError(
        f"{root}: no readable training cloud of category {category}: {errors[0].message}", errors[0].remedy
    )


def _train_and_test(
    spec: SegmentationFolderData, splits: Splits, categories: Sequence[str], listen: DataListener
) -> tuple[_Loaded, _Loaded]:
    if splits.train is not None and splits.test is not None:
        return _load(splits.train, categories, spec, listen), _load(splits.test, categories, spec, listen)
    assert splits.whole is not None  # a folder is split or it is not
    loaded = _load(splits.whole, categories, spec, listen)
    rest, held_out = stratified_split(loaded.category, spec.test_fraction, spec.split_seed, loaded.names)
    said = (
        f"{spec.root} has no test/ folder: {len(held_out)} of {len(loaded.clouds)} clouds are held out for "
        f"testing, category by category (data.split_seed {spec.split_seed})"
    )
    train, test = (
        _Loaded([loaded.clouds[i] for i in rows], loaded.category[rows], [], []) for rows in (rest, held_out)
    )
    return train._replace(notices=[*loaded.notices, said]), test


def _load(
    listing: Listing, categories: Sequence[str], spec: SegmentationFolderData, listen: DataListener
) -> _Loaded:
    files = [(index, path) for index, name in enumerate(categories) for path in listing.files.get(name, [])]

    def prepare(path: Path) -> _Cloud | CloudError:
        try:
            return _read(path, spec)
        except CloudError as error:
            return error

    def report(done: int) -> None:
        if len(files) >= _MANY:
            listen(DataProgress(f"reading {listing.root.name or listing.root}", done, len(files)))

    clouds, broken, noticed, readable = [], [], [], []
    prepared = prepared_all([path for _, path in files], prepare, report)
    for (index, path), cloud in zip(files, prepared, strict=True):
        if isinstance(cloud, CloudError):
            broken.append(cloud)
            continue
        clouds.append(cloud)
        readable.append((index, path.name))
        if cloud.notices:
            noticed.append(f"{path}: {'; '.join(cloud.notices)}")
    if not clouds:
        raise DataError(
            f"{listing.root}: none of {len(files)} files could be read: {broken[0].message}", broken[0].remedy
        )
    notices = summary("left out", [error.message for error in broken]) + summary("noticed", noticed)
    if listing.ignored:
        notices.append(f"{listing.root}: {listing.ignored} files are no point clouds and were ignored")
    notices += listing.notices
    category = np.array([index for index, _ in readable], dtype=np.int64)
    return _Loaded(clouds, category, [name for _, name in readable], notices)


def _read(path: Path, spec: SegmentationFolderData) -> _Cloud:
    """A cloud in the frame of all its distinct points, as `predict` places it; thinned where it is very large."""
    cloud, labels = read_labelled(path, spec.label)
    points, notices = cloud.points, cloud.warnings
    rows = canonical_rows(points)
    frame = frame_of(points[rows], cloud.offset, spec.normalize)
    if len(points) > _MOST_POINTS:
        kept = np.sort(rows[:_MOST_POINTS])
        notices += (f"thinned from {len(points):,} to {len(kept):,} points",)
        points, labels = points[kept], labels[kept]
    return _Cloud(frame.place(points), labels, path.suffix.lower() in LAS_SUFFIXES, notices)


def _vocabulary(
    spec: SegmentationFolderData, categories: tuple[str, ...], loaded: Sequence[_Loaded]
) -> PartVocabulary:
    found = _label_sets(categories, loaded)
    labels = tuple(np.unique(np.concatenate([own.labels for own in of_category])) for of_category in found)
    vocabulary = PartVocabulary(categories, labels)
    count = sum(map(len, labels))
    if not 2 <= count <= MOST_PARTS:
        counts = listed([f"{name} {len(own):,}" for name, own in zip(categories, labels, strict=True)])
        problem = f"the points carry {count:,} different labels in all (by category: {counts})"
        raise DataError(
            f"{spec.root}: {problem}; part segmentation takes 2 to {MOST_PARTS} parts",
            remedy=remedy_of_count(found),
        )
    return vocabulary


def _label_sets(categories: Sequence[str], loaded: Sequence[_Loaded]) -> list[list[CloudLabels]]:
    """The labels of each cloud of each category."""
    found: list[list[CloudLabels]] = [[] for _ in categories]
    for split in loaded:
        for index, cloud in zip(split.category, split.clouds, strict=True):
            found[index].append(CloudLabels(np.unique(cloud.labels), cloud.is_las))
    return found


def _part_notices(root: str, vocabulary: PartVocabulary, trained: PartVocabulary) -> list[str]:
    """What is odd about the parts, though it can be trained on."""
    unlearned = sorted(set(vocabulary.names) - set(trained.names))
    notices = []
    if unlearned:
        notices.append(f"{root}: parts only in the test clouds, which cannot be learnt: {listed(unlearned)}")
    single = [
        name
        for name, labels in zip(vocabulary.categories, vocabulary.labels, strict=True)
        if len(labels) == 1
    ]
    if single:
        notices.append(f"{root}: of a single part, so there is nothing to tell apart: {listed(single)}")
    return notices


def _part_clouds(loaded: _Loaded, vocabulary: PartVocabulary) -> PartClouds:
    offsets = np.zeros(len(loaded.clouds) + 1, dtype=np.int64)
    np.cumsum([len(cloud.points) for cloud in loaded.clouds], out=offsets[1:])
    parts = [
        vocabulary.parts_of(int(index), cloud.labels)
        for index, cloud in zip(loaded.category, loaded.clouds, strict=True)
    ]
    points = np.concatenate([cloud.points for cloud in loaded.clouds])
    return PartClouds(points, np.concatenate(parts), offsets, loaded.category)
