"""Lists of numbers in text: XYZ, TXT, PTS, CSV and ASC, with or without header rows."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, quoted, truncated
from pointlora_cli.clouds.label_names import LabelledRows, label_column
from pointlora_cli.clouds.rows import NumberedLines, parse_rows
from pointlora_cli.clouds.surface import Geometry

SNIFFED_BYTES = 1 << 16
REMEDY = "give one point per row: x y z, separated by spaces, tabs, commas or semicolons"

_UNIT = re.compile(r"[\(\[].*?[\)\]]")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$|[-+]?(?:nan|inf|infinity)$", re.IGNORECASE)
_ODD_NUMBER = re.compile(r"[-+]?(?:1\.#\w+|nan\(\w*\))$", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?$")
_COLUMN_NAMES = (
    frozenset({"x", "px", "pos_x", "x_coordinate", "x_coord", "coord_x", "point_x", "easting", "east"}),
    frozenset({"y", "py", "pos_y", "y_coordinate", "y_coord", "coord_y", "point_y", "northing", "north"}),
    frozenset({"z", "pz", "pos_z", "z_coordinate", "z_coord", "coord_z", "point_z", "height", "elevation"}),
)


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out, found from its first lines."""

    encoding: str
    header_lines: int
    delimiter: str | None
    decimal_comma: bool
    quote: str | None
    columns: tuple[int, int, int]
    names: tuple[str, ...]
    """Of the columns, in small letters; none where no header names them."""
    width: int
    """Number of columns of the first row."""
    promised: int | None
    """Number of points that a PTS file states first."""
    warnings: tuple[str, ...]


def read_text(path: Path) -> Geometry:
    """Reads the first three columns of a list of numbers, or those that a header row names x, y and z.

    Raises:
        CloudError: not text, not numbers, a row with fewer than 3 numbers, or fewer points than stated.
    """
    layout = _detect_layout(path)
    return Geometry(_read_columns(path, layout, layout.columns), warnings=layout.warnings)


def read_labelled_text(path: Path, label: str) -> LabelledRows:
    """Reads as `read_text`, and the column of labels: one that a header names, or the last of 4 or 7.

    Raises:
        CloudError: as `read_text`, or no such column.
    """
    layout = _detect_layout(path)
    column, warnings = label_column(path, label, layout.names, layout.width)
    values = _read_columns(path, layout, (*layout.columns, column))
    return LabelledRows(values[:, :3], values[:, 3], f"column {column + 1}", layout.warnings + warnings)


def _read_columns(path: Path, layout: Layout, columns: tuple[int, ...]) -> NDArray[np.float64]:
    """The values (N, columns) of all rows."""
    values, lines = parse_rows(
        path,
        lambda: NumberedLines(_data_lines(path, layout), layout.header_lines + 1),
        columns,
        delimiter=layout.delimiter,
        quote=layout.quote,
    )
    last_width = len(_split(lines.text.split("#")[0], layout.delimiter))
    if 0 < last_width < layout.width and len(values) > 1:
        problem = (
            f"line {lines.number:,}, the last, has {last_width} columns; the first row has {layout.width}"
        )
        raise cloud_error(path, f"truncated: {problem}", EXPORT_AGAIN)
    if layout.promised is not None and len(values) < layout.promised:
        raise truncated(path, len(values), layout.promised, "points")
    return values


def _data_lines(path: Path, layout: Layout) -> Iterator[str]:
    with path.open(encoding=layout.encoding, errors="replace") as stream:
        for _ in range(layout.header_lines):
            stream.readline()
        if layout.decimal_comma:
            yield from (line.replace(",", ".") for line in stream)
        else:
            yield from stream


def _detect_layout(path: Path) -> Layout:
    with path.open("rb") as stream:
        start = stream.read(SNIFFED_BYTES)
        complete = not stream.read(1)
    encoding = _encoding(start)
    if b"\0" in start and encoding != "utf-16":
        byte = start.index(b"\0")
        raise cloud_error(path, f"is not text: byte {byte:,} is zero", "name the file after its real format")
    text = start.decode(encoding, errors="replace")
    lines = io.StringIO(text, newline=None).read().split("\n")
    if not complete:
        if len(lines) == 1:
            raise cloud_error(
                path, f"line 1 is longer than {SNIFFED_BYTES:,} bytes: not a list of points", REMEDY
            )
        lines.pop()  # it may be cut
    for index, line in enumerate(lines):
        row = line.split("#")[0]
        delimiter = _delimiter(row)
        values = _split(row, delimiter)
        if len(values) > 1 and all(_is_number(value) for value in values[:2]):
            return _layout(path, lines, index, encoding)
        if _is_row(row, delimiter):  # `id,x,y,z` with a word in front
            return _layout(path, lines, index, encoding)
    first = next((line for line in lines if line.strip()), "")
    raise cloud_error(
        path, f"no row of numbers in its first {len(lines):,} lines; it starts {quoted(first)}", REMEDY
    )


def _layout(path: Path, lines: list[str], index: int, encoding: str) -> Layout:
    row, header = lines[index].split("#")[0], lines[:index]
    if any(re.match(r"\s*ncols\s+\d+", line, re.IGNORECASE) for line in header):
        raise cloud_error(path, "is an ESRI grid, not a list of points", "convert the grid to x y z rows")
    delimiter = _delimiter(row)
    values = _split(row, delimiter)
    if len(values) < 3:
        raise cloud_error(path, f"line {index + 1:,}: fewer than 3 numbers: {quoted(row)}", REMEDY)
    columns, names, warnings = _columns(header, delimiter, len(values))
    named = max(columns)
    if named >= len(values):
        problem = f"has {len(values)} columns; the header names {named + 1}"
        raise cloud_error(path, f"line {index + 1:,} {problem}", EXPORT_AGAIN)
    statements = [
        line.strip() for line in header if line.strip() and not line.lstrip().startswith(("#", "//"))
    ]
    promised = int(statements[0]) if statements and re.fullmatch(r"\d{1,15}", statements[0]) else None
    return Layout(
        encoding=encoding,
        header_lines=index,
        delimiter=delimiter,
        decimal_comma=delimiter == ";" or any(_DECIMAL_COMMA.match(value) for value in values),
        quote='"' if '"' in row else None,
        columns=columns,
        names=names,
        width=len(values),
        promised=promised,
        warnings=warnings,
    )


def _columns(
    header: list[str], delimiter: str | None, width: int
) -> tuple[tuple[int, int, int], tuple[str, ...], tuple[str, ...]]:
    """The columns of x, y and z, the names of all, and a warning where a header has names but not these."""
    named = [line for line in header if re.search(r"[^\W\d]", line)]
    if not named:
        return (0, 1, 2), (), ()
    for line in reversed(named):
        for separator in dict.fromkeys((delimiter, ",", ";", "\t", None)):
            bare = _UNIT.sub("", line).strip().lstrip("#/").strip().strip(separator)
            names = [name.strip().strip("\"'").lower() for name in bare.split(separator)]
            found = [
                next((i for i, name in enumerate(names) if name in axis), None) for axis in _COLUMN_NAMES
            ]
            if line.lstrip().startswith("#") and len(names) != width:
                continue  # a sentence, in which x, y and z are only words
            x, y, z = found
            if x is not None and y is not None and z is not None:
                return (x, y, z), tuple(names), ()
    last = named[-1].strip()
    names = [name.lower() for name in _split(last, delimiter)]
    if last.startswith(("#", "//")) or len(names) != width:
        return (0, 1, 2), (), ()  # a remark, not names of columns
    return (
        (0, 1, 2),
        tuple(names),
        (f"the header {quoted(last)} names no x, y and z; took the first three columns",),
    )


def _encoding(start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _delimiter(row: str) -> str | None:
    """The separator of a row: semicolon; white space between decimal commas; comma; white space."""
    if ";" in row:
        return ";"
    if "," in row:
        values = row.split()
        return None if len(values) >= 3 and all(_is_number(value) for value in values[:3]) else ","
    return None


def _split(row: str, delimiter: str | None) -> list[str]:
    return [value.strip().strip('"') for value in row.strip().split(delimiter)] if row.strip() else []


def _is_number(value: str) -> bool:
    return bool(_NUMBER.match(value) or _DECIMAL_COMMA.match(value) or _ODD_NUMBER.match(value))


def _is_row(row: str, delimiter: str | None) -> bool:
    return sum(_is_number(value) for value in _split(row, delimiter)) >= 3
