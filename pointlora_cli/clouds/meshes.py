"""Meshes in OFF, OBJ and STL; own parsers, since the usual libraries skip errors silently."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, load_bytes, quoted, truncated
from pointlora_cli.clouds.rows import NumberedLines, Promise, parse_rows
from pointlora_cli.clouds.surface import Geometry, triangulated

OFF_KEYWORD = re.compile(r"(?:ST)?C?N?(4?n?)OFF(?![A-Za-z])")
_STL_TRIANGLE = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_STL_HEADER = 84


def _text_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="latin-1") as stream:
        yield from stream


def read_off(path: Path) -> Geometry:
    """Reads OFF with any of the prefixes ST, C and N; polygons become fans of triangles.

    Raises:
        CloudError: no `OFF`, broken counts, truncated data, faces that name missing vertices.
    """
    counts, first_line = _off_counts(path)
    vertex_count, face_count = counts
    if vertex_count == 0:
        raise cloud_error(path, "no points: the file states 0 vertices", EXPORT_AGAIN)
    if vertex_count * 4 > path.stat().st_size:  # a vertex takes at least `0 0 0` and a line end
        raise truncated(path, 0, vertex_count, "vertices")

    def lines(limit: int, first: int) -> NumberedLines:
        def without_comments() -> Iterator[str]:
            for number, line in enumerate(_text_lines(path), 1):
                if number >= first:
                    yield line.split("#")[0] if "#" in line else line

        return NumberedLines(without_comments(), first, limit)

    promise = Promise(vertex_count, 3, "vertices")
    vertices, taken = parse_rows(
        path, lambda: lines(vertex_count, first_line), comments=None, promise=promise
    )
    if not face_count:
        return Geometry(vertices)
    sizes, corners = _off_faces(path, lines(face_count, taken.number + 1), face_count)
    triangles, warnings = triangulated(path, sizes, corners, vertex_count)
    return Geometry(vertices, triangles, warnings)


def _off_counts(path: Path) -> tuple[tuple[int, int], int]:
    """The numbers of vertices and faces, and the line behind them; `OFF` and the counts may share a line."""
    content = ((number, line.split("#")[0].strip()) for number, line in enumerate(_text_lines(path), 1))
    content = ((number, text) for number, text in content if text)
    number, text = next(content, (1, ""))
    keyword = OFF_KEYWORD.match(text)
    if not keyword:
        raise cloud_error(path, f"is not an OFF file: it starts with {quoted(text)}, not `OFF`")
    text = text[keyword.end() :].strip()
    if keyword[1] or text.upper().startswith("BINARY"):
        raise cloud_error(
            path, "is OFF in binary or in another dimension than 3", "save it as plain OFF or PLY"
        )
    if not text:
        number, text = next(content, (number, ""))
    words = text.split()
    if len(words) < 2 or not all(word.isascii() and word.isdigit() and len(word) <= 15 for word in words[:2]):
        problem = f"{quoted(text)} is not the counts of vertices and faces"
        raise cloud_error(path, f"line {number}: {problem}", EXPORT_AGAIN)
    return (int(words[0]), int(words[1])), number + 1


def _off_faces(path: Path, lines: NumberedLines, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sizes (F,) and corners (sum of sizes,) of the faces; colours behind the corners are ignored."""
    sizes, corners = array("q"), array("q")
    try:
        for line in lines:
            words = line.split()
            size = int(words[0])
            if not 0 <= size < len(words):
                raise ValueError
            corners.extend(map(int, words[1 : 1 + size]))
            sizes.append(size)
    except (ValueError, OverflowError):
        if lines.at_cut:
            raise truncated(path, len(sizes), count, "faces") from None
        raise cloud_error(
            path, f"line {lines.number:,}: not a face: {quoted(lines.text)}", EXPORT_AGAIN
        ) from None
    if len(sizes) < count:
        raise truncated(path, len(sizes), count, "faces")
    return np.array(sizes, np.int64), np.array(corners, np.int64)


def read_obj(path: Path) -> Geometry:
    """Reads the vertices and faces of an OBJ file; materials, groups, curves and lines are ignored.

    Raises:
        CloudError: no vertex, a malformed vertex or face, faces that name missing vertices.
    """
    vertices, sizes, corners = array("d"), array("q"), array("q")
    lines = NumberedLines(_text_lines(path))
    try:
        for line in _joined(lines):
            words = line.split("#")[0].split()
            if len(words) < 2:
                continue
            if words[0] == "v":
                x, y, z = words[1:4]
                vertices.extend((float(x), float(y), float(z)))
            elif words[0] in ("f", "fo"):
                present = len(vertices) // 3
                sizes.append(len(words) - 1)
                corners.extend([_obj_index(word, present) for word in words[1:]])
    except (ValueError, OverflowError):
        problem = f"not a vertex or face: {quoted(lines.text)}"
        raise cloud_error(path, f"line {lines.number:,}: {problem}", EXPORT_AGAIN) from None
    points = np.array(vertices, np.float64).reshape(-1, 3)
    if not len(points):
        raise cloud_error(path, "no points: the file has no vertex (`v x y z`)", EXPORT_AGAIN)
    if not sizes:
        return Geometry(points)
    triangles, warnings = triangulated(
        path, np.array(sizes, np.int64), np.array(corners, np.int64), len(points)
    )
    return Geometry(points, triangles, warnings)


def _joined(lines: NumberedLines) -> Iterator[str]:
    """Lines, with those that end in a backslash joined to the next."""
    start = ""
    for line in lines:
        if line.endswith("\\\n"):
            start += line[:-2] + " "
            continue
        yield start + line
        start = ""
    if start:
        yield start


def _obj_index(word: str, present: int) -> int:
    """The vertex (from 0) of `v`, `v/vt`, `v//vn` or `v/vt/vn`; negative numbers count from the last one."""
    number = int(word.split("/", 1)[0])
    if number == 0:
        raise ValueError
    return number - 1 if number > 0 else present + number


def read_stl(path: Path) -> Geometry:
    """Reads binary STL, or ascii STL with any number of solids.

    Raises:
        CloudError: no triangles, truncated data, or broken text.
    """
    data = load_bytes(path)
    start = data[:1024].tobytes()
    claimed = int.from_bytes(start[80:_STL_HEADER], "little") if len(start) >= _STL_HEADER else 0
    needed = _STL_HEADER + claimed * _STL_TRIANGLE.itemsize
    looks_ascii = start.lstrip()[:5].lower() == b"solid" and b"\0" not in start
    if looks_ascii and len(data) != needed:
        return _stl_ascii(path)
    if len(data) < _STL_HEADER:
        raise cloud_error(
            path, f"truncated: {len(data)} of the {_STL_HEADER} bytes of an STL header", EXPORT_AGAIN
        )
    if claimed == 0:
        raise cloud_error(path, "no points: the file states 0 triangles", EXPORT_AGAIN)
    if len(data) < needed:
        raise truncated(path, (len(data) - _STL_HEADER) // _STL_TRIANGLE.itemsize, claimed, "triangles")
    table = np.frombuffer(data, _STL_TRIANGLE, claimed, _STL_HEADER)
    extra = len(data) - needed
    warnings = (f"ignored {extra:,} bytes behind the last triangle",) if extra else ()
    return _soup(table["corners"].reshape(-1, 3).astype(np.float64), warnings)


class _VertexLines(NumberedLines):
    """What follows the word `vertex` in the lines of an ascii STL."""

    last_statement = ""

    def __iter__(self) -> Iterator[str]:
        for line in super().__iter__():
            words = line.split(maxsplit=1)
            if not words:
                continue
            self.last_statement = words[0].lower()
            if self.last_statement == "vertex":
                yield words[1] if len(words) > 1 else "missing"


def _stl_ascii(path: Path) -> Geometry:
    """The `vertex` lines, three to a triangle; the text must end with `endsolid`."""
    vertices, lines = parse_rows(path, lambda: _VertexLines(_text_lines(path)), comments=None)
    assert isinstance(lines, _VertexLines)
    if lines.last_statement != "endsolid" or len(vertices) % 3:
        whole = len(vertices) // 3
        problem = f"truncated: it ends at line {lines.number:,} after {whole:,} triangles, without `endsolid`"
        raise cloud_error(path, problem, EXPORT_AGAIN)
    if not len(vertices):
        raise cloud_error(path, "no points: the file has no triangle", EXPORT_AGAIN)
    return _soup(vertices)


def _soup(corners: NDArray[np.float64], warnings: tuple[str, ...] = ()) -> Geometry:
    """Triangles that share no vertices: three rows each."""
    return Geometry(corners, np.arange(len(corners), dtype=np.int64).reshape(-1, 3), warnings)
