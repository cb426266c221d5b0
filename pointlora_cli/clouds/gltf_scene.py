"""The vertices and triangles that the scene of a glTF document shows, placed as its nodes say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error
from pointlora_cli.clouds.gltf_document import SAVE_AS_GLB, Document
from pointlora_cli.clouds.surface import Geometry

# A file of a few bytes can place one mesh, or name the same data, any number of times.
_MOST_VERTICES = _MOST_TRIANGLES = 50_000_000
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


class Scene:
    """Walks the nodes of a document and gathers what their meshes hold."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._meshes: dict[int, Geometry] = {}
        self._placed: list[tuple[Geometry, NDArray[np.float64]]] = []
        self._vertex_count = 0
        self._triangle_count = 0
        self._skipped = 0

    def geometry(self) -> Geometry:
        """All meshes, in the coordinates of the scene.

        Raises:
            CloudError: no mesh, more than the limits, or data that cannot be read.
            Exception: one of `DAMAGED`, from a document of the wrong form.
        """
        document = self._document
        if not document.entries.get("meshes"):
            raise cloud_error(document.path, "holds no mesh", EXPORT_AGAIN)
        seen: set[int] = set()
        stack = [(node, np.eye(4)) for node in document.roots()]
        while stack:
            index, above = stack.pop()
            if index in seen:
                raise ValueError(f"node {index} is reached twice")
            seen.add(index)
            node = document.item("nodes", index)
            if "EXT_mesh_gpu_instancing" in node.get("extensions", {}):
                problem = "repeats meshes by an extension that is not read"
                raise cloud_error(document.path, problem, SAVE_AS_GLB)
            matrix = above @ _node_matrix(node)
            if "mesh" in node:
                self._place(node["mesh"], matrix)
            stack += [(child, matrix) for child in node.get("children", [])]
        if not seen:  # meshes without a scene
            for mesh in range(len(document.entries["meshes"])):
                self._place(mesh, np.eye(4))
        if not self._vertex_count:
            raise cloud_error(document.path, "its scene shows no mesh", EXPORT_AGAIN)
        warnings: tuple[str, ...] = ()
        if self._skipped and self._triangle_count:  # without triangles, the vertices are a cloud
            warnings = (f"left out: {self._skipped:,} of its mesh parts are points, lines or empty",)
        vertices, triangles, count = [], [], 0
        for part, matrix in self._placed:
            vertices.append(part.vertices @ matrix[:3, :3].T + matrix[:3, 3])
            triangles.append(part.triangles + count)
            count += len(part.vertices)
        return Geometry(np.concatenate(vertices), np.concatenate(triangles), warnings)

    def _place(self, index: int, matrix: NDArray[np.float64]) -> None:
        mesh = self._mesh(index)
        self._vertex_count += len(mesh.vertices)
        self._triangle_count += len(mesh.triangles)
        self._limit(self._vertex_count, self._triangle_count)
        self._placed.append((mesh, matrix))  # repeated in memory only once the whole scene is known to fit

    def _mesh(self, index: int) -> Geometry:
        """A mesh as stored, read once however often it is shown."""
        primitives = self._document.item("meshes", index)["primitives"]
        if index not in self._meshes:
            vertices, triangles = [np.empty((0, 3))], [np.empty((0, 3), np.int64)]
            vertex_count = triangle_count = 0
            for primitive in primitives:
                part = self._primitive(primitive, vertex_count, triangle_count)
                vertices.append(part.vertices)
                triangles.append(part.triangles + vertex_count)
                vertex_count += len(part.vertices)
                triangle_count += len(part.triangles)
                self._skipped += not len(part.triangles)
            self._meshes[index] = Geometry(np.concatenate(vertices), np.concatenate(triangles))
        return self._meshes[index]

    def _primitive(self, primitive: dict[str, Any], vertices_before: int, triangles_before: int) -> Geometry:
        path = self._document.path
        if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
            problem = "its meshes are compressed with Draco, which is not read"
            raise cloud_error(path, problem, SAVE_AS_GLB)
        if "POSITION" not in primitive["attributes"]:
            return Geometry(np.empty((0, 3)))
        stored = self._document.values(primitive["attributes"]["POSITION"], "VEC3")
        self._limit(vertices_before + len(stored), triangles_before)
        vertices = stored.astype(np.float64)
        position = self._document.item("accessors", primitive["attributes"]["POSITION"])
        if position.get("normalized") and stored.dtype.kind in "iu":
            vertices = np.maximum(vertices / np.iinfo(stored.dtype).max, -1.0)
        mode = primitive.get("mode", _TRIANGLES)
        if mode not in (_TRIANGLES, _STRIP, _FAN):
            return Geometry(vertices)
        corners: NDArray[Any] = np.arange(len(vertices))
        if "indices" in primitive:
            corners = self._document.values(primitive["indices"], "SCALAR")[:, 0]
        self._limit(0, triangles_before + len(corners) // (3 if mode == _TRIANGLES else 1))
        if len(corners) and corners.max() >= len(vertices):
            problem = f"a face names vertex {corners.max()} of {len(vertices):,}"
            raise cloud_error(path, problem, EXPORT_AGAIN)
        return Geometry(vertices, _assemble(corners.astype(np.int64), mode))

    def _limit(self, vertices: int, triangles: int) -> None:
        for count, most, things in (
            (vertices, _MOST_VERTICES, "vertices"),
            (triangles, _MOST_TRIANGLES, "triangles"),
        ):
            if count > most:
                problem = f"its scene has more than {most:,} {things}"
                raise cloud_error(self._document.path, problem, "thin the meshes out before reading them")


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
    """Triangles (T, 3) of a primitive."""
    count = len(corners)
    if mode == _TRIANGLES:
        return corners[: count - count % 3].reshape(-1, 3)
    if count < 3:
        return np.empty((0, 3), np.int64)
    first = corners[:-2] if mode == _STRIP else np.full(count - 2, corners[0])
    return np.stack([first, corners[1:-1], corners[2:]], axis=1)
