"""Which training clouds choose the epoch, and whether there are enough of all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.errors import DataError
from pointlora_cli.specs.training import TrainSpec


def held_out(
    train: TrainSpec, labels: NDArray[np.int64], kind: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training clouds that stay, and of those that choose the epoch (selection best-val).

    Args:
        train: says how many, and the seed.
        labels: (n,) of the clouds.
        kind: what the labels tell apart, for messages.

    Raises:
        DataError: no label has two clouds.
    """
    if np.bincount(labels).max() < 2:
        raise DataError(
            f"train.selection is 'best-val', but no {kind} has 2 training clouds to hold one out",
            remedy="Use train.selection=last.",
        )
    return stratified_split(labels, train.val_fraction, train.seed)


def require_clouds(train: int, evaluated: int, remedy: str) -> None:
    """Raise unless there are enough clouds to train and to evaluate on.

    Raises:
        DataError: there are not.
    """
    if evaluated == 0:
        raise DataError("no cloud is left to evaluate on", remedy=remedy)
    if train < 2:
        raise DataError("only one cloud to train on: batch norm needs at least 2", remedy="Add clouds.")
