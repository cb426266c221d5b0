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


class Splits(NamedTuple):
    """Both splits, or the whole of a folder that is not split."""

    train: Listing | None
    test: Listing | None
    whole: Listing | None

    @property
    def listings(self) -> list[Listing]:
        """Those that there are."""
        return [listing for listing in self if listing is not None]


def list_splits(root: Path, list_clouds: Callable[[Path], Listing], *, remedy: str) -> Splits:
    """List a folder, or its train/ and test/.

    Args:
        root: the folder.
        list_clouds: lists one of them.
        remedy: how such a folder is laid out, for messages.

    Raises:
        DataError: it is missing, no folder, or has one of train/ and test/ without the other.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder", remedy="Check the path given with --data or data.root.")
    if not root.is_dir():
        raise DataError(f"{root}: a file, not a folder", remedy=remedy)
    has = {name: (root / name).is_dir() for name in ("train", "test")}
    if all(has.values()):
        return Splits(list_clouds(root / "train"), list_clouds(root / "test"), None)
    if any(has.values()):
        there, lacking = ("train", "test") if has["train"] else ("test", "train")
        raise DataError(f"{root}: has a {there}/ folder but no {lacking}/ folder", remedy=remedy)
    return Splits(None, None, list_clouds(root))


def list_by_folder(root: Path, is_cloud: Callable[[Path], bool]) -> Listing:
    """The clouds in the folders of `root`, hidden ones excepted; a folder without any is left out.

    Raises:
        DataError: a folder cannot be listed.
    """
    files: dict[str, list[Path]] = {}
    ignored = 0
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        for folder in folders:
            clouds, others = clouds_in(folder, is_cloud)
            ignored += others
            if clouds:
                files[folder.name] = clouds
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be listed: {error.strerror}") from error
    return Listing(root, files, ignored)


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


def summary(what: str, messages: Sequence[str]) -> list[str]:
    """The messages as notices of `what`; where they are many, the first few and a count."""
    shown = [f"{what}: {message}" for message in messages[:_NAMED]]
    if len(messages) > _NAMED:
        shown.append(f"{what}: {len(messages) - _NAMED} more files")
    return shown
