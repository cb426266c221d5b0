"""glTF 2.0 meshes in both containers: one binary file (.glb), or JSON with its data inside or beside it (.gltf)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, load_bytes, quoted, truncated
from pointlora_cli.clouds.gltf_document import DAMAGED, SAVE_AS_GLB, Document
from pointlora_cli.clouds.gltf_scene import Scene
from pointlora_cli.clouds.surface import Geometry

_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942


def read_glb(path: Path) -> Geometry:
    """Reads all meshes of the default scene, each placed as its node says, from the file and nowhere else.

    Raises:
        CloudError: broken or truncated chunks, no mesh, compressed (Draco, meshopt) or external data.
    """
    data = load_bytes(path)
    if len(data) < 20 or data[:4].tobytes() != b"glTF":
        raise cloud_error(path, f"is not a GLB file: it starts with {quoted(data[:4].tobytes())}, not `glTF`")
    version, length = struct.unpack("<II", data[4:12].tobytes())
    if version != 2:
        raise cloud_error(path, f"is GLB version {version}; only 2 is read", SAVE_AS_GLB)
    if len(data) < length:
        raise truncated(path, len(data), length, "bytes")
    chunks = _chunks(path, data[:length])
    if _JSON_CHUNK not in chunks:
        raise cloud_error(path, "its glTF document is missing", EXPORT_AGAIN)
    entries = _parsed(path, chunks[_JSON_CHUNK].tobytes())
    return _geometry(Document(path, entries, chunks.get(_BINARY_CHUNK, data[:0])))


def read_gltf(path: Path) -> Geometry:
    """Reads all meshes of the default scene, each placed as its node says.

    Raises:
        CloudError: not glTF 2 in JSON, no mesh, truncated, compressed or unreachable data, or data
            elsewhere than in the file or right beside it.
    """
    entries = _parsed(path, path.read_bytes())
    if not isinstance(entries.get("asset"), dict):
        raise cloud_error(path, "is JSON but not glTF: it has no `asset`", EXPORT_AGAIN)
    version = str(entries["asset"].get("version"))
    if not version.startswith("2."):
        raise cloud_error(path, f"is glTF version {quoted(version)}; only 2 is read", SAVE_AS_GLB)
    return _geometry(Document(path, entries))


def _chunks(path: Path, data: NDArray[np.uint8]) -> dict[int, NDArray[np.uint8]]:
    """The first chunk of each kind."""
    chunks: dict[int, NDArray[np.uint8]] = {}
    position = 12
    while position + 8 <= len(data):
        size, kind = struct.unpack("<II", data[position : position + 8].tobytes())
        position += 8
        if position + size > len(data):
            raise truncated(path, len(data) - position, size, "bytes of a chunk")
        chunks.setdefault(kind, data[position : position + size])
        position += size
    return chunks


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        problem = f"its glTF document is not JSON ({quoted(str(error))})"
        raise cloud_error(path, problem, EXPORT_AGAIN) from None
    if not isinstance(entries, dict):
        raise cloud_error(path, "is not glTF: its JSON is not an object", EXPORT_AGAIN)
    return entries


def _geometry(document: Document) -> Geometry:
    try:
        return Scene(document).geometry()
    except DAMAGED as error:
        problem = f"its glTF document is damaged ({quoted(repr(error))})"
        raise cloud_error(document.path, problem, EXPORT_AGAIN) from None
