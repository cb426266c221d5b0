"""Voting: the mean of passes over fresh points, the same each time."""

import numpy as np
import pytest
import torch
from model_specs import tiny_model
from torch.nn import functional as F

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.specs.data import DataSpec
from pointlora_cli.specs.training import AugmentationSpec
from pointlora_cli.training.voting import Voting, vote

PLAIN = AugmentationSpec(scale=None, translate=0)


def clouds(points, count=6):
    random = np.random.RandomState(0)
    labels = (np.arange(count) % 2).astype(np.int64)
    return LabelledClouds(random.uniform(-1, 1, (count, points, 3)).astype(np.float32), labels)


def voted(model, found, votes, seed=0, augmentation=PLAIN, points=64):
    return vote(
        model,
        found,
        Voting(votes, seed),
        data=DataSpec(points=points),
        augmentation=augmentation,
        batch_size=4,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def seen_by(model):
    """The clouds and logits of each forward pass from now on."""
    inputs, logits = [], []

    def keep(_, given, prediction):
        inputs.append(given[0])
        logits.append(prediction.logits)

    model.register_forward_hook(keep)
    return inputs, logits


@pytest.mark.parametrize("stored", [64, 96])
def test_each_pass_draws_other_points_and_logits_are_averaged(stored):
    model, found = tiny_model("lora", classes=2), clouds(stored)
    inputs, logits = seen_by(model)
    metrics = voted(model, found, 3)
    assert len(inputs) == 6  # two batches in each pass
    for cloud in torch.cat(inputs[::2]):
        assert cloud.shape == (64, 3)
        assert any(set(map(tuple, cloud.tolist())) <= set(map(tuple, own.tolist())) for own in found.points)
    assert not torch.equal(inputs[0], inputs[2])
    passes = torch.stack([torch.cat(logits[index : index + 2]) for index in (0, 2, 4)])
    expected = F.cross_entropy(passes.mean(dim=0), torch.from_numpy(found.labels))
    assert metrics.loss == pytest.approx(expected.item(), rel=1e-5)
    assert not torch.equal(passes[0], passes[1])


def test_the_same_seed_gives_the_same_and_the_first_passes_do_not_depend_on_how_many_follow():
    model, found = tiny_model("lora", classes=2), clouds(96)
    inputs, _ = seen_by(model)
    first = voted(model, found, 2, augmentation=AugmentationSpec())
    again = voted(model, found, 3, augmentation=AugmentationSpec())
    assert all(torch.equal(one, other) for one, other in zip(inputs[:4], inputs[4:8], strict=True))
    assert voted(model, found, 2, augmentation=AugmentationSpec()).loss == first.loss
    assert len({first.loss, again.loss, voted(model, found, 2, seed=1).loss}) == 3


def test_clouds_change_as_in_training_but_do_not_turn_unless_they_did_there():
    model, found = tiny_model("lora", classes=2), clouds(64)
    inputs, _ = seen_by(model)
    voted(model, found, 1, augmentation=AugmentationSpec(scale=(2, 2), translate=0, shuffle=False))
    own = {tuple(point) for point in (found.points[0] * 2).tolist()}
    assert {tuple(point) for point in inputs[0][0].tolist()} == own
    assert inputs[0][0].tolist() != (found.points[0] * 2).tolist()  # shuffled all the same
    voted(model, found, 1, augmentation=AugmentationSpec(scale=None, translate=0, rotate="y"))
    assert inputs[-2][0][:, 1].sort().values.tolist() == sorted(found.points[0][:, 1].tolist())
    assert {tuple(point) for point in inputs[-2][0].tolist()} != {
        tuple(point) for point in found.points[0].tolist()
    }
