"""Which labels a category's points carry, and the part that each of them is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from pointlora_cli.datasets.part_segmentation import part_name
from pointlora_cli.errors import DataError

MOST_PARTS = 255
"""Of all categories together: a part is kept in a byte."""

_NAME = re.compile(r"(?P<category>.+)/(?P<label>-?[0-9]{1,10})", re.DOTALL)


def label_of_part(name: str) -> int:
    """The label in the files of a part that `part_name` named.

    Raises:
        DataError: it is not such a name.
    """
    found = _NAME.fullmatch(name)
    label = int(found["label"]) if found else 2**31
    if abs(label) >= 2**31:
        raise DataError(f"the part {name!a} is not named <category>/<label>")
    return label


@dataclass(frozen=True)
class PartVocabulary:
    """The labels of each category, sorted; parts are counted over all categories, one range for each.

    Attributes:
        categories: names.
        labels: of each category, (its parts,) distinct int64.
    """

    categories: tuple[str, ...]
    labels: tuple[NDArray[np.int64], ...]

    @classmethod
    def of_names(cls, categories: Sequence[str], ranges: Sequence[range], names: Sequence[str]) -> Self:
        """The vocabulary of a model's part names.

        Args:
            categories: names.
            ranges: the parts of each category.
            names: of all parts.

        Raises:
            DataError: a name is not as `part_name` makes it.
        """
        labels = [np.array([label_of_part(names[part]) for part in parts], np.int64) for parts in ranges]
        return cls(tuple(categories), tuple(labels))

    @property
    def parts(self) -> tuple[range, ...]:
        """The parts of each category."""
        ends = np.cumsum([len(labels) for labels in self.labels]).tolist()
        return tuple(range(end - len(labels), end) for end, labels in zip(ends, self.labels, strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each part."""
        return tuple(
            part_name(category, int(label))
            for category, labels in zip(self.categories, self.labels, strict=True)
            for label in labels
        )

    def unknown(self, category: int, labels: NDArray[np.int64]) -> list[int]:
        """Labels of a cloud of this category that the category does not have, sorted."""
        return [int(label) for label in np.setdiff1d(labels, self.labels[category])]

    def parts_of(self, category: int, labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The parts (N,) of the labels (N,) of a cloud of this category, none of which is unknown."""
        places = np.searchsorted(self.labels[category], labels)
        return (self.parts[category].start + places).astype(np.uint8)
