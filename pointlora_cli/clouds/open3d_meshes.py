"""FBX through open3d, which runs in a child process of its own.

open3d is native code that on a stranger's file may crash, hang, print, or return part of the mesh. So the
child gets a copy in a temporary folder, its output is kept off ours, and its result is checked.
"""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import EXPORT_AGAIN, cloud_error, load_bytes, quoted
from pointlora_cli.clouds.surface import Geometry

FBX_START = re.compile(rb"Kaydara FBX Binary  |\s*; FBX")
_SECONDS = 17.0  # 15 for the file, 2 for importing open3d
_MEMORY = 32 << 30  # bytes of addresses, on systems that limit them: a small file may ask for any amount
_NOT_IMPORTABLE = 3
_SAVE_AS_GLB = "save it as GLB without compression, or as PLY"
_INSTALL = "pip install 'open3d-cpu!=0.20.0' (open3d where there is no open3d-cpu), on Python 3.12 or older"
# `read_triangle_mesh` drops every mesh that has a polygon of more than three corners (Open3D issue 5364);
# `read_triangle_model` cuts polygons into triangles.
_CHILD = f"""
import sys
sys.path += sys.argv[2:]  # where the parent finds packages; -I leaves some of these out
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY}, resource.getrlimit(resource.RLIMIT_AS)[1]))
except (ImportError, OSError, ValueError):
    pass  # no such limits here
try:
    import numpy
    import open3d
except (ImportError, OSError) as error:
    print(error)
    sys.exit({_NOT_IMPORTABLE})
open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Warning)
vertices, triangles, count = [numpy.empty((0, 3))], [numpy.empty((0, 3), numpy.int64)], 0
for part in open3d.io.read_triangle_model(sys.argv[1]).meshes:
    vertices.append(numpy.asarray(part.mesh.vertices, numpy.float64))
    triangles.append(numpy.asarray(part.mesh.triangles, numpy.int64) + count)
    count += len(vertices[-1])
numpy.savez("mesh.npz", vertices=numpy.concatenate(vertices), triangles=numpy.concatenate(triangles))
"""


def read_fbx(path: Path) -> Geometry:
    """Reads the meshes of an FBX file, each placed as its model says; polygons become triangles.

    Raises:
        CloudError: not FBX, open3d is missing or fails, or it finds no triangle.
    """
    data = load_bytes(path)
    start = data[:64].tobytes()
    if not FBX_START.match(start):
        problem = (
            f"is not an FBX file: it starts with {quoted(start[:16])}, not `Kaydara FBX Binary` or `; FBX`"
        )
        raise cloud_error(path, problem, EXPORT_AGAIN)
    stated = _fbx_triangles(data)
    with tempfile.TemporaryDirectory(prefix="pointlora-", ignore_cleanup_errors=True) as folder:
        data.tofile(Path(folder) / "mesh.fbx")  # alone in its folder, away from the textures it may name
        vertices, triangles = _converted(path, Path(folder), "mesh.fbx")
    if len(triangles) >= stated:
        return Geometry(vertices, triangles)
    # No error: the file may hold a mesh that no model shows.
    return Geometry(
        vertices,
        triangles,
        (f"open3d returned {len(triangles):,} of the {stated:,} triangles that the file holds",),
    )


def _fbx_triangles(data: NDArray[np.uint8]) -> int:
    """Number of triangles in the polygons of all meshes; a negative index ends a polygon."""
    total = 0
    view = data.data
    for found in re.finditer(rb"PolygonVertexIndex:\s*(?:\*\d+\s*\{\s*a:)?([\d\s,-]+)", view):
        total += found[1].count(b",") + 1 - 2 * found[1].count(b"-")
    for found in re.finditer(rb"\x12PolygonVertexIndexi(.{12})", view, re.DOTALL):
        count, packed, size = struct.unpack("<III", found[1])
        body = view[found.end() :][:size]
        try:
            limit = min(max(4 * count, 1), 1 << 30)
            content = zlib.decompressobj().decompress(body, limit) if packed else bytes(body)
        except zlib.error:
            continue  # open3d says what is wrong with it
        indices = np.frombuffer(content[: len(content) // 4 * 4], "<i4")
        total += len(indices) - 2 * int(np.count_nonzero(indices < 0))
    return total


def _converted(path: Path, folder: Path, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices and triangles that open3d, in a child process, finds in the file `name` of `folder`."""
    search = [entry for entry in sys.path if Path(entry).is_absolute()]
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD, name, *search],
            check=False,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # idle threads take addresses and time to start
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        problem = f"open3d did not finish reading it within {_SECONDS:g} s"
        raise cloud_error(path, problem, _SAVE_AS_GLB) from None
    except OSError as error:
        problem = f"cannot start a process for open3d: {quoted(str(error))}"
        raise cloud_error(path, problem, _SAVE_AS_GLB) from None
    said = _last_words(child.stdout)
    if child.returncode == _NOT_IMPORTABLE:
        raise cloud_error(path, f"needs open3d, which does not import: {said}", _INSTALL)
    if child.returncode:
        problem = f"open3d crashed on it ({_end(child.returncode)}){': ' + said if said else ''}"
        raise cloud_error(path, problem, _SAVE_AS_GLB)
    try:
        with np.load(folder / "mesh.npz", allow_pickle=False) as arrays:
            vertices, triangles = arrays["vertices"], arrays["triangles"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise cloud_error(path, "open3d handed back no mesh", _SAVE_AS_GLB) from None
    _check(path, vertices, triangles, said)
    return vertices, triangles


def _check(path: Path, vertices: NDArray[np.float64], triangles: NDArray[np.int64], said: str) -> None:
    kinds = [(array.dtype, array.ndim, array.shape[-1:]) for array in (vertices, triangles)]
    if kinds != [(np.dtype(np.float64), 2, (3,)), (np.dtype(np.int64), 2, (3,))]:
        raise cloud_error(path, "open3d handed back no mesh", _SAVE_AS_GLB)
    if not len(vertices) or not len(triangles):
        raise cloud_error(path, f"open3d finds no triangles in it{': ' + said if said else ''}", EXPORT_AGAIN)
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        problem = f"open3d returned triangles that name other than its {len(vertices):,} vertices"
        raise cloud_error(path, problem, EXPORT_AGAIN)
    if not np.isfinite(vertices).all():
        bad = int(np.count_nonzero(~np.isfinite(vertices).all(axis=1)))
        problem = f"{bad:,} of {len(vertices):,} vertices are NaN or infinite"
        raise cloud_error(path, problem, EXPORT_AGAIN)


def _last_words(output: bytes) -> str:
    """The last line that open3d printed, without colours and what names the copy instead of the file."""
    text = re.sub(r"\x1b\[[\d;]*m", "", output.decode("utf-8", "replace")).strip()
    line = text.splitlines()[-1] if text else ""
    line = line.rpartition("with ASSIMP: ")[2]
    return line.encode("ascii", "backslashreplace").decode("ascii")[:200] if line.isprintable() else ""


def _end(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"
    except ValueError:
        return f"signal {-code}"
