"""How well a linear classifier does on what a pre-trained network makes of clouds that carry labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.ridge_probe import fit_ridge_probe


@dataclass(frozen=True)
class ProbeClouds:
    """Clouds with labels, of the size that a network takes, and none of them augmented."""

    train: LabelledClouds  # to fit the classifier
    test: LabelledClouds  # to score it
    classes: int


def probe_accuracy(
    clouds: ProbeClouds,
    features_of: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    distribution: Distribution = ALONE,
    pause: Callable[[], None] = lambda: None,
) -> float:
    """Share of the test clouds that ridge regression on the features of the others classifies rightly.

    Args:
        clouds: at least one of each split for each process.
        features_of: clouds (n, P, 3) -> features (n, F).
        batch_size: clouds at a time.
        distribution: this process among those that share the clouds; each learns the whole.
        pause: called before each batch; in each process as often.
    """

    def features(split: LabelledClouds) -> Tensor:
        points = torch.from_numpy(split.points)
        found = [features_of(points[mine]) for mine in distribution.rounds(len(points), batch_size, pause)]
        return distribution.gather(torch.cat(found))

    train, test = (torch.from_numpy(split.labels) for split in (clouds.train, clouds.test))
    probe = fit_ridge_probe(features(clouds.train), train, clouds.classes)
    return probe.accuracy(features(clouds.test), test)
