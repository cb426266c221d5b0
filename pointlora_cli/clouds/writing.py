"""Writing point clouds as PLY, so that no reader ever meets half a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import cloud_error
from pointlora_cli.files import written_atomically

_BLOCK = 1 << 20
_START = "ply\nformat binary_little_endian 1.0\ncomment written by pointlora\n"


def write_ply(
    path: Path | str,
    points: NDArray[np.floating],
    colors: NDArray[np.uint8] | None = None,
    labels: NDArray[np.integer] | None = None,
) -> None:
    """Writes a binary little-endian PLY: beside its name first, flushed to disk, then renamed.

    Args:
        path: the file to write; an existing one is replaced as a whole.
        points: (N, 3), finite; float64 stays double, everything else is written as float.
        colors: (N, 3) uint8 red, green and blue.
        labels: (N,) integers that fit 32 bits, written as the property `label`.

    Raises:
        ValueError: arrays of the wrong shape, type or range.
        CloudError: the file cannot be written.
    """
    path, points = Path(path), np.asarray(points)
    columns = _columns(points, colors, labels)
    row = np.dtype([(name, kind) for name, kind, _ in columns])
    names = {"<f4": "float", "<f8": "double", "<u1": "uchar", "<i4": "int"}
    properties = [f"property {names[kind]} {name}" for name, kind, _ in columns]
    header = _START + "\n".join([f"element vertex {len(points)}", *properties, "end_header", ""])
    try:
        with written_atomically(path) as stream:
            stream.write(header.encode("ascii"))
            for start in range(0, len(points), _BLOCK):
                block = np.empty(min(_BLOCK, len(points) - start), row)
                for name, _, values in columns:
                    block[name] = values[start : start + _BLOCK]
                stream.write(block.tobytes())
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise cloud_error(path, f"cannot be written: {reason.lower()}", "choose another place") from None


def is_written_here(path: Path) -> bool:
    """Whether a file begins as those of `write_ply` do; one that cannot be opened does not."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(_START)) == _START.encode("ascii")
    except OSError:
        return False


def _columns(
    points: NDArray[np.floating],
    colors: NDArray[np.uint8] | None,
    labels: NDArray[np.integer] | None,
) -> list[tuple[str, str, NDArray[np.generic]]]:
    """Name, type and values (N,) of each property, checked."""
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or points.dtype.kind not in "fiu":
        raise ValueError(f"points must be numbers (N, 3) with N >= 1, not {points.dtype} {points.shape}")
    kind = "<f8" if points.dtype == np.float64 else "<f4"
    if not np.isfinite(points.astype(kind, copy=False)).all():
        raise ValueError("points must be finite")
    columns: list[tuple[str, str, NDArray[np.generic]]] = [
        (axis, kind, points[:, i]) for i, axis in enumerate("xyz")
    ]
    if colors is not None:
        colors = np.asarray(colors)
        if colors.shape != points.shape or colors.dtype != np.uint8:
            raise ValueError(f"colors must be uint8 {points.shape}, not {colors.dtype} {colors.shape}")
        columns += [(name, "<u1", colors[:, i]) for i, name in enumerate(("red", "green", "blue"))]
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != points.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be integers ({len(points)},), not {labels.dtype} {labels.shape}")
        if labels.min() < -(2**31) or labels.max() >= 2**31:
            raise ValueError("labels must fit 32 bits")
        columns.append(("label", "<i4", labels))
    return columns
