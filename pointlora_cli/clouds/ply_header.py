"""The header of a PLY file: elements, their properties and where the data starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, quoted

LONGEST_HEADER = 1 << 20
_BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
# Not in the standard, but of one possible size: other software writes them.
_ODD_TYPES = {"bool": "u1", "byte": "i1", "ubyte": "u1", "int64": "i8", "uint64": "u8", "long64": "i8",
              "float16": "f2", "half": "f2"}  # fmt: skip


@dataclass(frozen=True)
class Property:
    """One property; `count_type` is set for a list. Types are numpy codes without byte order."""

    name: str
    type: str
    count_type: str | None = None


@dataclass(frozen=True)
class Element:
    """One element: `count` rows of `properties`."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def smallest_row(self) -> int:
        """Bytes that a binary row takes at least."""
        return sum(np.dtype(p.count_type or p.type).itemsize for p in self.properties)

    def index(self, *names: str) -> int | None:
        """Position of the first property called by one of `names` (any case)."""
        return next((i for i, p in enumerate(self.properties) if p.name.lower() in names), None)


@dataclass(frozen=True)
class Header:
    """A parsed header; `byte_order` is "", "<" or ">" and "" means ascii."""

    byte_order: str
    elements: tuple[Element, ...]
    data_start: int
    line_count: int
    warnings: tuple[str, ...]


def read_header(path: Path, data: NDArray[np.uint8]) -> Header:
    """Parses the header at the start of `data` (the file's bytes).

    Raises:
        CloudError: a line that is not understood (named by its number), or no end of the header.
    """
    start = data[:LONGEST_HEADER].tobytes()
    if start[:3].lower() != b"ply" or start[3:4].strip():
        problem = f"is not a PLY file: it starts with {quoted(start[:16])}, not `ply`"
        raise cloud_error(path, problem, "give the file the suffix of its real format")
    newline = b"\r\n" if start[3:5] == b"\r\n" else start[3:4] if start[3:4] in (b"\n", b"\r") else b"\n"
    lines: list[bytes] = []
    position = 0
    while not (lines and lines[-1].strip() == b"end_header"):
        end = start.find(newline, position)
        if end < 0 and start[position:].strip() != b"end_header":
            problem = "truncated: the header has no `end_header`"
            raise cloud_error(path, f"{problem} in its first {len(start):,} bytes", EXPORT_AGAIN)
        end = len(start) if end < 0 else end
        lines.append(start[position:end])
        position = min(end + len(newline), len(start))
    return _Parser(path).parse([line.decode("latin-1") for line in lines], position)


class _Parser:
    """Turns header lines into elements; one object per file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._byte_order: str | None = None
        self._elements: list[tuple[str, int, list[Property]]] = []
        self._odd_types: set[str] = set()
        self._number = 0

    def parse(self, lines: list[str], data_start: int) -> Header:
        for self._number, line in enumerate(lines[1:-1], 2):
            words = line.split()
            if words and words[0] not in ("comment", "obj_info"):
                self._statement(words, line)
        if self._byte_order is None:
            raise cloud_error(self._path, "the header has no `format` line", EXPORT_AGAIN)
        elements = tuple(Element(name, count, tuple(found)) for name, count, found in self._elements)
        odd = ", ".join(f"`{name}`" for name in sorted(self._odd_types))
        warnings = (f"accepted the type {odd}, which is not in the PLY standard",) if odd else ()
        return Header(self._byte_order, elements, data_start, len(lines), warnings)

    def _statement(self, words: list[str], line: str) -> None:
        match words:
            case ["format", name, *_] if name in _BYTE_ORDERS:
                self._byte_order = _BYTE_ORDERS[name]
            case ["element", name, count]:
                self._elements.append((name, self._count(count), []))
            case ["property", "list", count_type, type_name, name] if self._elements:
                sizes = self._type(count_type)
                if sizes.startswith("f"):
                    raise self._error(f"a list cannot be counted in {count_type}")
                self._elements[-1][2].append(Property(name, self._type(type_name), sizes))
            case ["property", type_name, name] if self._elements and type_name != "list":
                self._elements[-1][2].append(Property(name, self._type(type_name)))
            case _:
                raise self._error(f"not understood: {quoted(line)}")

    def _count(self, text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise self._error(f"{quoted(text)} is not a count")
        return int(text)

    def _type(self, name: str) -> str:
        if name in _ODD_TYPES:
            self._odd_types.add(name)
            return _ODD_TYPES[name]
        if name not in _TYPES:
            raise self._error(f"unknown type {quoted(name)}")
        return _TYPES[name]

    def _error(self, problem: str) -> Exception:
        return cloud_error(self._path, f"header line {self._number}: {problem}", EXPORT_AGAIN)
