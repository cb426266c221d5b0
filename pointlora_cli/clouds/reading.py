"""One way in: any readable point-cloud or mesh file becomes a checked `PointCloud`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointlora_cli.clouds.cloud import PointCloud, from_coordinates
from pointlora_cli.clouds.files import checked_size, cloud_error, quoted, system_errors
from pointlora_cli.clouds.gltf import read_glb, read_gltf
from pointlora_cli.clouds.label_names import LabelledRows
from pointlora_cli.clouds.las import read_labelled_las, read_las
from pointlora_cli.clouds.meshes import OFF_KEYWORD, read_obj, read_off, read_stl
from pointlora_cli.clouds.numpy_files import read_npy, read_npz
from pointlora_cli.clouds.numpy_labels import read_labelled_npy, read_labelled_npz
from pointlora_cli.clouds.open3d_meshes import FBX_START, read_fbx
from pointlora_cli.clouds.pcd import read_labelled_pcd, read_pcd
from pointlora_cli.clouds.ply import read_labelled_ply, read_ply
from pointlora_cli.clouds.surface import Geometry, sampled
from pointlora_cli.clouds.text import read_labelled_text, read_text


@dataclass(frozen=True)
class Format:
    """A file format: its name, its suffixes, how its content starts if that tells, and its readers."""

    name: str
    suffixes: tuple[str, ...]
    start: re.Pattern[bytes] | None
    read: Callable[[Path], Geometry]
    read_labelled: Callable[[Path, str], LabelledRows] | None = None
    """None for a mesh, which has no labels at points."""


FORMATS = (
    Format("PLY", (".ply",), re.compile(rb"ply\s*[\r\n]"), read_ply, read_labelled_ply),
    Format(
        "PCD", (".pcd",), re.compile(rb"# \.PCD|VERSION\s+0?\.\d|FIELDS\s+\w+\s"), read_pcd, read_labelled_pcd
    ),
    Format("LAS", (".las", ".laz"), re.compile(rb"LASF"), read_las, read_labelled_las),
    Format("NPY", (".npy",), re.compile(rb"\x93NUMPY"), read_npy, read_labelled_npy),
    Format(
        "NPZ",
        (".npz",),
        re.compile(rb"PK\x03\x04.{26}[^/]{1,200}?\.npy", re.DOTALL),
        read_npz,
        read_labelled_npz,
    ),
    Format("GLB", (".glb",), re.compile(rb"glTF"), read_glb),
    Format("glTF", (".gltf",), None, read_gltf),
    Format("FBX", (".fbx",), FBX_START, read_fbx),
    Format(
        "OFF",
        (".off",),
        re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*" + OFF_KEYWORD.pattern.encode("ascii")),
        read_off,
    ),
    Format("OBJ", (".obj",), None, read_obj),
    Format("STL", (".stl",), None, read_stl),
    Format("text", (".xyz", ".txt", ".pts", ".csv", ".asc"), None, read_text, read_labelled_text),
)

READABLE_SUFFIXES: frozenset[str] = frozenset(suffix for form in FORMATS for suffix in form.suffixes)

LABELLED_SUFFIXES: frozenset[str] = frozenset(
    suffix for form in FORMATS if form.read_labelled for suffix in form.suffixes
)

_SNIFFED_BYTES = 4096


def is_readable(path: Path | str) -> bool:
    """Whether the name ends like a file that `read` understands, in any case; the file is not opened."""
    return Path(path).suffix.lower() in READABLE_SUFFIXES


def read(path: Path | str, *, mesh_points: int = 16384, seed: int = 0) -> PointCloud:
    """Reads a point cloud, or draws points from the surface of a mesh.

    The content decides the format where it can, else the suffix; a name that says otherwise is a warning.

    Args:
        path: PLY, PCD, LAS, LAZ, NPY, NPZ, XYZ, TXT, PTS, CSV, ASC, OFF, OBJ, STL, GLB, glTF or FBX.
        mesh_points: number of points drawn from a mesh, evenly over its area.
        seed: the same seed draws the same points from a mesh.

    Returns:
        The cloud, (N, 3) float32 and finite, with at least two distinct points.

    Raises:
        CloudError: the path or the content cannot be used; the message begins with the path.
    """
    path = Path(path)
    # NaN, infinities and what follows from them are dropped or refused below, not warned of by numpy.
    with system_errors(path), np.errstate(all="ignore"):
        checked_size(path)
        form, warnings = find_format(path)
        coordinates, repaired = sampled(form.read(path), mesh_points, seed)
        return from_coordinates(coordinates, path, warnings + repaired)


def find_format(path: Path) -> tuple[Format, tuple[str, ...]]:
    """The format of a file, and a warning where its name says another.

    Raises:
        CloudError: neither the content nor the suffix tells.
    """
    with path.open("rb") as stream:
        start = stream.read(_SNIFFED_BYTES)
    suffix = path.suffix.lower()
    by_suffix = next((form for form in FORMATS if suffix in form.suffixes), None)
    by_content = next((form for form in FORMATS if form.start and form.start.match(start)), None)
    if by_content is None:
        if by_suffix is None:
            known = " ".join(sorted(READABLE_SUFFIXES))
            problem = f"unknown format: suffix {quoted(suffix) if suffix else 'missing'}"
            raise cloud_error(
                path, f"{problem}, content starts {quoted(start[:16])}", f"convert it to one of {known}"
            )
        return by_suffix, ()
    if by_content is by_suffix:
        return by_content, ()
    return by_content, (f"the content is {by_content.name} although the name ends in {quoted(suffix)}",)
