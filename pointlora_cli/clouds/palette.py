"""Colors for the parts of a cloud."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

_FIRST = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (0, 114, 178), (204, 121, 167), (240, 228, 66),
)  # fmt: skip
"""Seven that most people with a color deficiency tell apart, after Okabe and Ito (2008), without black."""

_GOLDEN = 0.618034  # a turn by this share of the circle comes near no earlier hue
_LIGHTNESS = (0.35, 0.6, 0.8)
_SATURATION = (0.85, 0.55)


def part_colors(count: int) -> NDArray[np.uint8]:
    """Distinct colors (count, 3): always the same, and the earlier ones the easier to tell apart."""
    colors = list(_FIRST[:count])
    step = 0
    while len(colors) < count:
        saturation = _SATURATION[step // len(_LIGHTNESS) % len(_SATURATION)]
        lightness = _LIGHTNESS[step % len(_LIGHTNESS)]
        red, green, blue = colorsys.hls_to_rgb(step * _GOLDEN % 1, lightness, saturation)
        color = (round(255 * red), round(255 * green), round(255 * blue))
        step += 1
        if color not in colors:
            colors.append(color)
    return np.array(colors, np.uint8).reshape(-1, 3)
