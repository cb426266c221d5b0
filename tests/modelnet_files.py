"""Small ModelNet40 files of the published layout: processed pickles, and the raw tree of text."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointlora_cli.datasets.modelnet40 import CLASSES

STORED = 8192
RAW = 10_000
TREE = "modelnet40_normal_resampled"


def pickled(content: Any, protocol: int = 3) -> bytes:
    """A pickle as the field wrote its own: with the module names of numpy 1, whichever is installed."""
    assert protocol <= 3, "later ones state the length of a name, which the replacement would change"
    return pickle.dumps(content, protocol=protocol).replace(b"cnumpy._core.", b"cnumpy.core.")


def shapes(count: int, points: int = STORED, seed: int = 0) -> np.ndarray:
    """Clouds with normals (count, points, 6) float32, of about the range of the published ones."""
    random = np.random.default_rng(seed)
    clouds = random.uniform(-1, 1, (count, points, 6)).astype(np.float32)
    clouds[:, :, :3] *= random.uniform(0.3, 1, (count, 1, 3)).astype(np.float32)
    return clouds


def processed_file(root: Path, split: str) -> Path:
    """The processed file of a split ("train" or "test") in a folder."""
    return root / f"modelnet40_{split}_{STORED}pts_fps.dat"


def write_processed(
    root: Path, train: Sequence[int] = (0, 3, 39), test: Sequence[int] = (0, 39), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Write both processed files into `root`: one shape for each of the labels.

    Returns:
        the training and the test clouds, (n, 8192, 6) float32.
    """
    root.mkdir(parents=True, exist_ok=True)
    written = []
    for offset, (split, labels) in enumerate((("train", train), ("test", test))):
        clouds = shapes(len(labels), seed=2 * seed + offset)
        content = [list(clouds), [np.array([label], dtype=np.int32) for label in labels]]
        processed_file(root, split).write_bytes(pickled(content))
        written.append(clouds)
    return written[0], written[1]


def write_raw(
    root: Path,
    classes: Sequence[str] = ("airplane", "night_stand", "xbox"),
    per_class: tuple[int, int] = (2, 1),
    *,
    points: int = RAW,
    seed: int = 0,
) -> Path:
    """Write `root`/modelnet40_normal_resampled: its three lists, and text files of some of the classes.

    Args:
        root: the folder above.
        classes: those that have shapes; the list of names holds all forty.
        per_class: training and test shapes of each.
        points: rows of a file.
        seed: of the coordinates.

    Returns:
        the tree's folder.
    """
    tree = root / TREE
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "modelnet40_shape_names.txt").write_text("\n".join(CLASSES) + "\n")
    entries: dict[str, list[str]] = {"train": [], "test": []}
    for name in classes:
        numbered = [f"{name}_{number:04d}" for number in range(1, sum(per_class) + 1)]
        entries["train"] += numbered[: per_class[0]]
        entries["test"] += numbered[per_class[0] :]
    for split, listed in entries.items():
        (tree / f"modelnet40_{split}.txt").write_text("\n".join(listed) + "\n")
    listed = entries["train"] + entries["test"]
    for index, entry in enumerate(listed):
        file = raw_file(tree, entry)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(raw_text(shapes(1, points, seed=(seed << 20) + index)[0]))
    return tree


def raw_file(tree: Path, entry: str) -> Path:
    """Where an entry such as `night_stand_0001` lies."""
    return tree / entry.rpartition("_")[0] / f"{entry}.txt"


def raw_text(cloud: np.ndarray) -> bytes:
    """Rows of six comma-separated numbers with six decimals."""
    row = ",".join(["%.6f"] * cloud.shape[1]) + "\n"
    return (row * len(cloud) % tuple(cloud.ravel().tolist())).encode()
