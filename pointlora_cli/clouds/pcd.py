"""PCD of the Point Cloud Library: ascii, binary and binary_compressed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds import lzf
from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, load_bytes, quoted, truncated
from pointlora_cli.clouds.label_names import LabelledRows, find_label
from pointlora_cli.clouds.rows import NumberedLines, Promise, parse_rows
from pointlora_cli.clouds.surface import Geometry

_LONGEST_HEADER = 1 << 16
_TYPES = {("F", 4): "<f4", ("F", 8): "<f8", **{("I", n): f"<i{n}" for n in (1, 2, 4, 8)},
          **{("U", n): f"<u{n}" for n in (1, 2, 4, 8)}}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """A parsed header: for each field its name, numpy type and number of values."""

    names: list[str]
    types: list[str]
    counts: list[int]
    points: int
    layout: str
    data_start: int
    line_count: int
    warnings: tuple[str, ...]

    @property
    def axes(self) -> tuple[int, int, int]:
        """Which fields are x, y and z."""
        return self.names.index("x"), self.names.index("y"), self.names.index("z")

    @property
    def point_size(self) -> int:
        """Bytes of one point."""
        return sum(np.dtype(t).itemsize * c for t, c in zip(self.types, self.counts, strict=True))

    def field_start(self, index: int, *, values: bool = False) -> int:
        """Bytes (or values) of a point before the field."""
        before = zip(self.types[:index], self.counts[:index], strict=True)
        return sum(c if values else np.dtype(t).itemsize * c for t, c in before)


def read_pcd(path: Path) -> Geometry:
    """Reads the fields x, y and z of a PCD file; an organised cloud becomes a list of its points.

    Raises:
        CloudError: broken header, no x, y or z, no points, truncated or damaged data.
    """
    data = load_bytes(path)
    header = _read_header(path, data)
    return Geometry(_read_fields(path, data, header, header.axes), warnings=header.warnings)


def read_labelled_pcd(path: Path, label: str) -> LabelledRows:
    """Reads the fields x, y and z of a PCD file with a field of labels.

    Raises:
        CloudError: as `read_pcd`, or no such field.
    """
    data = load_bytes(path)
    header = _read_header(path, data)
    single = [index for index, count in enumerate(header.counts) if count == 1]
    names = [header.names[index] for index in single]
    found, warnings = find_label(path, label, names, "field")
    values = _read_fields(path, data, header, (*header.axes, single[found]))
    return LabelledRows(values[:, :3], values[:, 3], f"`{names[found]}`", header.warnings + warnings)


def _read_fields(
    path: Path, data: NDArray[np.uint8], header: Header, fields: tuple[int, ...]
) -> NDArray[np.float64]:
    """The fields at these places, of one value each: (points, fields)."""
    if header.points == 0:
        raise cloud_error(path, "no points: the header states 0", EXPORT_AGAIN)
    readers = {"ascii": _read_ascii, "binary": _read_binary, "binary_compressed": _read_compressed}
    return readers[header.layout](path, data, header, fields)


def _read_header(path: Path, data: NDArray[np.uint8]) -> Header:
    start = data[:_LONGEST_HEADER].tobytes()
    entries: dict[str, list[str]] = {}
    position = line_count = 0
    while "DATA" not in entries:
        if position >= len(start):
            raise cloud_error(path, "truncated: the header has no `DATA` line", EXPORT_AGAIN)
        end = start.find(b"\n", position)
        end = len(start) if end < 0 else end
        line = start[position:end].decode("latin-1").split("#")[0]
        words = line.replace("\0", " ").split()
        line_count += 1
        if words:
            if not words[0].isalpha():
                raise cloud_error(
                    path, f"header line {line_count}: not understood: {quoted(line)}", EXPORT_AGAIN
                )
            entries["FIELDS" if words[0] == "COLUMNS" else words[0].upper()] = words[1:]
        position = min(end + 1, len(start))
    return _parse_entries(path, entries, position, line_count)


def _parse_entries(path: Path, entries: dict[str, list[str]], data_start: int, line_count: int) -> Header:
    names = entries.get("FIELDS", [])
    if not names:
        raise cloud_error(path, "the header has no `FIELDS` line", EXPORT_AGAIN)
    missing = [axis for axis in "xyz" if axis not in names]
    if missing:
        raise cloud_error(
            path, f"has no {', '.join(missing)} among its fields ({quoted(' '.join(names))})", EXPORT_AGAIN
        )
    sizes = _integers(path, entries, "SIZE", len(names), "4")
    counts = _integers(path, entries, "COUNT", len(names), "1")
    kinds = entries.get("TYPE", ["F"] * len(names))
    if len(kinds) != len(names):
        raise cloud_error(path, f"the header has {len(names)} FIELDS and {len(kinds)} TYPE", EXPORT_AGAIN)
    types = [_type(path, kind, size) for kind, size in zip(kinds, sizes, strict=True)]
    if any(counts[names.index(axis)] != 1 for axis in "xyz"):
        raise cloud_error(path, "x, y and z must have COUNT 1", EXPORT_AGAIN)
    width, height = (_integers(path, entries, key, 1, "1")[0] for key in ("WIDTH", "HEIGHT"))
    points = _integers(path, entries, "POINTS", 1, str(width * height))[0]
    warnings: tuple[str, ...] = ()
    if "WIDTH" in entries and width * height != points:
        warnings = (f"WIDTH x HEIGHT is {width * height:,} and POINTS {points:,}; went by POINTS",)
    layout = " ".join(entries["DATA"]).lower()
    if layout not in ("ascii", "binary", "binary_compressed"):
        raise cloud_error(
            path, f"DATA {quoted(layout)} is not ascii, binary or binary_compressed", EXPORT_AGAIN
        )
    return Header(names, types, counts, points, layout, data_start, line_count, warnings)


def _integers(path: Path, entries: dict[str, list[str]], key: str, expected: int, default: str) -> list[int]:
    words = entries.get(key, [default] * expected)
    if len(words) != expected or not all(
        word.isascii() and word.isdigit() and len(word) <= 18 for word in words
    ):
        problem = f"{key} must have {expected} whole number{'s' if expected > 1 else ''}"
        raise cloud_error(path, f"header: {problem}, not {quoted(' '.join(words))}", EXPORT_AGAIN)
    return [int(word) for word in words]


def _type(path: Path, kind: str, size: int) -> str:
    if (kind, size) not in _TYPES:
        raise cloud_error(path, f"header: no type {quoted(kind)} of {size} bytes", EXPORT_AGAIN)
    return _TYPES[kind, size]


def _read_ascii(
    path: Path, _data: NDArray[np.uint8], header: Header, fields: tuple[int, ...]
) -> NDArray[np.float64]:
    def lines() -> Iterator[str]:
        with path.open(encoding="latin-1", newline="\n") as stream:
            for _ in range(header.line_count):
                stream.readline()
            yield from stream

    def numbered() -> NumberedLines:
        return NumberedLines(lines(), header.line_count + 1, header.points)

    columns = tuple(header.field_start(field, values=True) for field in fields)
    promise = Promise(header.points, sum(header.counts), "points")
    points, _ = parse_rows(path, numbered, columns, comments=None, promise=promise)
    return points


def _read_binary(
    path: Path, data: NDArray[np.uint8], header: Header, fields: tuple[int, ...]
) -> NDArray[np.float64]:
    present = (len(data) - header.data_start) // header.point_size
    if present < header.points:
        raise truncated(path, present, header.points, "points")
    points = np.empty((header.points, len(fields)))
    for column, field in enumerate(fields):
        start, kind = header.data_start + header.field_start(field), np.dtype(header.types[field])
        points[:, column] = np.ndarray((header.points,), kind, data.data, start, (header.point_size,))
    return points


def _read_compressed(
    path: Path, data: NDArray[np.uint8], header: Header, fields: tuple[int, ...]
) -> NDArray[np.float64]:
    body = data[header.data_start :]
    if len(body) < 8:
        raise truncated(path, 0, header.points, "points")
    packed, unpacked = struct.unpack("<II", body[:8].tobytes())
    if len(body) - 8 < packed:
        raise truncated(path, len(body) - 8, packed, "compressed bytes")
    if unpacked != header.points * header.point_size:
        needed = f"{header.points:,} points need {header.points * header.point_size:,}"
        raise cloud_error(path, f"its data unpacks to {unpacked:,} bytes, but {needed}", EXPORT_AGAIN)
    try:
        values = lzf.decompress(body[8 : 8 + packed].tobytes(), unpacked)
    except ValueError as error:
        raise cloud_error(path, f"damaged compressed data: {error}", EXPORT_AGAIN) from None
    points = np.empty((header.points, len(fields)))
    for column, field in enumerate(fields):  # the data holds all of the first field, then of the second, ...
        start = header.points * header.field_start(field)
        points[:, column] = np.frombuffer(values, header.types[field], header.points, start)
    return points
