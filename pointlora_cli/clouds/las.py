"""LAS and LAZ: plain LAS with numpy alone, compressed points (LAZ) through lazrs, which comes with laspy."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, load_bytes, quoted, truncated
from pointlora_cli.clouds.label_names import LabelledRows, find_label
from pointlora_cli.clouds.surface import Geometry

_SMALLEST_HEADER = 227
_HEADER_OF_1_4 = 375
# Bytes of a point in formats 0 to 10; extra bytes may follow.
_POINT_SIZES = (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)
_CHUNK = 1_000_000
_RECORD_HEADER = 54
_LASZIP_RECORD = 22204
_LONGEST_RECORDS = 1 << 26
_MOST_POINTS_PER_BYTE = 100


@dataclass(frozen=True)
class Header:
    """The part of a LAS header that says where the points are."""

    data_start: int
    point_format: int
    point_size: int
    count: int
    compressed: bool
    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]


def read_las(path: Path) -> Geometry:
    """Reads the scaled coordinates of LAS 1.0 to 1.4, point formats 0 to 10, compressed (LAZ) or not.

    Raises:
        CloudError: broken header, no points, truncated or damaged data, or LAZ without lazrs.
    """
    return Geometry(_read_points(path)[0])


def read_labelled_las(path: Path, label: str) -> LabelledRows:
    """Reads the scaled coordinates with the classification of each point.

    Raises:
        CloudError: as `read_las`, or another attribute is asked for.
    """
    find_label(path, label, ["classification"], "attribute")
    coordinates, classes = _read_points(path)
    return LabelledRows(coordinates, classes.astype(np.float64), "`classification`")


def _read_points(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Coordinates (N, 3) and classifications (N,)."""
    data = load_bytes(path)
    header = _read_header(path, data)
    if header.count == 0:
        raise cloud_error(path, "no points: the header states 0", EXPORT_AGAIN)
    if header.compressed:
        return _read_compressed(path, data, header)
    present = max(len(data) - header.data_start, 0) // header.point_size
    if present < header.count:
        raise truncated(path, present, header.count, "points")
    return _decoded(data, header, header.data_start, header.count)


def _decoded(
    data: NDArray[np.uint8], header: Header, start: int, count: int
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Coordinates (count, 3) and classifications (count,) of the points that lie from byte `start` on."""
    # X, Y and Z are the first three fields of every point format.
    integers: NDArray[np.int32] = np.ndarray((count, 3), "<i4", data.data, start, (header.point_size, 4))
    place, bits = (15, 0x1F) if header.point_format < 6 else (16, 0xFF)  # flags share the older byte
    classes: NDArray[np.uint8] = np.ndarray((count,), "u1", data.data, start + place, (header.point_size,))
    return _scaled(integers, header), classes & np.uint8(bits)


def _scaled(integers: NDArray[np.int32], header: Header) -> NDArray[np.float64]:
    coordinates: NDArray[np.float64] = integers * header.scales
    coordinates += header.offsets
    return coordinates


def _read_header(path: Path, data: NDArray[np.uint8]) -> Header:
    start = data[:_HEADER_OF_1_4].tobytes()
    if start[:4] != b"LASF":
        raise cloud_error(path, f"is not a LAS file: it starts with {quoted(start[:8])}, not `LASF`")
    if len(start) < _SMALLEST_HEADER:
        raise cloud_error(
            path, f"truncated: {len(start)} of the {_SMALLEST_HEADER} bytes of a header", EXPORT_AGAIN
        )
    major, minor = start[24], start[25]
    if major != 1 or minor > 4:
        raise cloud_error(path, f"is LAS {major}.{minor}; 1.0 to 1.4 are read", "export it as LAS 1.2 or 1.4")
    data_start, _, format_id, point_size, count = struct.unpack_from("<IIBHI", start, 96)
    if minor == 4 and len(start) == _HEADER_OF_1_4:
        count = struct.unpack_from("<Q", start, 247)[0] or count
    compressed, point_format = bool(format_id & 0xC0), format_id & 0x3F
    if point_format >= len(_POINT_SIZES):
        raise cloud_error(path, f"has point format {point_format}; 0 to 10 are read", EXPORT_AGAIN)
    if point_size < _POINT_SIZES[point_format] or data_start < _SMALLEST_HEADER:
        problem = f"points of {point_size} bytes from byte {data_start:,} on"
        raise cloud_error(path, f"damaged header: {problem} in point format {point_format}", EXPORT_AGAIN)
    scales = np.frombuffer(start, "<f8", 3, 131).astype(np.float64)
    offsets = np.frombuffer(start, "<f8", 3, 155).astype(np.float64)
    if not (np.isfinite(scales).all() and np.isfinite(offsets).all() and (scales != 0).any()):
        raise cloud_error(path, f"damaged header: scales {scales}, offsets {offsets}", EXPORT_AGAIN)
    return Header(data_start, point_format, point_size, count, compressed, scales, offsets)


def _read_compressed(
    path: Path, data: NDArray[np.uint8], header: Header
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Decodes LAZ through lazrs alone: laspy's own header reader loops for hours on a damaged header."""
    try:
        import lazrs
    except ImportError:
        remedy = "pip install 'pointlora[las]', or export it as uncompressed LAS"
        raise cloud_error(path, "is compressed (LAZ), which needs laspy with lazrs", remedy) from None
    record = _laszip_record(path, data, header)
    _check_chunk_table(path, data, header)
    coordinates, classes = np.empty((header.count, 3)), np.empty(header.count, np.uint8)
    with path.open("rb") as stream, _decoder_errors(path):
        if lazrs.LazVlr(record).item_size() != header.point_size:
            raise ValueError("the sizes of a point disagree")
        stream.seek(header.data_start)
        decoder = lazrs.LasZipDecompressor(stream, record)
        for start in range(0, header.count, _CHUNK):
            count = min(_CHUNK, header.count - start)
            block = np.zeros(count * header.point_size, np.uint8)
            decoder.decompress_many(block)
            rows = slice(start, start + count)
            coordinates[rows], classes[rows] = _decoded(block, header, 0, count)
    return coordinates, classes


def _laszip_record(path: Path, data: NDArray[np.uint8], header: Header) -> bytes:
    """The variable-length record that says how the points are compressed."""
    start = data[: min(header.data_start, _LONGEST_RECORDS)].tobytes()
    position = int.from_bytes(start[94:96], "little")
    while _SMALLEST_HEADER <= position <= len(start) - _RECORD_HEADER:
        user, number, length = struct.unpack_from("<2x16sHH", start, position)
        position += _RECORD_HEADER
        if user.rstrip(b"\0") == b"laszip encoded" and number == _LASZIP_RECORD:
            return start[position : position + length]
        position += length
    raise cloud_error(path, "damaged LAZ data: no record says how it is compressed", EXPORT_AGAIN)


def _check_chunk_table(path: Path, data: NDArray[np.uint8], header: Header) -> None:
    """Refuses counts that the decoder would allocate memory for, or decode for ever, on their word alone."""
    if header.data_start + 8 > len(data) or header.count > len(data) * _MOST_POINTS_PER_BYTE:
        raise truncated(path, 0, header.count, "points")
    first = data[header.data_start : header.data_start + 8].tobytes()
    table = int.from_bytes(first, "little", signed=True)
    if table == -1:  # written to a pipe: the place of the table is at the end
        table = int.from_bytes(data[-8:].tobytes(), "little", signed=True)
    if not header.data_start <= table <= len(data) - 8:
        problem = f"truncated: its table of chunks should be at byte {table:,} of {len(data):,}"
        raise cloud_error(path, problem, EXPORT_AGAIN)
    chunks = int.from_bytes(data[table + 4 : table + 8].tobytes(), "little")
    if chunks > len(data):
        raise cloud_error(path, f"damaged LAZ data: it claims {chunks:,} chunks", EXPORT_AGAIN)


@contextmanager
def _decoder_errors(path: Path) -> Iterator[None]:
    """What the LAZ decoder raises on damaged data, as one error; `LazrsError` is a `RuntimeError`."""
    try:
        yield
    except (EOFError, OSError, RuntimeError, ValueError) as error:
        problem = str(error) or type(error).__name__
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a Rust panic: no `Exception`, and of no public class
            raise
        problem = str(error)
    else:
        return
    raise cloud_error(path, f"damaged LAZ data: {quoted(problem)}", EXPORT_AGAIN)
