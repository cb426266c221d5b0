"""A checked, self-contained copy of a .gltf file: all that native code gets to see of it.

Only nodes, triangles and the buffers behind them are copied. Materials, images, skins and animations do
not change the geometry, but would let a stranger's file name other files and reach more native code.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from pointlora_cli.clouds.files import EXPORT_AGAIN, checked_size, cloud_error, quoted, truncated
from pointlora_cli.clouds.gltf_document import DAMAGED, FAN, STRIP, TRIANGLES, Document, size
from pointlora_cli.errors import CloudError

SAVE_AS_GLB = "save it as GLB with everything inside the file and without compression, or as PLY"
_INDEX_TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4"}
_POSITION_TYPES = {5126: "<f4"}  # assimp reads quantised positions as zeros, without a word
_PLACEMENT = ("matrix", "translation", "rotation", "scale")
# A file of a few bytes can place one mesh any number of times.
_MOST_TRIANGLES = 50_000_000


def copy_gltf(path: Path, folder: Path) -> tuple[str, int, tuple[str, ...]]:
    """Writes the copy and its buffers into `folder`.

    Returns:
        The name of the copy, the number of triangles its scene states, and warnings.

    Raises:
        CloudError: not glTF 2 in JSON, no triangles, truncated, compressed or unreachable data, or data
            elsewhere than in the file or right beside it.
    """
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise cloud_error(path, f"is not JSON ({quoted(str(error))})", EXPORT_AGAIN) from None
    if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
        raise cloud_error(path, "is JSON but not glTF: it has no `asset`", EXPORT_AGAIN)
    version = document["asset"].get("version")
    if not str(version).startswith("2."):
        raise cloud_error(path, f"is glTF version {quoted(str(version))}; only 2 is read", SAVE_AS_GLB)
    try:
        return _Copy(path, document, folder).write()
    except DAMAGED as error:
        problem = f"its glTF document is damaged ({quoted(repr(error))})"
        raise cloud_error(path, problem, EXPORT_AGAIN) from None


class _Copy(Document):
    """Walks the nodes of a document and copies what their meshes need, numbered anew."""

    def __init__(self, path: Path, document: dict[str, Any], folder: Path) -> None:
        super().__init__(path, document)
        self._folder = folder
        self._new: dict[str, list[dict[str, Any]]] = {
            key: [] for key in ("nodes", "meshes", "accessors", "bufferViews", "buffers")
        }
        self._meshes: dict[int, tuple[int | None, int]] = {}
        self._accessors: dict[tuple[int, str], tuple[int, int]] = {}
        self._buffers: dict[int, tuple[int, int]] = {}
        self._skipped = 0

    def write(self) -> tuple[str, int, tuple[str, ...]]:
        """Copies the scene."""
        if not self._document.get("meshes"):
            raise cloud_error(self._path, "holds no mesh", EXPORT_AGAIN)
        roots: list[int] = []
        triangles = self._copy_nodes(roots)
        skipped = f"{self._skipped:,} of its mesh parts are points, lines or empty"
        if not triangles:
            problem = skipped if self._skipped else "its scene shows no mesh"
            raise cloud_error(self._path, f"no triangles: {problem}", SAVE_AS_GLB)
        if triangles > _MOST_TRIANGLES:
            raise cloud_error(self._path, f"its scene has more than {_MOST_TRIANGLES:,} triangles")
        clean = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": roots}], **self._new}
        (self._folder / "mesh.gltf").write_text(json.dumps(clean), encoding="utf-8")
        return "mesh.gltf", triangles, (f"left out: {skipped}",) if self._skipped else ()

    def _copy_nodes(self, roots: list[int]) -> int:
        """Copies all nodes that the scene reaches; the number of triangles they show."""
        nodes, triangles, seen = self._new["nodes"], 0, set()
        stack = [(index, roots) for index in self._roots()]
        while stack:
            index, siblings = stack.pop()
            if index in seen:
                raise ValueError(f"node {index} is reached twice")
            seen.add(index)
            node = self._item("nodes", index)
            if "EXT_mesh_gpu_instancing" in node.get("extensions", {}):
                raise cloud_error(self._path, "repeats meshes by an extension that is not read", SAVE_AS_GLB)
            siblings.append(len(nodes))
            nodes.append({key: node[key] for key in _PLACEMENT if key in node})
            kept = nodes[-1]
            if "mesh" in node:
                triangles += self._copy_mesh(node["mesh"], kept)
            if node.get("children"):
                kept["children"] = []
                stack += [(child, kept["children"]) for child in node["children"]]
        if not seen:  # meshes without a scene
            for mesh in range(len(self._document["meshes"])):
                roots.append(len(nodes))
                nodes.append({})
                triangles += self._copy_mesh(mesh, nodes[-1])
        return triangles

    def _copy_mesh(self, index: int, node: dict[str, Any]) -> int:
        """Gives `node` the mesh, copied once however often it is shown; its number of triangles."""
        if index not in self._meshes:
            parts, total = [], 0
            for primitive in self._item("meshes", index)["primitives"]:
                part, triangles = self._primitive(primitive)
                if triangles:
                    parts.append(part)
                total += triangles
                self._skipped += not triangles
            number = len(self._new["meshes"]) if parts else None
            self._new["meshes"] += [{"primitives": parts}] if parts else []
            self._meshes[index] = (number, total)
        number, total = self._meshes[index]
        if number is not None:
            node["mesh"] = number
        return total

    def _primitive(self, primitive: dict[str, Any]) -> tuple[dict[str, Any], int]:
        if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
            problem = "its meshes are compressed with Draco, which is not read"
            raise cloud_error(self._path, problem, SAVE_AS_GLB)
        mode = primitive.get("mode", TRIANGLES)
        if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in primitive["attributes"]:
            return {}, 0
        vertices, count = self._accessor(primitive["attributes"]["POSITION"], "VEC3")
        part: dict[str, Any] = {"attributes": {"POSITION": vertices}, "mode": mode}
        if "indices" in primitive:
            part["indices"], count = self._accessor(primitive["indices"], "SCALAR")
        return part, count // 3 if mode == TRIANGLES else max(count - 2, 0)

    def _accessor(self, index: int, shape: str) -> tuple[int, int]:
        """Copies an accessor with a view of its own; its new number, and how many values it has."""
        if (index, shape) in self._accessors:
            return self._accessors[index, shape]
        accessor = self._item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise cloud_error(self._path, "has sparse or empty accessors, which are not read", SAVE_AS_GLB)
        kinds, width = (_POSITION_TYPES, 3) if shape == "VEC3" else (_INDEX_TYPES, 1)
        kind = accessor["componentType"]
        if kind not in kinds or accessor["type"] != shape:
            problem = f"stores positions or corners as {accessor['type']} of type {kind}, which is not read"
            raise cloud_error(self._path, problem, SAVE_AS_GLB)
        view = self._item("bufferViews", accessor["bufferView"])
        if any("meshopt" in name for name in view.get("extensions", {})):
            problem = "its meshes are compressed with meshopt, which is not read"
            raise cloud_error(self._path, problem, SAVE_AS_GLB)
        count, whole = size(accessor["count"], 1), np.dtype(kinds[kind]).itemsize * width
        start, step = size(accessor.get("byteOffset", 0)), size(view.get("byteStride", 0)) or whole
        buffer, present = self._buffer(view["buffer"])
        offset, length = size(view.get("byteOffset", 0)), size(view["byteLength"])
        if offset + length > present:
            raise truncated(self._path, present, offset + length, f"bytes of a view of buffer {buffer}")
        needed = start + (count - 1) * step + whole
        if needed > length:
            raise truncated(self._path, length, needed, f"bytes of accessor {index}")
        number = len(self._new["accessors"])
        stride = {"byteStride": step} if "byteStride" in view else {}
        self._new["bufferViews"].append(
            {"buffer": buffer, "byteOffset": offset, "byteLength": length, **stride}
        )
        self._new["accessors"].append(
            {"bufferView": number, "byteOffset": start, "componentType": kind, "count": count, "type": shape}
        )
        self._accessors[index, shape] = (number, count)
        return number, count

    def _buffer(self, index: int) -> tuple[int, int]:
        """Copies a buffer's bytes into the folder; its new number and its stated length."""
        if index not in self._buffers:
            stated = self._item("buffers", index)
            length, uri = size(stated["byteLength"]), stated.get("uri")
            if not isinstance(uri, str):
                raise cloud_error(self._path, f"buffer {index} names no data (`uri`)", EXPORT_AGAIN)
            number = len(self._buffers)
            target = self._folder / f"{number}.bin"
            if uri[:5].lower() == "data:":
                _embedded(self._path, uri, target)
            else:
                _beside(self._path, uri, target)
            if target.stat().st_size < length:
                raise truncated(self._path, target.stat().st_size, length, f"bytes of buffer {index}")
            self._new["buffers"].append({"byteLength": length, "uri": target.name})
            self._buffers[index] = (number, length)
        return self._buffers[index]


def _embedded(path: Path, uri: str, target: Path) -> None:
    head, _, body = uri.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError
        target.write_bytes(base64.b64decode(body, validate=True))
    except ValueError:
        raise cloud_error(path, "its embedded data is not whole base64 text", EXPORT_AGAIN) from None


def _beside(path: Path, uri: str, target: Path) -> None:
    name = unquote(uri)
    if name in ("", ".", "..") or any(sign in name for sign in "/\\:") or not name.isprintable():
        problem = (
            f"its data is at {quoted(uri)}, which is not a plain file name beside it and is not followed"
        )
        raise cloud_error(path, problem, SAVE_AS_GLB)
    source = path.parent / name
    try:
        checked_size(source)
        shutil.copyfile(source, target)
    except (CloudError, FileNotFoundError, IsADirectoryError, PermissionError):
        problem = f"its data {quoted(name)} is missing beside it, empty, or not a readable file"
        raise cloud_error(path, problem, f"put {quoted(name)} into the same folder") from None
