"""What makes one doubt that a person's labels at points are labels of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LAS_SUFFIXES = (".las", ".laz")
"""Files whose labels are classes of the LAS format."""

_MANY = 50  # labels of a category: more are rather an identity or a measurement
_ENOUGH = 3  # clouds from which on it is told that labels do not come again
_LAS_CLASSES = {0: "0 (never classified)", 1: "1 (unclassified)"}
_NAME_IT = "say which attribute or column holds the labels with --set data.label=NAME"


class CloudLabels(NamedTuple):
    """The different labels of one cloud."""

    labels: NDArray[np.int64]  # sorted
    is_las: bool


def odd_labels(root: str, categories: Sequence[str], found: Sequence[Sequence[CloudLabels]]) -> list[str]:
    """What is odd about the labels of each category's clouds, as notices."""
    notices = []
    for name, clouds in zip(categories, found, strict=True):
        if reason := _no_label(clouds):
            notices.append(f"{root}: what was read may be no label: {name} has {reason}; else {_NAME_IT}")
    own = [cloud for clouds in found for cloud in clouds]
    negative = sorted({int(label) for cloud in own for label in cloud.labels[cloud.labels < 0]})
    if negative:
        shown = ", ".join(map(str, negative[:_ENOUGH])) + (", …" if len(negative) > _ENOUGH else "")
        notices.append(f"{root}: negative labels ({shown}) are counted as parts of their own")
    for label, words in _LAS_CLASSES.items():
        count = sum(cloud.is_las and label in cloud.labels for cloud in own)
        if count:
            notices.append(
                f"{root}: the LAS class {words} is counted as a part of its own (in {count:,} of {len(own):,} clouds)"
            )
    return notices


def remedy_of_count(found: Sequence[Sequence[CloudLabels]]) -> str:
    """What to do where the labels of all categories are too few or too many for parts."""
    if sum(len(_all(clouds)) for clouds in found) < 2 or any(map(_no_label, found)):
        return f"{_NAME_IT[0].upper()}{_NAME_IT[1:]}."
    return "A part is a label of a category: train fewer categories at a time, or join labels in the files."


def _no_label(clouds: Sequence[CloudLabels]) -> str | None:
    """Why these are rather no labels of parts."""
    labels, times = np.unique(np.concatenate([cloud.labels for cloud in clouds]), return_counts=True)
    if len(labels) > _MANY:
        return f"{len(labels):,} different ones"
    once = int((times == 1).sum())
    if len(clouds) >= _ENOUGH and 2 * once > len(labels):
        return f"{once:,} of {len(labels):,} in one cloud only"
    return None


def _all(clouds: Sequence[CloudLabels]) -> set[int]:
    return {int(label) for cloud in clouds for label in cloud.labels}
