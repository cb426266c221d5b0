"""GLB, the binary form of glTF 2.0: the triangles of its scene, from the file itself and nowhere else."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, load_bytes, quoted, truncated
from pointlora_cli.clouds.gltf_document import DAMAGED, FAN, STRIP, TRIANGLES, Document, size
from pointlora_cli.clouds.surface import Geometry

_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_COMPONENT_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3}
# A file of a few bytes can place one mesh any number of times.
_MOST_VERTICES = 50_000_000
_SAVE_PLAIN = "save it as GLB without compression and with everything inside the file, or as PLY"


def read_glb(path: Path) -> Geometry:
    """Reads all meshes of the default scene, each placed as its node says.

    Raises:
        CloudError: broken or truncated chunks, no mesh, compressed (Draco, meshopt) or external data.
    """
    document, binary = _read_chunks(path)
    try:
        return _Scene(path, document, binary).geometry()
    except DAMAGED as error:
        raise cloud_error(
            path, f"its glTF document is damaged ({quoted(repr(error))})", EXPORT_AGAIN
        ) from None


def _read_chunks(path: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    data = load_bytes(path)
    if len(data) < 20 or data[:4].tobytes() != b"glTF":
        raise cloud_error(path, f"is not a GLB file: it starts with {quoted(data[:4].tobytes())}, not `glTF`")
    version, length = struct.unpack("<II", data[4:12].tobytes())
    if version != 2:
        raise cloud_error(path, f"is GLB version {version}; only 2 is read", _SAVE_PLAIN)
    if len(data) < length:
        raise truncated(path, len(data), length, "bytes")
    chunks: dict[int, NDArray[np.uint8]] = {}
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack("<II", data[position : position + 8].tobytes())
        position += 8
        if position + size > length:
            raise truncated(path, length - position, size, "bytes of a chunk")
        chunks.setdefault(kind, data[position : position + size])
        position += size
    try:
        document = json.loads(chunks[_JSON_CHUNK].tobytes())
    except (KeyError, ValueError, RecursionError):
        raise cloud_error(path, "its glTF document is missing or not JSON", EXPORT_AGAIN) from None
    if not isinstance(document, dict):
        raise cloud_error(path, "its glTF document is not an object", EXPORT_AGAIN)
    return document, chunks.get(_BINARY_CHUNK, data[:0])


class _Scene(Document):
    """Walks the nodes of a document and gathers what their meshes hold."""

    def __init__(self, path: Path, document: dict[str, Any], binary: NDArray[np.uint8]) -> None:
        super().__init__(path, document)
        self._binary = binary
        self._vertices: list[NDArray[np.float64]] = []
        self._triangles: list[NDArray[np.int64]] = []
        self._count = 0

    def geometry(self) -> Geometry:
        """The vertices and triangles of all meshes, in the coordinates of the scene."""
        if not self._document.get("meshes"):
            raise cloud_error(self._path, "holds no mesh", EXPORT_AGAIN)
        seen: set[int] = set()
        stack = [(node, np.eye(4)) for node in self._roots()]
        while stack:
            index, above = stack.pop()
            if index in seen:
                raise ValueError(f"node {index} is reached twice")
            seen.add(index)
            node = self._item("nodes", index)
            matrix = above @ _node_matrix(node)
            if "mesh" in node:
                self._add_mesh(node["mesh"], matrix)
            stack += [(child, matrix) for child in node.get("children", [])]
        if not seen:  # meshes without a scene
            for mesh in range(len(self._document["meshes"])):
                self._add_mesh(mesh, np.eye(4))
        if not self._vertices:
            raise cloud_error(self._path, "its scene shows no mesh", EXPORT_AGAIN)
        triangles = np.concatenate(self._triangles) if self._triangles else np.empty((0, 3), np.int64)
        return Geometry(np.concatenate(self._vertices), triangles)

    def _add_mesh(self, index: object, matrix: NDArray[np.float64]) -> None:
        for primitive in self._item("meshes", index)["primitives"]:
            if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
                raise cloud_error(
                    self._path, "its meshes are compressed with Draco, which is not read", _SAVE_PLAIN
                )
            if "POSITION" not in primitive["attributes"]:
                continue
            vertices = self._accessor(primitive["attributes"]["POSITION"], "VEC3").astype(np.float64)
            if self._count + len(vertices) > _MOST_VERTICES:
                raise cloud_error(self._path, f"its scene has more than {_MOST_VERTICES:,} vertices")
            corners = np.arange(len(vertices))
            if "indices" in primitive:
                corners = self._accessor(primitive["indices"], "SCALAR")[:, 0].astype(np.int64)
                if len(corners) and corners.max() >= len(vertices):
                    problem = f"a face names vertex {corners.max()} of {len(vertices):,}"
                    raise cloud_error(self._path, problem, EXPORT_AGAIN)
            triangles = _assemble(corners, primitive.get("mode", TRIANGLES))
            self._vertices.append(vertices @ matrix[:3, :3].T + matrix[:3, 3])
            self._triangles.append(triangles + self._count)
            self._count += len(vertices)

    def _accessor(self, index: object, shape: str) -> NDArray[Any]:
        """The values (count, width) of an accessor, normalised integers as fractions."""
        accessor = self._item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise cloud_error(self._path, "has sparse or empty accessors, which are not read", _SAVE_PLAIN)
        if accessor["type"] != shape:
            raise ValueError(f"accessor {index} is {accessor['type']}, not {shape}")
        view = self._item("bufferViews", accessor["bufferView"])
        if any("meshopt" in name for name in view.get("extensions", {})):
            raise cloud_error(
                self._path, "its meshes are compressed with meshopt, which is not read", _SAVE_PLAIN
            )
        if view.get("buffer") != 0 or "uri" in self._item("buffers", 0):
            raise cloud_error(
                self._path, "its data lies outside the file, which is not followed", _SAVE_PLAIN
            )
        kind = np.dtype(_COMPONENT_TYPES[accessor["componentType"]])
        count, width = size(accessor["count"]), _WIDTHS[shape]
        start, step = (
            size(accessor.get("byteOffset", 0)),
            size(view.get("byteStride", 0)) or kind.itemsize * width,
        )
        data = self._binary[size(view.get("byteOffset", 0)) :][: size(view["byteLength"])]
        needed = start + max(count - 1, 0) * step + kind.itemsize * width
        if count and len(data) < needed:
            raise truncated(self._path, len(data), needed, f"bytes of accessor {index}")
        if not count:
            return np.empty((0, width), kind)
        buffer = np.ascontiguousarray(data).data
        values: NDArray[Any] = np.ndarray((count, width), kind, buffer, start, (step, kind.itemsize))
        if accessor.get("normalized") and kind.kind in "iu":
            values = np.maximum(values / np.iinfo(kind).max, -1.0)
        return values


def _node_matrix(node: dict[str, Any]) -> NDArray[np.float64]:
    """A node's 4×4 matrix, given as such or as translation, rotation and scale."""
    if "matrix" in node:
        given: NDArray[np.float64] = np.array(node["matrix"], np.float64).reshape(4, 4)
        return np.ascontiguousarray(given.T)  # glTF writes column by column
    x, y, z, w = (float(value) for value in node.get("rotation", (0, 0, 0, 1)))
    norm = math.sqrt(x * x + y * y + z * z + w * w) or 1.0
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix


def _assemble(corners: NDArray[np.int64], mode: object) -> NDArray[np.int64]:
    """Triangles (T, 3) of a primitive; points and lines have none."""
    count = len(corners)
    if mode == TRIANGLES:
        return corners[: count - count % 3].reshape(-1, 3)
    if mode == STRIP and count >= 3:
        return np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    if mode == FAN and count >= 3:
        return np.stack([np.full(count - 2, corners[0]), corners[1:-1], corners[2:]], axis=1)
    return np.empty((0, 3), np.int64)
