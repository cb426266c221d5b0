"""A folder of clouds or meshes without labels, at any depth."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pointlora_cli.clouds.reading import is_readable
from pointlora_cli.datasets.folder_listing import Listing, Splits, list_splits, summary
from pointlora_cli.datasets.progress import DataListener, unheard
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.datasets.unlabelled import Drawn, UnlabelledData, draw_all
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import UnlabelledFolderData

_REMEDY = "Give a folder with at least 3 clouds or meshes, at any depth, with train/ and test/ or without."
_FEWEST = 3  # two to train on, one held out


def unlabelled_files(spec: UnlabelledFolderData) -> list[Path]:
    """All clouds of the folder.

    Raises:
        DataError: the folder is missing, cannot be listed, or holds too few.
    """
    return _list(spec).paths


def load_unlabelled_folder(
    spec: UnlabelledFolderData, stored: int, listen: DataListener = unheard
) -> UnlabelledData:
    """Draw `stored` points of every cloud of the folder, as `draw_all` does.

    A file that cannot be read is left out, with a notice that names it.

    Raises:
        DataError: the folder is missing, cannot be listed, or holds too few clouds that can be read.
    """
    splits = _list(spec)

    def drawn(listing: Listing) -> Drawn:
        paths = [path for files in listing.files.values() for path in files]
        found = draw_all(
            paths, stored, spec.normalize, what=f"reading the clouds of {listing.root}", listen=listen
        )
        if not found.paths:
            why = f": {found.unreadable[0]}" if found.unreadable else ""
            raise DataError(f"{listing.root}: none of {len(paths)} files could be read{why}", remedy=_REMEDY)
        return found

    if splits.whole is None:
        assert splits.train is not None and splits.test is not None  # there is no whole, so there are both
        train, test = drawn(splits.train), drawn(splits.test)
        notices = _notices(train) + _notices(test)
        return UnlabelledData(train.clouds, test.clouds, (*splits.notices, *notices))
    whole = drawn(splits.whole)
    _require_enough(spec.root, len(whole.paths))
    names = [path.relative_to(splits.whole.root).as_posix() for path in whole.paths]
    same = np.zeros(len(names), dtype=np.int64)
    rest, held_out = stratified_split(same, spec.test_fraction, spec.split_seed, names)
    said = (
        f"{spec.root} has no test/ folder: {len(held_out)} of {len(names)} clouds are held out "
        f"(data.split_seed {spec.split_seed})"
    )
    clouds = whole.clouds
    return UnlabelledData(clouds.subset(rest), clouds.subset(held_out), (*_notices(whole), said))


def _notices(drawn: Drawn) -> list[str]:
    return [*summary("left out", drawn.unreadable), *summary("repaired", drawn.repaired)]


def _list(spec: UnlabelledFolderData) -> Splits:
    splits = list_splits(Path(spec.root).expanduser(), _list_deeply, remedy=_REMEDY)
    _require_enough(spec.root, len(splits.paths))
    return splits


def _require_enough(root: str, count: int) -> None:
    if count < _FEWEST:
        raise DataError(f"{root}: found {count} clouds or meshes to pre-train on", remedy=_REMEDY)


def _list_deeply(root: Path) -> Listing:
    """The clouds in a folder and those below it, sorted; hidden ones excepted, and links to folders."""
    found: list[Path] = []
    others = 0

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename or root}: cannot be listed: {error.strerror}") from error

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if name[0] != "."]
        paths = [Path(folder, name) for name in names if name[0] != "."]
        clouds = [path for path in paths if is_readable(path) and path.is_file()]
        found += clouds
        others += len(paths) - len(clouds)
    return Listing(root, {"": sorted(found)}, others)
