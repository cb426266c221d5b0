"""Strict access to a glTF document: its lists, the numbers behind its accessors, the bytes of its buffers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, checked_size, cloud_error, load_bytes, quoted, truncated
from pointlora_cli.errors import CloudError

SAVE_AS_GLB = "save it as GLB without compression and with everything inside the file, or as PLY"
# The document is JSON of any content; a wrong type anywhere in it ends in one of these.
DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    ArithmeticError,
    RecursionError,
)
_WIDTHS = {"SCALAR": 1, "VEC3": 3}
_INDEX_TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4"}
_COMPONENT_TYPES = {
    "SCALAR": _INDEX_TYPES,  # the only scalars read: a signed or fractional one would name a wrong vertex
    "VEC3": {5120: "<i1", 5122: "<i2", 5126: "<f4", **_INDEX_TYPES},
}


class Document:
    """The JSON of a glTF file, of any content, with the data that it points to."""

    def __init__(self, path: Path, entries: dict[str, Any], binary: NDArray[np.uint8] | None = None) -> None:
        """`binary` is the binary chunk of GLB, which then is the only file that is read."""
        self.path = path
        self.entries = entries
        self._binary = binary
        self._buffers: dict[int, NDArray[np.uint8]] = {}

    def item(self, key: str, index: object) -> dict[str, Any]:
        """Entry `index` of a list of the document; Python's negative indices and floats are refused."""
        items = self.entries.get(key, [])
        if type(index) is not int or not 0 <= index < len(items):
            raise IndexError(f"no entry {index} in {key}")
        item = items[index]
        if not isinstance(item, dict):
            raise TypeError(f"entry {index} of {key} is no object")
        return item

    def roots(self) -> list[int]:
        """The nodes that the default scene shows; without scenes, those that are no node's child."""
        if self.entries.get("scenes"):
            return list(self.item("scenes", self.entries.get("scene", 0)).get("nodes", []))
        nodes = self.entries.get("nodes", [])
        children = {child for node in nodes for child in node.get("children", [])}
        return [index for index in range(len(nodes)) if index not in children]

    def values(self, index: object, shape: str) -> NDArray[Any]:
        """The values (count, width) of an accessor as they are stored, not copied."""
        accessor = self.item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise cloud_error(self.path, "has sparse or empty accessors, which are not read", SAVE_AS_GLB)
        code = accessor["componentType"]
        if accessor["type"] != shape or code not in _COMPONENT_TYPES[shape]:
            raise ValueError(f"accessor {index}: {accessor['type']} of {code}")
        kind, count, width = np.dtype(_COMPONENT_TYPES[shape][code]), size(accessor["count"]), _WIDTHS[shape]
        view = self.item("bufferViews", accessor["bufferView"])
        if any("meshopt" in name for name in view.get("extensions", {})):
            problem = "its meshes are compressed with meshopt, which is not read"
            raise cloud_error(self.path, problem, SAVE_AS_GLB)
        data = self._view(view)
        whole = kind.itemsize * width
        start, step = size(accessor.get("byteOffset", 0)), size(view.get("byteStride", 0)) or whole
        if not count:
            return np.empty((0, width), kind)
        needed = start + (count - 1) * step + whole
        if len(data) < needed:
            raise truncated(self.path, len(data), needed, f"bytes of accessor {index}")
        buffer = np.ascontiguousarray(data).data
        values: NDArray[Any] = np.ndarray((count, width), kind, buffer, start, (step, kind.itemsize))
        return values

    def _view(self, view: dict[str, Any]) -> NDArray[np.uint8]:
        buffer = self._buffer(view["buffer"])
        offset, length = size(view.get("byteOffset", 0)), size(view["byteLength"])
        if offset + length > len(buffer):
            raise truncated(self.path, len(buffer), offset + length, "bytes of a view")
        return buffer[offset : offset + length]

    def _buffer(self, index: int) -> NDArray[np.uint8]:
        """A buffer's bytes, as many as stated."""
        stated = self.item("buffers", index)
        if index not in self._buffers:
            length = size(stated["byteLength"])
            data = self._data(index, stated.get("uri"))
            if len(data) < length:
                raise truncated(self.path, len(data), length, f"bytes of buffer {index}")
            self._buffers[index] = data[:length]
        return self._buffers[index]

    def _data(self, index: int, uri: object) -> NDArray[np.uint8]:
        if uri is None and index == 0 and self._binary is not None:
            return self._binary
        if not isinstance(uri, str):
            raise cloud_error(self.path, f"buffer {index} names no data (`uri`)", EXPORT_AGAIN)
        if uri[:5].lower() == "data:":
            return _embedded(self.path, uri)
        if self._binary is not None:
            problem = "its data lies outside the file, which is not followed"
            raise cloud_error(self.path, problem, SAVE_AS_GLB)
        return _beside(self.path, uri)


def size(value: object) -> int:
    """A count or a number of bytes, checked."""
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise ValueError(f"{value} is not a size")
    return value


def _embedded(path: Path, uri: str) -> NDArray[np.uint8]:
    head, _, body = uri.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError
        return np.frombuffer(base64.b64decode(body, validate=True), np.uint8)
    except ValueError:
        raise cloud_error(path, "its embedded data is not whole base64 text", EXPORT_AGAIN) from None


def _beside(path: Path, uri: str) -> NDArray[np.uint8]:
    """The bytes of another file, which only a plain name may reach: a stranger wrote it."""
    name = unquote(uri)
    if name in ("", ".", "..") or any(sign in name for sign in "/\\:") or not name.isprintable():
        problem = (
            f"its data is at {quoted(uri)}, which is not a plain file name beside it and is not followed"
        )
        raise cloud_error(path, problem, SAVE_AS_GLB)
    source = path.parent / name
    try:
        checked_size(source)
        return load_bytes(source)
    except (CloudError, OSError):
        problem = f"its data {quoted(name)} is missing beside it, empty, or not a readable file"
        raise cloud_error(path, problem, f"put {quoted(name)} into the same folder") from None
