"""ModelNet40's raw tree (`modelnet40_normal_resampled`): text files of 10,000 points, converted once."""

from __future__ import annotations

import hashlib
import io
import os
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import checked_size, quoted, shown, system_errors
from pointlora_cli.datasets.modelnet40_processed import STORED_POINTS
from pointlora_cli.datasets.progress import DataListener, reporter
from pointlora_cli.datasets.workers import map_in_workers
from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.ops.pruned_sampling import pruned_farthest_points

TREE = "modelnet40_normal_resampled"
NAMES = "modelnet40_shape_names.txt"
LISTS = (NAMES, "modelnet40_train.txt", "modelnet40_test.txt")

_LARGEST = 64 * 2**20  # bytes of a text file; the published ones hold half a megabyte
_FEW = 8  # files that are not worth a process of their own
_ENTRY = re.compile(r"[A-Za-z0-9_-]+_\d+", re.ASCII)


class RawTree:
    """The listed shapes, in the order of the lists.

    Raises:
        DataError: a list is damaged, or a listed file is missing.
        IntegrityError: a list names a path outside the tree.
    """

    def __init__(self, folder: Path, classes: tuple[str, ...]) -> None:
        self._folder = folder
        names = _lines(folder / NAMES)
        if tuple(names) != classes:
            raise DataError(
                f"{shown(folder / NAMES)}: does not list the {len(classes)} classes of ModelNet40",
                remedy="Fetch the tree again.",
            )
        self._labels = {name: label for label, name in enumerate(names)}
        self._splits = [self._entries(folder / name) for name in LISTS[1:]]
        self.identity = self._identity()

    def convert(self, listen: DataListener) -> dict[str, NDArray[Any]]:
        """Coordinates of 8,192 points of each shape: the farthest of its file, beginning with the first row.

        The published processed files begin with a random row of each, which nobody recorded.

        Returns:
            train_points and test_points (n, 8192, 3) float32, train_labels and test_labels (n,) int64.

        Raises:
            DataError: a file is missing, short, or holds something else; it and its line are named.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for split, entries in zip(("train", "test"), self._splits, strict=True):
            points = np.empty((len(entries), STORED_POINTS, 3), dtype=np.float32)
            files = [str(self._path(entry)) for entry in entries]
            report = reporter(f"converting ModelNet40 ({split})", len(files), listen)
            with closing(map_in_workers(farthest_of_file, files, few=_FEW)) as clouds:
                for index, cloud in enumerate(clouds):
                    points[index] = cloud
                    report(index + 1)
            arrays[f"{split}_points"] = points
            labels = [self._labels[_class_of(entry)] for entry in entries]
            arrays[f"{split}_labels"] = np.array(labels, dtype=np.int64)
        return arrays

    def _entries(self, path: Path) -> list[str]:
        entries = _lines(path)
        for number, entry in enumerate(entries, start=1):
            if "/" in entry or "\\" in entry or ".." in entry:
                raise IntegrityError(
                    f"{shown(path)}: line {number}: {quoted(entry)} is a path", remedy="Fetch the tree again."
                )
            if not _ENTRY.fullmatch(entry) or _class_of(entry) not in self._labels:
                raise DataError(
                    f"{shown(path)}: line {number}: {quoted(entry)} is no shape of a class of {NAMES}",
                    remedy="Fetch the tree again.",
                )
        if not entries:
            raise DataError(f"{shown(path)}: lists no shapes", remedy="Fetch the tree again.")
        return entries

    def _path(self, entry: str) -> Path:
        return self._folder / _class_of(entry) / f"{entry}.txt"

    def _identity(self) -> str:
        """A hash of all listed names, sizes and times."""
        digest = hashlib.sha256()
        missing = []
        for split, entries in zip(LISTS[1:], self._splits, strict=True):
            digest.update(split.encode())
            for entry in entries:
                try:
                    status = os.stat(self._path(entry))  # noqa: PTH116 - twelve thousand of them
                except OSError:
                    missing.append(self._path(entry))
                    continue
                digest.update(f"{entry} {status.st_size} {status.st_mtime_ns}\n".encode())
        if missing:
            others = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise DataError(
                f"ModelNet40 is not complete: missing {shown(missing[0])}{others}",
                remedy="Run: pointlora download modelnet40-raw, or copy the tree again.",
            )
        return digest.hexdigest()


def farthest_of_file(path: str) -> NDArray[np.float32]:
    """The farthest 8,192 of the points of a text file, beginning with its first row: (8192, 3).

    Raises:
        DataError: the file is short, or holds something else; the line is named.
    """
    points = read_points(Path(path))
    return points[pruned_farthest_points(points, STORED_POINTS)]


def read_points(path: Path) -> NDArray[np.float32]:
    """The first three columns of a text file (N, 3), N at least 8,192; commas or white space between numbers.

    Raises:
        DataError: the file is short, or holds something else; the line is named.
    """
    with system_errors(path):
        size = checked_size(path)
        if size > _LARGEST:
            raise DataError(f"{shown(path)}: {size:,} bytes are far too many for a shape of ModelNet40")
        content = path.read_bytes().replace(b"\r\n", b"\n").strip() + b"\n"
    if content == b"\n":
        raise DataError(f"{shown(path)}: holds no points", remedy="Fetch the tree again.")
    delimiter = "," if b"," in content[:1000] else None
    points = np.empty((0, 3), dtype=np.float32)
    # Only three columns are parsed, which takes half the time; that the others are there is counted.
    if delimiter is None or _rows_are_even(content):
        try:
            with np.errstate(over="ignore"):
                points = np.loadtxt(
                    io.StringIO(content.decode("ascii")),
                    delimiter=delimiter,
                    comments=None,
                    ndmin=2,
                    usecols=(0, 1, 2) if delimiter else None,
                )[:, :3].astype(np.float32)
        except (ValueError, IndexError):  # the line is found below
            points = np.empty((0, 3), dtype=np.float32)
    if points.shape[1] < 3 or not len(points) or not np.isfinite(points).all():
        raise _bad_line(path, content, delimiter)
    if len(points) < STORED_POINTS:
        raise DataError(
            f"{shown(path)}: {len(points):,} points, expected at least {STORED_POINTS:,}",
            remedy="The file is cut off, or of another data set: fetch the tree again.",
        )
    return points


def _rows_are_even(content: bytes) -> bool:
    """Whether every row that is not blank has as many commas as the first, at least two."""
    characters = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    commas = np.flatnonzero(characters == ord(","))
    counts = np.diff(np.searchsorted(commas, ends), prepend=0)
    lengths = np.diff(ends, prepend=-1)
    return bool((counts[lengths > 1] == max(2, counts[0])).all())


def _bad_line(path: Path, content: bytes, delimiter: str | None) -> DataError:
    """The error for the first line that is wrong."""
    separator = delimiter.encode() if delimiter else None
    lines = content.split(b"\n")
    width = len(lines[0].split(separator))
    for number, line in enumerate(lines, start=1):
        if line.strip() or (line and delimiter):
            values = line.split(separator)
            if len(values) != width or width < 3:
                problem = f"{len(values)} numbers, expected {max(width, 3)}"
            elif not all(_is_finite(value) for value in values):
                problem = f"{quoted(line)} holds something other than finite numbers"
            else:
                continue
            return DataError(
                f"{shown(path)}: line {number:,}: {problem}",
                remedy="Fetch the tree again, or correct the line.",
            )
    return DataError(f"{shown(path)}: not rows of finite numbers", remedy="Fetch the tree again.")


def _is_finite(value: bytes) -> bool:
    try:
        return bool(abs(float(value)) < np.finfo(np.float32).max)
    except ValueError:
        return False


def _class_of(entry: str) -> str:
    return entry.rpartition("_")[0]


def _lines(path: Path) -> list[str]:
    """The lines that are not blank."""
    with system_errors(path):
        if checked_size(path) > _LARGEST:
            raise DataError(f"{shown(path)}: far too large for a list of ModelNet40")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
