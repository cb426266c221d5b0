"""One text file of points with part labels: rows of x y z nx ny nz part.

Read in worker processes, so nothing heavy is imported here.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import quoted, shown
from pointlora_cli.datasets.unit_sphere import normalized_cloud
from pointlora_cli.errors import DataError

COLUMNS = 7
LARGEST_FILE = 64 * 2**20  # bytes; the published ones have 0.2 MB
_REMEDY = "Fetch the data set again: pointlora download shapenetpart"


class LabelledFile(NamedTuple):
    """A file, and the part labels that it may hold: `first_part` up to, and without, `end_part`."""

    path: str
    first_part: int
    end_part: int


def read_labelled(file: LabelledFile) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points (N, 3) in the unit sphere, and parts (N,), of a file; normals are read, checked and dropped.

    Raises:
        DataError: it cannot be read, or a line is not seven finite numbers that end in an allowed part.
    """
    text = _text(file.path)
    if not text.strip():
        raise _complaint(file, text)
    try:
        table = np.loadtxt(io.StringIO(text), dtype=np.float64, comments=None, ndmin=2)
    except (ValueError, MemoryError):
        raise _complaint(file, text) from None
    if table.shape[1] != COLUMNS:
        raise _complaint(file, text)
    with np.errstate(over="ignore"):
        values = table[:, :6].astype(np.float32)
    parts = table[:, 6]
    allowed = (parts >= file.first_part) & (parts < file.end_part) & (parts == np.floor(parts))
    if not (allowed.all() and np.isfinite(values).all()):
        raise _complaint(file, text)
    return normalized_cloud(values[:, :3]), parts.astype(np.uint8)


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror or error}", remedy=_REMEDY) from None
    if len(content) > LARGEST_FILE:
        raise DataError(f"{shown(path)}: larger than {LARGEST_FILE:,} bytes: not a file of ShapeNetPart")
    if not content.isascii():
        raise DataError(f"{shown(path)}: holds bytes that are not text", remedy=_REMEDY)
    return content.decode("ascii").replace("\r\n", "\n")


def _complaint(file: LabelledFile, text: str) -> DataError:
    """The error for the first bad line; slow, but it happens once."""
    rows = 0
    for number, line in enumerate(text.split("\n"), start=1):
        problem = _problem(line, file) if line.strip() else None
        if problem:
            return DataError(f"{shown(file.path)}: line {number:,}: {problem}", remedy=_REMEDY)
        rows += bool(line.strip())
    problem = "not readable as rows of numbers" if rows else "holds no points"
    return DataError(f"{shown(file.path)}: {problem}", remedy=_REMEDY)


def _problem(line: str, file: LabelledFile) -> str | None:
    values = line.split()
    if len(values) != COLUMNS:
        return f"{len(values)} values, expected {COLUMNS} (x y z nx ny nz part): {quoted(line)}"
    try:
        if any("_" in value for value in values):  # a digit separator to Python alone
            raise ValueError
        with np.errstate(over="ignore"):
            numbers = np.array(values, dtype=np.float64).astype(np.float32)
    except ValueError:
        return f"not {COLUMNS} numbers: {quoted(line)}"
    if not np.isfinite(numbers).all():
        return f"a number that is NaN, infinite or too large: {quoted(line)}"
    part = float(values[6])
    if part != int(part) or not file.first_part <= part < file.end_part:
        return f"part {quoted(values[6])}; its category has parts {file.first_part} to {file.end_part - 1}"
    return None
