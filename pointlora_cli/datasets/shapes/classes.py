"""The object classes by name. A class is one function that draws the parts of a new object.

To add one, write `def name(rng) -> list[Part]` in the file of its kind and list it below. Objects stand
on the plane y = 0 and face z; sizes are in metres, though only proportions reach the cloud.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlora_cli.datasets.shapes.furniture import bed, chair, lamp, table
from pointlora_cli.datasets.shapes.primitives import Part
from pointlora_cli.datasets.shapes.things import bottle, guitar, laptop, mug
from pointlora_cli.datasets.shapes.vehicles import airplane, car

SHAPE_BUILDERS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "airplane": airplane,
    "bed": bed,
    "bottle": bottle,
    "car": car,
    "chair": chair,
    "guitar": guitar,
    "lamp": lamp,
    "laptop": laptop,
    "mug": mug,
    "table": table,
}
