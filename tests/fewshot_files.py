"""Small few-shot episodes of the published layout, and the options that train on one in a second."""

from __future__ import annotations

import pickle
from pathlib import Path

from command_line import TINY_BACKBONE, TINY_TRAINING, sets
from modelnet_files import shapes

SCALES = "method.scales=[{centers: 8, neighbors: 8, keep: 2}]"


def write_episodes(root: Path, settings: tuple[tuple[int, int], ...] = ((5, 10),), folds: int = 2) -> Path:
    """Write folds of these ways and shots: all clouds of a class are one, and two of each are tested.

    Returns:
        the folder for `data.root`.
    """
    clouds = list(shapes(10, seed=1))
    for way, shot in settings:
        folder = root / "ModelNetFewshot" / f"{way}way_{shot}shot"
        folder.mkdir(parents=True)
        for fold in range(folds):
            content = {
                split: [
                    (clouds[(index + fold) % way], index % way, 2 * (index % way)) for index in range(count)
                ]
                for split, count in (("train", way * shot), ("test", way * 2))
            }
            (folder / f"{fold}.pkl").write_bytes(pickle.dumps(content))
    return root


def fewshot_options(root: Path, *changes: str, scales: bool = True) -> list[str]:
    """`--set` options of a tiny network on the episodes in `root`; `scales` for PointLoRA alone."""
    return sets(
        f"data.root={root}",
        "data.points=64",
        "data.candidates=64",
        "backbone.init=random",
        *TINY_BACKBONE,
        *TINY_TRAINING,
        *((SCALES,) if scales else ()),
        "optimizer.lr=0.01",
        "schedule.warmup_epochs=0",
        "schedule.lag=0",
        "train.epochs=3",
        *changes,
    )
