"""Which attribute or column of a file holds the labels of its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import cloud_error, quoted

AUTO: Final = "auto"
LAST: Final = "last"
LABEL_NAMES: Final = (
    "label", "labels", "part", "parts", "part_id", "part_label", "class", "class_id", "classification",
    "segment", "segments", "segment_id", "segmentation", "seg", "semantic", "semantic_label",
)  # fmt: skip
"""What `auto` looks for, in this order; case, hyphens and CloudCompare's `scalar_` in front are no matter."""

_WIDTHS = (4, 7)  # x y z label, and with three numbers of a normal or a color between
_NAMED = 12  # names listed in one message


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """What a reader found: every point with the number at the place of its label.

    Attributes:
        coordinates: (N, 3) float64; may hold NaN and infinities.
        values: (N,) float64 as stored; may hold NaN and fractions.
        place: where the values are from, for messages.
        warnings: what was repaired, or chosen among several.
    """

    coordinates: NDArray[np.float64]
    values: NDArray[np.float64]
    place: str
    warnings: tuple[str, ...] = ()


def is_label_name(name: str) -> bool:
    """Whether AUTO takes what is called so for labels."""
    return _plain(name) in LABEL_NAMES


def find_label(path: Path, wanted: str, names: Sequence[str], kind: str) -> tuple[int, tuple[str, ...]]:
    """Place in `names` of the labels, and a warning where several names could be meant.

    Args:
        path: the file, for messages.
        wanted: AUTO, or a name.
        names: of the file's attributes.
        kind: what the file calls these, e.g. "property".

    Raises:
        CloudError: there is none; the message lists what there is.
    """
    plain = [_plain(name) for name in names]
    sought = LABEL_NAMES if wanted == AUTO else (_plain(wanted),)
    found = [plain.index(name) for name in sought if name in plain]
    if wanted != AUTO and wanted in names:
        found = [list(names).index(wanted)]
    if found:
        others = ", ".join(f"`{names[place]}`" for place in found[1:])
        chosen = f"took the labels from `{names[found[0]]}`; there is also {others}"
        return found[0], (chosen,) if others else ()
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    looked = f"looked for {', '.join(LABEL_NAMES[:9])} and the like" if wanted == AUTO else "see data.label"
    what = f"no {kind} with labels" if wanted == AUTO else f"no {kind} {quoted(wanted)}"
    raise cloud_error(path, f"{what} ({looked}); it has {_shown(listed)}", _remedy(kind))


def label_column(path: Path, wanted: str, names: Sequence[str], width: int) -> tuple[int, tuple[str, ...]]:
    """The column of the labels, from 0, and warnings.

    Args:
        path: the file, for messages.
        wanted: AUTO, LAST, or a name.
        names: of the columns, or none where the file does not name them.
        width: number of columns.

    Raises:
        CloudError: there is none.
    """
    if wanted == LAST or (wanted == AUTO and not names):
        if width in _WIDTHS or (wanted == LAST and width > 3):
            return width - 1, ()
        expected = "more than 3" if wanted == LAST else "4 (x y z label) or 7"
        problem = f"has {width} columns without names; labels are read from the last of {expected}"
        remedy = "name the columns in a first row, or say --set data.label=last if the last holds the labels"
        raise cloud_error(path, problem, remedy)
    if not names:
        problem = f"its columns have no names, so none is {quoted(wanted)}"
        raise cloud_error(path, problem, "name the columns in a first row, or set data.label to auto or last")
    place, warnings = find_label(path, wanted, names, "column")
    if place >= width:
        raise cloud_error(path, f"has {width} columns; its header names {len(names)}")
    return place, warnings


def whole_labels(path: Path, values: NDArray[np.float64], place: str) -> NDArray[np.int64]:
    """Labels (N,) of the values (N,) of finite points.

    Raises:
        CloudError: one is not a whole number of 32 bits.
    """
    with np.errstate(invalid="ignore"):
        good = (values == np.floor(values)) & (np.abs(values) < 2**31)
    if not good.all():
        first = int(np.argmin(good))
        bad = int(np.count_nonzero(~good))
        problem = (
            f"{place} holds {values[first]:g}, which is no label: labels are whole numbers "
            f"({bad:,} of {len(values):,} points)"
        )
        raise cloud_error(path, problem, "say which attribute holds the labels with --set data.label=NAME")
    return values.astype(np.int64)


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("scalar_")


def _shown(text: str) -> str:
    return ascii(text)[1:-1] or "none"


def _remedy(kind: str) -> str:
    return f"say which {kind} holds the labels with --set data.label=NAME"
