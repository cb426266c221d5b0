"""The published tree of ShapeNetPart: its categories, its lists, and the files that they name."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pointlora_cli.catalog.cache import cached_folder
from pointlora_cli.catalog.members import unsafe_reason
from pointlora_cli.catalog.settings import current_settings
from pointlora_cli.clouds.files import quoted, shown
from pointlora_cli.errors import DataError, IntegrityError

PARTS = {
    "Airplane": range(4),
    "Bag": range(4, 6),
    "Cap": range(6, 8),
    "Car": range(8, 12),
    "Chair": range(12, 16),
    "Earphone": range(16, 19),
    "Guitar": range(19, 22),
    "Knife": range(22, 24),
    "Lamp": range(24, 28),
    "Laptop": range(28, 30),
    "Motorbike": range(30, 36),
    "Mug": range(36, 38),
    "Pistol": range(38, 41),
    "Rocket": range(41, 44),
    "Skateboard": range(44, 47),
    "Table": range(47, 50),
}
"""The part labels of each category."""

SPLITS = ("train", "val", "test")
TREE = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
CATEGORY_FILE = "synsetoffset2category.txt"

_LARGEST_LIST = 64 * 2**20  # bytes; the published lists have 1 MB
_NAMED = 3  # files named in one message
_SYNSET = re.compile(r"[0-9]{1,20}")
_REMEDY = (
    "Run: pointlora download shapenetpart, or give the folder that holds synsetoffset2category.txt "
    "with --set data.root=PATH"
)
_AGAIN = "Fetch the data set again: pointlora download shapenetpart"


class Shape(NamedTuple):
    """A shape that a list names."""

    category: int
    path: Path


class Tree(NamedTuple):
    """A tree whose lists were read and whose files are all there."""

    categories: tuple[str, ...]  # the place of a name is its label
    shapes: tuple[Shape, ...]  # those of train, then val, then test
    counts: tuple[int, int, int]  # of these three
    identity: str  # changes with any name, size or time of any file


def list_file(folder: Path, split: str) -> Path:
    """The list of a split's shapes."""
    return folder / "train_test_split" / f"shuffled_{split}_file_list.json"


def find_tree(given: str | None) -> Path:
    """The folder of the tree, whose category file and lists are there; no shape is looked for.

    Args:
        given: the folder or the one above; None: what was downloaded.

    Raises:
        DataError: something is missing, and how to get it.
    """
    root = (
        Path(given).expanduser() if given is not None else cached_folder("shapenetpart", current_settings())
    )
    if root is None:
        raise DataError("ShapeNetPart is not downloaded", remedy=_REMEDY)
    below = root / TREE
    folder = below if (below / CATEGORY_FILE).is_file() else root
    wanted = [folder / CATEGORY_FILE, *(list_file(folder, split) for split in SPLITS)]
    missing = [shown(path) for path in wanted if not path.is_file()]
    if missing:
        raise DataError(f"ShapeNetPart is not there: missing {', '.join(missing)}", remedy=_REMEDY)
    return folder


def read_tree(folder: Path) -> Tree:
    """Read the lists of a tree and look for every file that they name.

    Raises:
        DataError: a list is damaged, names an unknown category or a shape twice, or files are missing.
        IntegrityError: a list names a path outside the folder.
    """
    synsets = _read_categories(folder / CATEGORY_FILE)
    places = {synset: place for place, synset in enumerate(synsets.values())}
    shapes: dict[str, Shape] = {}
    counts = []
    for split in SPLITS:
        before = len(shapes)
        for synset, name in _read_list(list_file(folder, split)):
            if synset not in places:
                raise _damaged(list_file(folder, split), f"unknown category {quoted(synset)}")
            key = f"{synset}/{name}"
            if key in shapes:
                raise _damaged(list_file(folder, split), f"{key} is listed twice, here or in another split")
            shapes[key] = Shape(places[synset], folder / synset / f"{name}.txt")
        counts.append(len(shapes) - before)
    train, val, test = counts
    if not train or not test:
        raise DataError(
            f"{shown(folder)}: the list of {'test' if train else 'train'} is empty", remedy=_AGAIN
        )
    identity = _identity([*synsets, *map(str, counts)], shapes)
    return Tree(tuple(synsets), tuple(shapes.values()), (train, val, test), identity)


def _read_categories(path: Path) -> dict[str, str]:
    """Names of categories and their synsets, in the order of the file."""
    synsets: dict[str, str] = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not _SYNSET.fullmatch(words[1]):
            raise _damaged(path, f"line {number}: not '<category> <synset>': {quoted(line)}")
        if words[0] not in PARTS or words[0] in synsets or words[1] in synsets.values():
            raise _damaged(path, f"line {number}: an unknown category, or one named twice: {quoted(line)}")
        synsets[words[0]] = words[1]
    missing = [name for name in PARTS if name not in synsets]
    if missing:
        raise _damaged(path, f"no line for {', '.join(missing)}")
    return synsets


def _read_list(path: Path) -> Iterator[tuple[str, str]]:
    """Synset and name of each entry, "shape_data/<synset>/<name>"."""
    try:
        entries = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"not JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(entries, list):
        raise _damaged(path, "not a list of paths")
    for number, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise _damaged(path, f"entry {number:,} is not a path")
        reason = unsafe_reason(entry)
        if reason:
            raise IntegrityError(
                f"{shown(path)}: entry {number:,}, {quoted(entry)}, {reason}: refused", remedy=_AGAIN
            )
        parts = entry.split("/")
        if len(parts) != 3 or not all(parts):
            raise _damaged(path, f"entry {number:,} is not shape_data/<synset>/<name>: {quoted(entry)}")
        yield parts[1], parts[2]


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_LIST + 1)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror or error}", remedy=_AGAIN) from None
    if len(content) > _LARGEST_LIST:
        raise _damaged(path, f"larger than {_LARGEST_LIST:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _damaged(path, "not text") from None


def _identity(head: list[str], shapes: dict[str, Shape]) -> str:
    """SHA-256 of the order, names, sizes and times of all files.

    Raises:
        DataError: some are missing.
    """
    digest = hashlib.sha256("\n".join(head).encode())
    missing = []
    for key, shape in shapes.items():
        try:
            status = shape.path.stat()
        except (OSError, ValueError):
            missing.append(shape.path)
            continue
        if not stat.S_ISREG(status.st_mode):
            missing.append(shape.path)
        digest.update(f"\n{key} {status.st_size} {status.st_mtime_ns}".encode())
    if missing:
        named = ", ".join(shown(path) for path in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        raise DataError(
            f"{len(missing):,} of the {len(shapes):,} files that ShapeNetPart's lists name are missing: "
            f"{named}{more}",
            remedy=_AGAIN,
        )
    return digest.hexdigest()


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(f"{shown(path)}: {problem}", remedy=_AGAIN)
