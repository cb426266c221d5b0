"""The rows behind a PLY header: one class for text, one for binary, read element by element."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, quoted, truncated
from pointlora_cli.clouds.ply_header import Element, Header
from pointlora_cli.clouds.rows import NumberedLines, Promise, parse_rows
from pointlora_cli.errors import CloudError

_PLURALS = {"vertex": "vertices", "face": "faces"}

# numpy refuses row types of 2 GiB.
_LONGEST_ROW = 1 << 30

Places = tuple[int, ...]


def _things(element: Element) -> str:
    return _PLURALS.get(element.name, f"rows of {quoted(element.name)}")


def _truncated(path: Path, present: int, element: Element) -> CloudError:
    return truncated(path, present, element.count, _things(element))


class BinaryRows:
    """Reads elements one after the other from the bytes of a file."""

    def __init__(self, path: Path, data: NDArray[np.uint8], header: Header) -> None:
        self._path = path
        self._data = data
        self._order = header.byte_order
        self._position = header.data_start

    def values(self, element: Element, places: Places) -> NDArray[np.float64]:
        """The scalar properties at `places`: (count, places) float64."""
        table = self._table(element)
        result = np.empty((element.count, len(places)))
        if table is not None:
            for column, place in enumerate(places):
                result[:, column] = table[f"value{place}"]
            return result
        starts, _ = self._walk(element, places)
        for column, place in enumerate(places):
            result[:, column] = self._gather(starts[:, column], element.properties[place].type)
        return result

    def lists(self, element: Element, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The list property at `index`: sizes (count,), and the values of all rows in one array."""
        table = self._table(element)
        if table is not None:
            values = table[f"value{index}"]  # (count, k)
            return np.full(element.count, values.shape[1]), values.reshape(-1).astype(np.int64)
        starts, sizes = self._walk(element, (index,))
        starts, sizes = starts[:, 0], sizes[:, 0]
        width = np.dtype(element.properties[index].type).itemsize
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        values = self._gather(np.repeat(starts, sizes) + within * width, element.properties[index].type)
        return sizes, values.astype(np.int64)

    def skip(self, element: Element) -> None:
        """Goes behind the element."""
        if self._table(element) is None:
            self._walk(element, ())

    def _table(self, element: Element) -> NDArray[np.void] | None:
        """All rows as one table, or None if the lists of its rows differ in length."""
        if not element.count or not element.properties:
            return np.zeros(element.count if element.properties else 0, self._row_type(element, []))
        room = len(self._data) - self._position
        if element.count > room // element.smallest_row:
            raise _truncated(self._path, room // element.smallest_row, element)
        sizes = self._first_sizes(element)
        if sizes is None:
            return None
        row = self._row_type(element, sizes)
        if element.count > room // row.itemsize:
            if not any(p.count_type for p in element.properties):
                raise _truncated(self._path, room // row.itemsize, element)
            return None
        table = np.frombuffer(self._data, row, element.count, self._position)
        lists = [i for i, p in enumerate(element.properties) if p.count_type]
        if any((table[f"size{i}"] != sizes[i]).any() for i in lists):
            return None
        self._position += element.count * row.itemsize
        return table

    def _first_sizes(self, element: Element) -> list[int] | None:
        """Length of each property in the first row (1 for scalars); None if they reach past the end."""
        sizes: list[int] = []
        position = self._position
        for p in element.properties:
            size = 1
            if p.count_type:
                counter = np.dtype(self._order + p.count_type)
                if position + counter.itemsize > len(self._data):
                    return None
                size = int(np.frombuffer(self._data, counter, 1, position)[0])
                position += counter.itemsize
            if size < 0:
                return None
            position += size * np.dtype(p.type).itemsize
            sizes.append(size)
        longest = min(len(self._data), self._position + _LONGEST_ROW)
        return sizes if position <= longest else None

    def _row_type(self, element: Element, sizes: list[int]) -> np.dtype[np.void]:
        fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
        for i, p in enumerate(element.properties):
            if p.count_type:
                fields.append((f"size{i}", self._order + p.count_type))
                fields.append((f"value{i}", self._order + p.type, (sizes[i] if sizes else 0,)))
            else:
                fields.append((f"value{i}", self._order + p.type))
        return np.dtype(fields)

    def _walk(self, element: Element, wanted: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row by row: where each wanted property starts and how long it is, both (count, wanted)."""
        plan = [
            (i in wanted, struct.Struct(self._order + _letter(p.count_type)) if p.count_type else None,
             np.dtype(p.type).itemsize)
            for i, p in enumerate(element.properties)
        ]  # fmt: skip
        starts, sizes = array("q"), array("q")
        view, position, end = self._data.data, self._position, len(self._data)
        for row in range(element.count):
            for is_wanted, counter, width in plan:
                size = 1
                if counter:
                    if position + counter.size > end:
                        raise _truncated(self._path, row, element)
                    size = counter.unpack_from(view, position)[0]
                    position += counter.size
                    if size < 0:
                        problem = f"row {row + 1:,} of {quoted(element.name)} has a list of {size} values"
                        raise cloud_error(self._path, problem, EXPORT_AGAIN)
                if is_wanted:
                    starts.append(position)
                    sizes.append(size)
                position += size * width
            if position > end:
                raise _truncated(self._path, row, element)
        self._position = position
        shape = (element.count, len(wanted))
        order = np.argsort(np.argsort(wanted)).astype(np.int64)  # from the file's order to the one asked for
        found_starts, found_sizes = (np.array(found, np.int64).reshape(shape) for found in (starts, sizes))
        return found_starts[:, order], found_sizes[:, order]

    def _gather(self, starts: NDArray[np.int64], type_code: str) -> NDArray[np.generic]:
        """The values (n,) of one type that start at these bytes."""
        kind = np.dtype(self._order + type_code)
        found = self._data[starts[:, None] + np.arange(kind.itemsize)]  # (n, itemsize)
        return np.ascontiguousarray(found).view(kind)[:, 0]


def _letter(type_code: str) -> str:
    return np.dtype(type_code).char if type_code[1] != "8" else {"i": "q", "u": "Q"}[type_code[0]]


class AsciiRows:
    """Reads elements one after the other from the lines of a file."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._next_line = header.line_count + 1

    def values(self, element: Element, places: Places) -> NDArray[np.float64]:
        """The scalar properties at `places`: (count, places) float64."""
        lists = [i for i, p in enumerate(element.properties) if p.count_type]
        if lists and lists[0] < max(places):
            values = array("d")
            self._each_row(
                element, lambda starts, words: values.extend([float(words[starts[i]]) for i in places])
            )
            return np.frombuffer(values, np.float64).reshape(-1, len(places))
        width = 0 if lists else len(element.properties)
        promise = Promise(element.count, width, _things(element))
        rows, lines = parse_rows(
            self._path, lambda: self._lines(element.count), places, comments=None, promise=promise
        )
        self._next_line = lines.number + 1
        return rows

    def lists(self, element: Element, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The list property at `index`: sizes (count,), and the values of all rows in one array."""
        sizes, values = array("q"), array("q")

        def take(starts: list[int], words: list[str]) -> None:
            start = starts[index] + 1
            size = int(words[start - 1])
            values.extend(map(int, words[start : start + size]))
            sizes.append(size)

        self._each_row(element, take)
        return np.array(sizes, np.int64), np.array(values, np.int64)

    def skip(self, element: Element) -> None:
        """Goes behind the element."""
        lines = self._lines(element.count)
        present = sum(1 for _ in lines)
        if present < element.count:
            raise _truncated(self._path, present, element)
        self._next_line = lines.number + 1

    def _lines(self, limit: int) -> NumberedLines:
        return NumberedLines(self._open(), self._next_line, limit)

    def _open(self) -> Iterator[str]:
        with self._path.open(encoding="latin-1") as stream:
            for _ in range(self._next_line - 1):
                stream.readline()
            yield from stream

    def _each_row(self, element: Element, take: Callable[[list[int], list[str]], None]) -> None:
        """Hands each row to `take`: where in its words each property starts (a list: at its length)."""
        lines = self._lines(element.count)
        try:
            for line in lines:
                words = line.split()
                starts, position = [], 0
                for p in element.properties:
                    starts.append(position)
                    position += 1 + (_list_size(words[position]) if p.count_type else 0)
                if position > len(words):
                    raise IndexError
                take(starts, words)
        except IndexError:
            if lines.at_cut:
                raise _truncated(self._path, lines.given - 1, element) from None
            raise self._row_error(lines, "too few values") from None
        except (ValueError, OverflowError):
            raise self._row_error(lines, "not a row of its properties") from None
        if lines.given < element.count:
            raise _truncated(self._path, lines.given, element)
        self._next_line = lines.number + 1

    def _row_error(self, lines: NumberedLines, problem: str) -> CloudError:
        return cloud_error(
            self._path, f"line {lines.number:,}: {problem}: {quoted(lines.text)}", EXPORT_AGAIN
        )


def _list_size(word: str) -> int:
    size = int(word)
    if size < 0:
        raise ValueError
    return size
