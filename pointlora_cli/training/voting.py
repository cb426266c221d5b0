"""Voting: several passes over changed clouds, whose logits are averaged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.seeding import named_stream
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.specs.data import DataSpec
from pointlora_cli.specs.training import AugmentationSpec
from pointlora_cli.training.augmentation import Augmentation
from pointlora_cli.training.classification import measure, predict_logits
from pointlora_cli.training.drawing import PointDrawing
from pointlora_cli.training.metrics import Metrics


@dataclass(frozen=True)
class Voting:
    """How many passes vote, and the seed of what they draw."""

    votes: int
    seed: int = 0


def vote(
    model: Classifier,
    clouds: LabelledClouds,
    voting: Voting,
    *,
    data: DataSpec,
    augmentation: AugmentationSpec,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Metrics:
    """Classify `clouds` by the mean of the logits of `voting.votes` passes.

    Each pass draws points and changes clouds as a training step does, with a seed of its own: the first passes
    are the same, however many follow. None of them is the plain pass of an evaluation, and none is chosen for
    its result: the released loops repeat rounds of ten votes and report the best of 299 on the test set.
    Where clouds hold just the points wanted, their order is drawn, and with it the centers of the patches.

    Args:
        model: in evaluation mode afterwards.
        clouds: (n, S, 3) with S >= P farthest points, of which each pass draws P.
        voting: passes and seed.
        data: how many points the model sees, P.
        augmentation: that of the training; points are shuffled even where it does not.
        batch_size: clouds at a time, which share their draw.
        device: of the model.
        dtype: of the arithmetic.
    """
    points = torch.from_numpy(clouds.points)
    changed = augmentation.model_copy(update={"shuffle": True})
    total: Tensor | None = None
    for index in range(voting.votes):
        generator = torch.Generator(device).manual_seed(_seed(voting.seed, index))
        draw, augment = PointDrawing(data, generator), Augmentation(changed, generator)
        passed = torch.cat(
            [
                predict_logits(
                    model, augment(draw(batch.to(device))), batch_size=batch_size, device=device, dtype=dtype
                )
                for batch in torch.split(points, batch_size)
            ]
        )
        total = passed if total is None else total + passed
    assert total is not None  # at least one pass votes
    return measure(total / voting.votes, clouds.labels)


def _seed(seed: int, index: int) -> int:
    return int(named_stream("vote", seed, index).randint(2**31 - 1))
