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

from pointlora_cli.clouds.labelled import has_place_for_labels, read_labelled
from pointlora_cli.datasets.folder_listing import (
    Listing,
    Splits,
    clouds_in,
    list_by_folder,
    list_splits,
    prepared_all,
    summary,
)
from pointlora_cli.datasets.part_segmentation import PartClouds, PartSegmentationData, part_name
from pointlora_cli.datasets.part_vocabulary import MOST_PARTS, PartVocabulary
from pointlora_cli.datasets.progress import DataListener, DataProgress, unheard
from pointlora_cli.datasets.resampling import canonical_rows, frame_of
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.errors import CloudError, DataError
from pointlora_cli.specs.data import SegmentationFolderData

ONLY_CATEGORY = "object"
"""The category of clouds that lie in no folder of a category."""

_REMEDY = (
    "Arrange the clouds as root/<category>/<file>, or root/<file> where there is one category, "
    "with train/ and test/ above them if you have a split."
)
_MOST_POINTS = 100_000  # kept of a cloud: more than any step draws, and 1.3 MB
_MANY = 100  # clouds from which on it is told how far the reading is
_LISTED = 8  # parts named in one message


class _Cloud(NamedTuple):
    """A readable cloud."""

    points: NDArray[np.float32]  # (N, 3) in its frame
    labels: NDArray[np.int64]  # (N,) as in the file
    notices: tuple[str, ...]


class _Loaded(NamedTuple):
    """The readable clouds of one split."""

    clouds: list[_Cloud]
    category: NDArray[np.int64]  # (n,)
    names: list[str]  # of their files, for the split
    notices: list[str]


def require_segmentation_folder(spec: SegmentationFolderData) -> None:
    """Raise what `load_segmentation_folder` would raise for another layout; no cloud is read.

    Raises:
        DataError: the folder is missing or laid out otherwise.
    """
    _category_names(_list_splits(spec.root))


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
    splits = _list_splits(spec.root)
    categories = _category_names(splits)
    train, test = _train_and_test(spec, splits, categories, listen)
    missing = [name for index, name in enumerate(categories) if index not in train.category]
    if missing:
        raise DataError(
            f"{spec.root}: no readable training cloud of category {', '.join(missing)}", remedy=_REMEDY
        )
    if not test.clouds:
        raise DataError(
            f"{spec.root}: nothing is left to test on: some category needs at least 2 clouds", remedy=_REMEDY
        )
    vocabulary = _vocabulary(spec, categories, [train, test])
    trained = _vocabulary(spec, categories, [train])
    notices = [*train.notices, *test.notices, *_part_notices(spec.root, vocabulary, trained)]
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
    splits = _list_splits(spec.root)
    listing = splits.test or splits.whole
    assert listing is not None  # there is one or the other
    unknown = sorted(set(listing.files) - set(vocabulary.categories))
    if unknown:
        raise DataError(
            f"{spec.root}: holds categories that the model does not know: {', '.join(unknown)}",
            remedy=f"The model knows {', '.join(vocabulary.categories)}.",
        )
    loaded = _load(listing, vocabulary.categories, spec, listen)
    strange = {
        part_name(vocabulary.categories[index], label)
        for index, cloud in zip(loaded.category, loaded.clouds, strict=True)
        for label in vocabulary.unknown(int(index), cloud.labels)
    }
    if strange:
        raise DataError(
            f"{spec.root}: holds labels that the model does not know: {_listed(sorted(strange))}",
            remedy=f"The model knows {_listed(vocabulary.names)}.",
        )
    return _part_clouds(loaded, vocabulary), tuple(loaded.notices)


def _list_splits(root: str) -> Splits:
    return list_splits(Path(root).expanduser(), _list_clouds, remedy=_REMEDY)


def _list_clouds(root: Path) -> Listing:
    """The clouds of each category; those that lie in `root` itself are the only one."""
    listing = list_by_folder(root, has_place_for_labels)
    try:
        clouds, others = clouds_in(root, has_place_for_labels)
    except OSError as error:
        raise DataError(f"{root}: cannot be listed: {error.strerror}") from error
    if clouds and listing.files:
        raise DataError(
            f"{root}: holds {len(clouds):,} clouds beside folders of clouds ({_listed(list(listing.files))}), "
            "so it is not clear what the categories are",
            remedy=_REMEDY,
        )
    return Listing(root, {ONLY_CATEGORY: clouds}, others) if clouds else listing


def _category_names(splits: Splits) -> tuple[str, ...]:
    for listing in splits.listings:
        if not listing.files:
            raise DataError(
                f"{listing.root}: no point cloud in it or in its folders; meshes have no labels at points",
                remedy=_REMEDY,
            )
    if splits.train is not None and splits.test is not None:
        unseen = sorted(set(splits.test.files) - set(splits.train.files))
        if unseen:
            raise DataError(
                f"{splits.test.root}: training never sees its categories {', '.join(unseen)} "
                f"(train/ has {', '.join(splits.train.files)})",
                remedy=_REMEDY,
            )
    return tuple(sorted({name for listing in splits.listings for name in listing.files}))


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
    return _Cloud(frame.place(points), labels, notices)


def _vocabulary(
    spec: SegmentationFolderData, categories: tuple[str, ...], loaded: Sequence[_Loaded]
) -> PartVocabulary:
    found: list[list[NDArray[np.int64]]] = [[] for _ in categories]
    for split in loaded:
        for index, cloud in zip(split.category, split.clouds, strict=True):
            found[index].append(np.unique(cloud.labels))
    labels = tuple(np.unique(np.concatenate(of_category)) for of_category in found)
    vocabulary = PartVocabulary(categories, labels)
    count = sum(map(len, labels))
    if not 2 <= count <= MOST_PARTS:
        counts = _listed([f"{name} {len(own):,}" for name, own in zip(categories, labels, strict=True)])
        problem = f"the points carry {count:,} different labels in all (by category: {counts})"
        raise DataError(
            f"{spec.root}: {problem}; part segmentation takes 2 to {MOST_PARTS} parts",
            remedy="Say which attribute holds the labels with --set data.label=NAME.",
        )
    return vocabulary


def _part_notices(root: str, vocabulary: PartVocabulary, trained: PartVocabulary) -> list[str]:
    """What is odd about the parts, though it can be trained on."""
    unlearned = sorted(set(vocabulary.names) - set(trained.names))
    notices = []
    if unlearned:
        notices.append(f"{root}: parts only in the test clouds, which cannot be learnt: {_listed(unlearned)}")
    single = [
        name
        for name, labels in zip(vocabulary.categories, vocabulary.labels, strict=True)
        if len(labels) == 1
    ]
    if single:
        notices.append(f"{root}: of a single part, so there is nothing to tell apart: {_listed(single)}")
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


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
