"""The built-in data set: point clouds of parametric objects, made with numpy and no download."""

from pointlora_cli.datasets.shapes.collection import Collection, collection_classes
from pointlora_cli.datasets.shapes.generator import (
    SHAPE_CLASSES,
    ShapeOptions,
    generate_cloud,
    generate_shapes,
)

__all__ = [
    "SHAPE_CLASSES",
    "Collection",
    "ShapeOptions",
    "collection_classes",
    "generate_cloud",
    "generate_shapes",
]
