"""What the readers of .glb and .gltf share: strict access to the lists of a glTF document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TRIANGLES, STRIP, FAN = 4, 5, 6
# The document is JSON of any content; a wrong type anywhere in it ends in one of these.
DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    ArithmeticError,
    RecursionError,
)


class Document:
    """The JSON of a glTF file, of any content."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self._path = path
        self._document = document

    def _roots(self) -> list[int]:
        """The nodes that the default scene shows; without scenes, those that are no node's child."""
        if self._document.get("scenes"):
            return list(self._item("scenes", self._document.get("scene", 0)).get("nodes", []))
        nodes = self._document.get("nodes", [])
        children = {child for node in nodes for child in node.get("children", [])}
        return [index for index in range(len(nodes)) if index not in children]

    def _item(self, key: str, index: object) -> dict[str, Any]:
        """Entry `index` of a list of the document; Python's negative indices and floats are refused."""
        items = self._document.get(key, [])
        if type(index) is not int or not 0 <= index < len(items):
            raise IndexError(f"no entry {index} in {key}")
        item = items[index]
        if not isinstance(item, dict):
            raise TypeError(f"entry {index} of {key} is no object")
        return item


def size(value: object, least: int = 0) -> int:
    """A count or a number of bytes, checked."""
    if type(value) is not int or not least <= value < 1 << 40:
        raise ValueError(f"{value} is not a size")
    return value
