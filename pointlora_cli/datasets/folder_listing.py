"""What a folder of clouds holds: which files, of which split, under which name; and reading them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from pointlora_cli.errors import DataError

Prepared = TypeVar("Prepared")

_NAMED = 5  # files named in one message


class Listing(NamedTuple):
    """The cloud files of one split, by the folder that they lie in."""

    root: Path
    files: dict[str, list[Path]]
    ignored: int  # files in these folders that are no clouds
    notices: tuple[str, ...] = ()  # of folders that hold no cloud themselves


class Splits(NamedTuple):
    """Both splits, or the whole of a folder that is not split."""

    train: Listing | None
    test: Listing | None
    whole: Listing | None
    notices: tuple[str, ...] = ()  # of folders beside train/ and test/

    @property
    def listings(self) -> list[Listing]:
        """Those that there are."""
        return [listing for listing in (self.train, self.test, self.whole) if listing is not None]

    @property
    def paths(self) -> list[Path]:
        """All clouds, split by split, folder by folder."""
        return [path for listing in self.listings for files in listing.files.values() for path in files]


def list_splits(root: Path, list_clouds: Callable[[Path], Listing], *, remedy: str) -> Splits:
    """List a folder, or its train/ and test/, in any case.

    Args:
        root: the folder.
        list_clouds: lists one of them.
        remedy: how such a folder is laid out, for messages.

    Raises:
        DataError: it is missing, no folder, or has one of train/ and test/ without the other, or one twice.
    """
    if not root.exists():
        raise DataError(
            f"{root}: no such folder", remedy="Give your folder with --data DIR, or as data.root."
        )
    if not root.is_dir():
        raise DataError(f"{root}: a file, not a folder", remedy=remedy)
    folders = _folders_in(root)
    train, test = (_split_folder(folders, name, remedy) for name in ("train", "test"))
    if train is not None and test is not None:
        others = [f"{folder.name}/" for folder in folders if folder not in (train, test)]
        said = f"{root}: only {train.name}/ and {test.name}/ are used; left out: {_shortened(others)}"
        return Splits(list_clouds(train), list_clouds(test), None, (said,) if others else ())
    if there := train or test:
        lacking = "test" if train else "train"
        raise DataError(f"{root}: has a {there.name}/ folder but no {lacking}/ folder", remedy=remedy)
    return Splits(None, None, list_clouds(root))


def _split_folder(folders: Sequence[Path], name: str, remedy: str) -> Path | None:
    found = [folder for folder in folders if folder.name.lower() == name]
    if len(found) > 1:
        names = " and ".join(f"{folder.name}/" for folder in found)
        raise DataError(f"{found[0].parent}: has {names}, so it is not clear which is meant", remedy=remedy)
    return found[0] if found else None


def _folders_in(root: Path) -> list[Path]:
    """The folders of `root`, sorted, hidden ones excepted."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be listed: {error.strerror}") from error


def list_by_folder(root: Path, is_cloud: Callable[[Path], bool]) -> Listing:
    """The clouds in the folders of `root`, hidden ones excepted; one without any is left out, with a notice.

    Raises:
        DataError: a folder cannot be listed.
    """
    files: dict[str, list[Path]] = {}
    ignored = 0
    bare = []
    folders = _folders_in(root)
    try:
        for folder in folders:
            clouds, others = clouds_in(folder, is_cloud)
            ignored += others
            if clouds:
                files[folder.name] = clouds
                continue
            deeper = [f"{inner.name}/" for inner in _folders_in(folder) if clouds_in(inner, is_cloud)[0]]
            why = f"; its clouds lie deeper ({_shortened(deeper)})" if deeper else ""
            bare.append(f"{folder}: no cloud lies in it{why}")
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be listed: {error.strerror}") from error
    return Listing(root, files, ignored, tuple(summary("left out", bare, "folders")))


def clouds_in(folder: Path, is_cloud: Callable[[Path], bool]) -> tuple[list[Path], int]:
    """The clouds that lie in a folder itself, sorted, and how many of its files are none; hidden ones excepted.

    Raises:
        OSError: it cannot be listed.
    """
    there = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    clouds = [path for path in there if is_cloud(path)]
    return clouds, len(there) - len(clouds)


def prepared_all(
    paths: Sequence[Path],
    prepare: Callable[[Path], Prepared],
    report: Callable[[int], None] = lambda done: None,
) -> list[Prepared]:
    """What `prepare` makes of each file, several at a time; `report` hears how many are done."""
    done: list[Prepared] = []
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            for result in pool.map(prepare, paths):
                done.append(result)
                report(len(done))
        except BaseException:  # Ctrl-C waits for the files being read, not for all
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def summary(what: str, messages: Sequence[str], kind: str = "files") -> list[str]:
    """The messages as notices of `what`; where they are many, the first few and a count."""
    shown = [f"{what}: {message}" for message in messages[:_NAMED]]
    if len(messages) > _NAMED:
        shown.append(f"{what}: {len(messages) - _NAMED} more {kind}")
    return shown


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
