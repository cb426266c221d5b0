"""The collections of classes: those to fine-tune on, and others, of other kinds, to pre-train on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from pointlora_cli.datasets.shapes.classes import SHAPE_BUILDERS
from pointlora_cli.datasets.shapes.pretraining.classes import PRETRAINING_BUILDERS
from pointlora_cli.datasets.shapes.primitives import Part

Collection: TypeAlias = Literal["objects", "pretraining"]
Builder: TypeAlias = Callable[[np.random.Generator], list[Part]]

COLLECTIONS: dict[Collection, dict[str, Builder]] = {
    "objects": SHAPE_BUILDERS,
    "pretraining": PRETRAINING_BUILDERS,
}


def collection_classes(collection: Collection) -> tuple[str, ...]:
    """The names of a collection's classes, in alphabetical order.

    Raises:
        ValueError: there is no such collection.
    """
    if collection not in COLLECTIONS:
        raise ValueError(f"collection must be one of {', '.join(COLLECTIONS)}, not {collection!r}")
    return tuple(sorted(COLLECTIONS[collection]))


def collection_of(class_name: str) -> Collection:
    """The collection that a class belongs to.

    Raises:
        ValueError: there is no such class.
    """
    for collection, builders in COLLECTIONS.items():
        if class_name in builders:
            return collection
    known = ", and for pre-training ".join(", ".join(collection_classes(name)) for name in COLLECTIONS)
    raise ValueError(f"unknown shape class {class_name!r}; there are {known}")
