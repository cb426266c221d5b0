"""A small ShapeNetPart tree of the published layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

TREE = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
SYNSETS = {
    "Airplane": "02691156", "Bag": "02773838", "Cap": "02954340", "Car": "02958343",
    "Chair": "03001627", "Earphone": "03261776", "Guitar": "03467517", "Knife": "03624134",
    "Lamp": "03636649", "Laptop": "03642806", "Motorbike": "03790512", "Mug": "03797390",
    "Pistol": "03948459", "Rocket": "04099429", "Skateboard": "04225987", "Table": "04379243",
}  # fmt: skip
PARTS = {"Airplane": (0, 4), "Mug": (36, 38), "Table": (47, 50)}
"""Lowest part of a few categories, and the next category's."""


def rows(count: int, parts: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Points, normals and parts (count, 7)."""
    random = np.random.default_rng(seed)
    numbers = random.uniform(-0.5, 0.5, (count, 6)).round(5)
    numbers[:, 0] += 2
    return np.column_stack([numbers, np.arange(count) % (parts[1] - parts[0]) + parts[0]])


def slabs(count: int, parts: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Likewise, but parts that can be learnt: slabs from the bottom of the shape to its top."""
    table = rows(count, parts, seed)
    size = parts[1] - parts[0]
    table[:, 6] = parts[0] + np.clip(np.floor((table[:, 2] + 0.5) * size), 0, size - 1)
    return table


def text(table: np.ndarray) -> str:
    """Rows as published: five decimals, four of a normal, six of a part."""
    line = " ".join(["%.5f"] * 3 + ["%.4f"] * 3 + ["%.6f"]) + "\n"
    return line * len(table) % tuple(table.ravel().tolist())


def shape_file(tree: Path, category: str, name: str) -> Path:
    """Where a shape lies."""
    return tree / SYNSETS[category] / f"{name}.txt"


def list_file(tree: Path, split: str) -> Path:
    """The list of a split."""
    return tree / "train_test_split" / f"shuffled_{split}_file_list.json"


def entry(category: str, name: str) -> str:
    """How a list names a shape."""
    return f"shape_data/{SYNSETS[category]}/{name}"


def write_tree(
    root: Path,
    splits: Mapping[str, Sequence[str]] | None = None,
    points: int = 40,
    make: Callable[[int, tuple[int, int], int], np.ndarray] = rows,
) -> dict[str, list[np.ndarray]]:
    """Write `root`/shapenetcore_...: shapes of the given categories in each split, of about `points` points.

    Their rows are what `make` gives.

    Returns:
        the rows (N, 7) of each split's shapes, in the order of its list.
    """
    tree = root / TREE
    (tree / "train_test_split").mkdir(parents=True)
    (tree / "synsetoffset2category.txt").write_text(
        "".join(f"{name}\t{synset}\n" for name, synset in SYNSETS.items())
    )
    splits = splits or {"train": ("Mug", "Airplane", "Mug"), "val": ("Table",), "test": ("Table", "Airplane")}
    written: dict[str, list[np.ndarray]] = {}
    for split, categories in splits.items():
        entries, tables = [], []
        for place, category in enumerate(categories):
            name = f"{split}{place:04}"
            seed = 1000 * len(written) + place
            table = make(points + seed % 7, PARTS[category], seed)
            file = shape_file(tree, category, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text(table))
            entries.append(entry(category, name))
            tables.append(table)
        list_file(tree, split).write_text(json.dumps(entries))
        written[split] = tables
    return written
