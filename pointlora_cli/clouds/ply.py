"""PLY: ascii and binary of either byte order, any properties, lists anywhere, faces as a mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, load_bytes
from pointlora_cli.clouds.label_names import LabelledRows, find_label
from pointlora_cli.clouds.ply_header import Element, Header, read_header
from pointlora_cli.clouds.ply_rows import AsciiRows, BinaryRows, Places
from pointlora_cli.clouds.surface import Geometry, triangulated

_CORNERS = ("vertex_indices", "vertex_index")


def read_ply(path: Path) -> Geometry:
    """Reads the vertices of a PLY file, and the triangles of its faces if it has any.

    Raises:
        CloudError: broken header, no vertices, no x, y or z, truncated data, faces that name missing
            vertices.
    """
    data = load_bytes(path)
    header = read_header(path, data)
    vertex, axes = _vertex_element(path, header)
    face, corners = _face_element(path, header)
    rows = _rows(path, data, header)
    vertices, polygons = None, None
    for element in header.elements:
        if element is vertex:
            vertices = rows.values(element, axes)
        elif element is face:
            polygons = rows.lists(element, corners)
        else:
            rows.skip(element)
        if vertices is not None and (polygons is not None or face is None):
            break  # nothing behind it is of use
    assert vertices is not None
    warnings = header.warnings
    if any(element.name == "tristrips" and element.count for element in header.elements):
        warnings += ("ignored the triangle strips; took the vertices instead",)
    if polygons is None:
        return Geometry(vertices, warnings=warnings)
    triangles, repaired = triangulated(path, *polygons, len(vertices))
    return Geometry(vertices, triangles, warnings + repaired)


def read_labelled_ply(path: Path, label: str) -> LabelledRows:
    """Reads the vertices of a PLY file with one of their properties; faces are left out.

    Raises:
        CloudError: as `read_ply`, or no such property.
    """
    data = load_bytes(path)
    header = read_header(path, data)
    vertex, axes = _vertex_element(path, header)
    scalars = [index for index, p in enumerate(vertex.properties) if not p.count_type]
    names = [vertex.properties[index].name for index in scalars]
    found, warnings = find_label(path, label, names, "property")
    rows = _rows(path, data, header)
    for element in header.elements:
        if element is vertex:
            break
        rows.skip(element)
    values = rows.values(vertex, (*axes, scalars[found]))
    if any(element.name == "face" and element.count for element in header.elements):
        warnings += ("ignored the faces; took the labelled vertices",)
    return LabelledRows(values[:, :3], values[:, 3], f"`{names[found]}`", header.warnings + warnings)


def _rows(path: Path, data: NDArray[np.uint8], header: Header) -> BinaryRows | AsciiRows:
    return BinaryRows(path, data, header) if header.byte_order else AsciiRows(path, header)


def _vertex_element(path: Path, header: Header) -> tuple[Element, Places]:
    """The element with the points, and which of its properties are x, y and z."""
    vertex = next((element for element in header.elements if element.name == "vertex"), None)
    if vertex is None:
        names = ", ".join(element.name for element in header.elements) or "none"
        raise cloud_error(path, f"has no vertex element (its elements: {names})", EXPORT_AGAIN)
    indices = {axis: vertex.index(axis) for axis in "xyz"}
    missing = [
        axis for axis, index in indices.items() if index is None or vertex.properties[index].count_type
    ]
    if missing:
        raise cloud_error(path, f"its vertices have no {', '.join(missing)}", EXPORT_AGAIN)
    if vertex.count == 0:
        raise cloud_error(path, "no points: the header states 0 vertices", EXPORT_AGAIN)
    x, y, z = (index for index in indices.values() if index is not None)
    return vertex, (x, y, z)


def _face_element(path: Path, header: Header) -> tuple[Element | None, int]:
    """The element with faces and which of its properties lists the corners; None for a plain cloud."""
    for element in header.elements:
        index = element.index(*_CORNERS)
        if element.name != "face" or not element.count or index is None:
            continue
        corners = element.properties[index]
        if corners.count_type and not corners.type.startswith("f"):
            return element, index
        raise cloud_error(path, f"its faces' {corners.name} is not a list of integers", EXPORT_AGAIN)
    return None, 0
