"""Small pictures of clouds, as PNG, for a look without a viewer."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import cloud_error
from pointlora_cli.files import written_atomically

Image = NDArray[np.uint8]

_AROUND, _ABOVE = np.radians(35.0), np.radians(20.0)  # from where a cloud is looked at
_MARGIN = 0.92
_FARTHEST = 0.45  # brightness of what is farthest away


def draw_cloud(
    points: NDArray[np.floating], colors: NDArray[np.uint8], size: int, *, up: Literal["y", "z"] = "y"
) -> Image:
    """Draw a cloud in the unit sphere on white: each point a disc, the nearer before the farther and brighter.

    Args:
        points: (N, 3).
        colors: (N, 3) red, green and blue.
        size: of the picture, in pixels.
        up: the axis that points up.

    Returns:
        (size, size, 3).
    """
    x, y, z = points.T if up == "y" else points[:, [0, 2, 1]].T * np.array([[1], [1], [-1]])
    across = np.cos(_AROUND) * x - np.sin(_AROUND) * z
    depth = np.sin(_AROUND) * x + np.cos(_AROUND) * z
    height = np.cos(_ABOVE) * y - np.sin(_ABOVE) * depth
    near = np.cos(_ABOVE) * depth + np.sin(_ABOVE) * y
    order = np.argsort(near, kind="stable")
    near = (near[order] - near.min()) / max(float(np.ptp(near)), 1e-9)
    shaded = colors[order] * (_FARTHEST + (1 - _FARTHEST) * near)[:, None]
    radius = size / 100
    reach = np.arange(-int(radius + 1), int(radius + 1) + 1)
    disc = np.array([(row, column) for row in reach for column in reach if row**2 + column**2 <= radius**2])
    middle = np.stack([-height[order], across[order]], axis=1) * (_MARGIN * size / 2) + size / 2
    pixels = (np.round(middle).astype(np.int64)[:, None] + disc).reshape(-1, 2)  # the last of a place stays
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
    image = np.full((size, size, 3), 255, dtype=np.uint8)
    values = np.repeat(shaded.astype(np.uint8), len(disc), axis=0)
    image[pixels[inside, 0], pixels[inside, 1]] = values[inside]
    return image


def write_png(path: Path, image: Image) -> None:
    """Write a picture (rows, columns, 3) as PNG, as a whole or not at all.

    Raises:
        CloudError: the file cannot be written.
    """
    rows, columns, _ = image.shape
    filtered = np.concatenate([np.zeros((rows, 1), np.uint8), image.reshape(rows, -1)], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    try:
        with written_atomically(path) as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            for kind, content in (
                (b"IHDR", header),
                (b"IDAT", zlib.compress(filtered.tobytes(), 6)),
                (b"IEND", b""),
            ):
                file.write(struct.pack(">I", len(content)) + kind + content)
                file.write(struct.pack(">I", zlib.crc32(kind + content)))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise cloud_error(path, f"cannot be written: {reason}", "choose another place") from None
