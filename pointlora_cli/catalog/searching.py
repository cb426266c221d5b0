"""Finding an entry's files in a folder that a person names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pointlora_cli.catalog.members import parts_of, without_member
from pointlora_cli.errors import DataError

DEEPEST = 4
_MOST_FOLDERS = 20_000


def members_in(root: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """The files directly laid out below `root` as the patterns say, by their path below it."""
    found: dict[str, Path] = {}
    for pattern in patterns:
        for parts, path in _matches(root, parts_of(pattern)):
            found["/".join(parts)] = path
    return dict(sorted(found.items()))


def find_members(source: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """The files of an entry's layout, wherever it lies in `source`: at its top, up to four folders down, or
    with `source` itself as a folder of the layout.

    Where several places hold some of it, the one that holds most kinds of files wins. Returns nothing if
    there is none.

    Raises:
        DataError: two places hold as much, or `source` holds too many folders to look through.
    """
    places: list[tuple[int, Path, dict[str, Path]]] = []
    for place in _folders(source):
        found = members_in(place, patterns)
        if place == source and not found:
            found = _as_part(source, patterns)
        if found:
            places.append((len(patterns) - len(without_member(patterns, found)), place, found))
    if not places:
        return {}
    most = max(count for count, _, _ in places)
    best = [(place, found) for count, place, found in places if count == most]
    if len(best) > 1:
        raise DataError(
            f"{source}: the files lie there more than once: in {best[0][0]} and in {best[1][0]}",
            remedy="Give the one folder that is meant.",
        )
    return best[0][1]


def find_files(source: Path, name: str) -> list[Path]:
    """The files called `name` in a folder, up to four folders down, nearest first.

    Raises:
        DataError: `source` holds too many folders to look through.
    """
    return [folder / name for folder in _folders(source) if (folder / name).is_file()]


def find_archives(source: Path) -> list[Path]:
    """The files in a folder, up to four folders down, that are called like an archive.

    Raises:
        DataError: `source` holds too many folders to look through.
    """
    endings = (".zip", ".tar", ".tgz", ".tar.gz")
    return [
        Path(item.path)
        for folder in _folders(source)
        for item in _entries(folder)
        if item.name.lower().endswith(endings) and _is_file(item)
    ]


def _as_part(source: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """What is there if `source` is itself the first folder of the layout."""
    name = source.resolve().name
    found: dict[str, Path] = {}
    for pattern in patterns:
        first, *rest = parts_of(pattern)
        for own in dict.fromkeys((source.name, name)):
            if rest and fnmatchcase(own, first):
                found |= {"/".join((own, *parts)): path for parts, path in _matches(source, tuple(rest))}
                break
    return dict(sorted(found.items()))


def _matches(folder: Path, shape: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Files below `folder` that fit a pattern, with their names on the way."""
    if not shape:
        return
    for item in _entries(folder):
        if item.name.startswith(".") or not fnmatchcase(item.name, shape[0]):
            continue
        if len(shape) == 1:
            if _is_file(item):
                yield (item.name,), Path(item.path)
        elif _is_folder(item):
            for parts, path in _matches(Path(item.path), shape[1:]):
                yield (item.name, *parts), path


def _folders(source: Path) -> Iterator[Path]:
    """`source` and the folders in it, nearest first; hidden ones are passed over."""
    level, seen = [source], 0
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            seen += 1
            if seen > _MOST_FOLDERS:
                raise DataError(
                    f"{source}: holds more than {_MOST_FOLDERS:,} folders, too many to look through",
                    remedy="Give the folder of the data set itself.",
                )
            yield folder
            below += [
                Path(item.path)
                for item in _entries(folder)
                if not item.name.startswith(".") and _is_folder(item)
            ]
        level = below


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return sorted(items, key=lambda item: item.name)
    except OSError:  # a folder without permission holds nothing for us
        return []


def _is_file(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_file()
    except OSError:  # a link that leads to itself, or nowhere we may look
        return False


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        return False
