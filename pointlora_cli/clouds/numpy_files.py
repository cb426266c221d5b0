"""NPY and NPZ: arrays of points, never unpickled, never allocated on a header's word alone."""

from __future__ import annotations

import ast
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, quoted
from pointlora_cli.clouds.surface import Geometry

LARGEST_ARRAY = 4 << 30
_LONGEST_HEADER = 1 << 16
_MOST_COLUMNS = 16
_MOST_MEMBERS = 1000
_POINT_KEYS = ("points", "xyz", "pos", "position", "positions", "coords", "coord", "coordinates",
               "vertices", "cloud", "point_cloud", "pointcloud",
               "pc", "pcd", "pts", "data", "arr_0")  # fmt: skip
_REMEDY = "save an array of numbers of shape (N, 3): np.save(path, points)"
# What zipfile raises for damaged, encrypted or unknown members.
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class ArrayHeader:
    """What the header of an NPY stream says."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def size_in_bytes(self) -> int:
        """Size of the data behind the header."""
        return self.dtype.itemsize * math.prod(self.shape)


def read_npy(path: Path) -> Geometry:
    """Reads an array (N, 3 or more), (3, N) or structured with fields x, y, z.

    Raises:
        CloudError: broken header, pickled objects, truncated data, or another shape.
    """
    return geometry_of(load_point_array(path))


def read_npz(path: Path) -> Geometry:
    """Reads the points of an NPZ: the array called `points`, `xyz`, `pos`, ..., or the only suitable one.

    Raises:
        CloudError: damaged archive, no suitable array or several, an array of more than 4 GiB.
    """
    with opened_archive(path) as archive:
        points = load_member(path, archive, choose_points(path, archive))
    return geometry_of(points)


def load_point_array(path: Path) -> NDArray[np.generic]:
    """The array of an NPY file, which holds points; mapped, not copied.

    Raises:
        CloudError: as `read_npy`.
    """
    with path.open("rb") as stream:
        header = read_array_header(path, stream, "the array")
        start = stream.tell()
    present = path.stat().st_size - start
    if present < header.size_in_bytes:
        raise _truncated(path, present, header, "the array")
    _check_points(path, header, "the array")
    data = np.memmap(path, np.uint8, "r", start, (header.size_in_bytes,)).view(np.ndarray)
    return _shaped(data.view(header.dtype), header)


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive of an NPZ; what zipfile raises of a damaged one becomes a `CloudError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _ZIP_ERRORS as error:
        raise cloud_error(path, f"damaged archive: {quoted(str(error))}", EXPORT_AGAIN) from None


def load_member(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """One array of an NPZ.

    Raises:
        CloudError: it is damaged, truncated, or of more than 4 GiB.
    """
    info = archive.getinfo(name)
    if info.file_size > LARGEST_ARRAY:
        raise cloud_error(
            path,
            f"{quoted(name)} unpacks to {info.file_size:,} bytes; at most {LARGEST_ARRAY:,} are read",
            "save it as .npy, which is read without unpacking",
        )
    with archive.open(info) as stream:
        header = read_array_header(path, stream, quoted(name))
        data = stream.read(header.size_in_bytes) if header.size_in_bytes <= info.file_size else b""
        if len(data) < header.size_in_bytes:
            raise _truncated(path, info.file_size, header, quoted(name))
    return _shaped(np.frombuffer(data, header.dtype), header)


def choose_points(path: Path, archive: zipfile.ZipFile) -> str:
    """The member of an NPZ that holds the points.

    Raises:
        CloudError: no array could, or several.
    """
    names = [name for name in archive.namelist() if name.endswith(".npy")]
    if len(names) > _MOST_MEMBERS:
        raise cloud_error(path, f"holds {len(names):,} arrays; at most {_MOST_MEMBERS:,} are looked at")
    suitable = {}
    for name in names:
        with archive.open(name) as stream:
            header = read_array_header(path, stream, quoted(name), refuse_objects=False)
        if _problem(header) is None:
            suitable[name.removesuffix(".npy").lower()] = name
    for key in _POINT_KEYS:
        if key in suitable:
            return suitable[key]
    if len(suitable) == 1:
        return next(iter(suitable.values()))
    listed = ", ".join(name.removesuffix(".npy") for name in names[:10]) or "none"
    problem = f"{len(suitable)} arrays could be the points" if suitable else "no array of shape (N, 3)"
    raise cloud_error(
        path, f"{problem} (arrays: {quoted(listed)})", "call the array `points`: np.savez(path, points=...)"
    )


def read_array_header(
    path: Path, stream: IO[bytes], what: str, *, refuse_objects: bool = True
) -> ArrayHeader:
    """Parses an NPY header; numpy's own reader lets several kinds of exception out of a damaged one."""
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise cloud_error(path, f"{what} does not start with an NPY header", EXPORT_AGAIN)
    length_format = "<H" if start[6] == 1 else "<I"
    length_bytes = stream.read(struct.calcsize(length_format))
    if len(length_bytes) < struct.calcsize(length_format):
        raise cloud_error(path, f"{what} is truncated within its header", EXPORT_AGAIN)
    length = struct.unpack(length_format, length_bytes)[0]
    text = stream.read(min(length, _LONGEST_HEADER))
    if len(text) < length:
        raise cloud_error(path, f"{what} is truncated within its header", EXPORT_AGAIN)
    try:
        # Python 2 wrote long integers as 10L.
        content = ast.literal_eval(
            re.sub(r"(\d)L\b", r"\1", text.decode("utf-8" if start[6] == 3 else "latin-1"))
        )
        shape, fortran = content["shape"], content["fortran_order"]
        dtype = np.lib.format.descr_to_dtype(content["descr"])
        whole = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < 1 << 62 for size in shape)
        if not whole or not isinstance(fortran, bool):
            raise ValueError("shape")
    except (
        ValueError,
        SyntaxError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        MemoryError,
    ):
        raise cloud_error(path, f"{what} has a damaged header: {quoted(text)}", EXPORT_AGAIN) from None
    if dtype.hasobject and refuse_objects:
        raise cloud_error(
            path, f"{what} holds pickled Python objects, which can run code and are not read", _REMEDY
        )
    return ArrayHeader(dtype, shape, fortran)


def _truncated(path: Path, present: int, header: ArrayHeader, what: str) -> Exception:
    promised = f"{header.size_in_bytes:,} bytes of its shape {header.shape}"
    return cloud_error(path, f"truncated: {what} holds {present:,} of the {promised}", EXPORT_AGAIN)


def _check_points(path: Path, header: ArrayHeader, what: str) -> None:
    problem = _problem(header)
    if problem:
        raise cloud_error(path, f"{what} {problem}", _REMEDY)


def _problem(header: ArrayHeader) -> str | None:
    """Why an array cannot be points, or None if it can."""
    if header.dtype.hasobject:
        return "holds Python objects"
    if header.dtype.names:
        return (
            None
            if _fields(header.dtype)
            else f"has no fields x, y and z (but {', '.join(header.dtype.names[:8])})"
        )
    if header.dtype.kind not in "fiu" or header.dtype.subdtype:
        return f"holds {header.dtype}, not numbers"
    shape = _squeezed(header.shape)
    if len(shape) == 2 and (3 <= shape[1] <= _MOST_COLUMNS or (shape[0] == 3 and shape[1] > _MOST_COLUMNS)):
        return None
    if len(shape) == 3 and shape[2] >= 3:
        return f"has the shape {header.shape}: a batch of {shape[0]:,} clouds, not one"
    return f"has the shape {header.shape}, not (N, 3)"


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _fields(dtype: np.dtype[np.generic]) -> list[str] | None:
    """The fields x, y and z of a structured type, or the one that holds all three."""
    fields: Mapping[str, Any] = dtype.fields or {}
    names = {name.lower(): name for name in fields}
    if all(axis in names and fields[names[axis]][0].kind in "fiu" for axis in "xyz"):
        return [names[axis] for axis in "xyz"]
    for key in _POINT_KEYS:
        subtype = fields[names[key]][0].subdtype if key in names else None
        if subtype and subtype[1] == (3,) and subtype[0].kind in "fiu":
            return [names[key]]
    return None


def _shaped(flat: NDArray[np.generic], header: ArrayHeader) -> NDArray[np.generic]:
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def geometry_of(array: NDArray[np.generic]) -> Geometry:
    """The points of an array that was checked to hold some."""
    names = _fields(array.dtype) if array.dtype.names else None
    if names:
        table: NDArray[Any] = array.reshape(-1)
        columns = [table[name] for name in names]
        points = np.stack(columns, axis=1) if len(columns) == 3 else columns[0]
        return Geometry(points.astype(np.float64))
    rows, columns_present = _squeezed(array.shape)
    array = array.reshape(rows, columns_present)
    if columns_present > _MOST_COLUMNS:
        turned = f"the array is {rows} x {columns_present:,}: took its columns as the points"
        return Geometry(array[:3].T.astype(np.float64), warnings=(turned,))
    return Geometry(array[:, :3].astype(np.float64))
