"""A small folder of clouds with a label at each point."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointlora_cli.clouds.writing import write_ply


def layered(count: int, labels: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 3) float32 in a box, and labels (count,) by height, each of them on at least one point."""
    points = np.random.RandomState(seed).rand(count, 3).astype(np.float32)
    points[: len(labels), 2] = (np.arange(len(labels)) + 0.5) / len(labels)
    return points, np.array(labels)[(points[:, 2] * len(labels)).astype(int)]


def fill(folder: Path, count: int, labels: list[int], *, points: int = 60, seed: int = 0) -> None:
    """Write `count` PLY files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        own_points, own_labels = layered(points + index, labels, seed + index)
        write_ply(folder / f"{index:03}.ply", own_points, labels=own_labels)
