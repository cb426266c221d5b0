"""Masked modelling: its step, its evaluation, and what a probe sees."""

import numpy as np
import pytest
import torch
from model_specs import masked_autoencoder_of, tiny_spec

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.models.masked_autoencoder import random_order
from pointlora_cli.specs.pretraining import MaskingSpec
from pointlora_cli.training.masked_modelling import (
    MaskedModellingTask,
    masked_step,
    probe_features,
    reconstruct,
)
from pointlora_cli.training.optimizer import build_optimizer
from pointlora_cli.training.random_subsets import RandomSubsets
from pointlora_cli.training.share import Share
from pointlora_cli.training.task import Splits

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


MASKING = MaskingSpec(decoder_depth=1, decoder_heads=2, decoder_drop_path=0)
SPEC = tiny_spec("full", backbone={"drop_path": 0}, optimizer={"lr": 0.01})


@pytest.fixture
def model():
    return masked_autoencoder_of(SPEC, MASKING)


def clouds(count, points=64, seed=0):
    """Without labels that say anything."""
    random = np.random.default_rng(seed)
    return LabelledClouds(
        random.random((count, points, 3), dtype=np.float32), np.zeros(count, dtype=np.int64)
    )


def task(model, train=None):
    splits = Splits(train or clouds(8), clouds(5, seed=1), clouds(3, seed=2))
    return MaskedModellingTask(model, SPEC, MASKING, splits, **CPU)


@pytest.fixture
def points():
    return torch.rand(6, 64, 3, generator=torch.Generator().manual_seed(1))


def gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_a_step_leaves_the_gradient_of_the_mean_loss(model, points):
    order = random_order(6, 12, torch.Generator().manual_seed(0))
    model.train()
    output = masked_step(model, points, order, "chamfer-l2")
    found = gradients(model)
    model.zero_grad()
    losses = model(points, order).loss("chamfer-l2")
    losses.mean().backward()
    assert output.loss.item() == pytest.approx(losses.sum().item())
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(found[name], gradient)


def test_weighted_steps_add_up(model, points):
    """Where batch norm keeps its statistics; in training they are those of each step."""
    order = random_order(6, 12, torch.Generator().manual_seed(0))
    model.eval()
    masked_step(model, points, order, "chamfer-l1")
    whole = gradients(model)
    model.zero_grad()
    for part, weight in ((slice(0, 4), 4 / 6), (slice(4, 6), 2 / 6)):
        masked_step(model, points[part], order[part], "chamfer-l1", weight=weight)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, whole[name], atol=1e-6, rtol=1e-4)


def test_evaluation_hides_the_same_whenever_it_is_asked(model, points):
    model.train()
    first = reconstruct(model, points, "chamfer-l2", seed=3, batch_size=6, **CPU)
    again = reconstruct(model, points, "chamfer-l2", seed=3, batch_size=4, **CPU)
    other = reconstruct(model, points, "chamfer-l2", seed=4, batch_size=6, **CPU)
    torch.testing.assert_close(first.distances, again.distances)
    assert first.loss == pytest.approx(first.distances.mean())
    assert (first.distances != other.distances).all()
    assert first.count == 6
    assert first.row() == {"chamfer_l2": first.loss}


def test_the_nearer_is_the_better_score(model, points):
    found = reconstruct(model, points, "chamfer-l2", seed=0, batch_size=6, **CPU)
    with torch.no_grad():
        model.head.bias.add_(5.0)
    worse = reconstruct(model, points, "chamfer-l2", seed=0, batch_size=6, **CPU)
    assert worse.loss > found.loss
    assert worse.score < found.score


def test_a_probe_sees_every_patch(model, points):
    features = probe_features(model, points, batch_size=4, **CPU)
    assert features.shape == (6, 32)
    sequence = model.eval().backbone(points, model.adaptation)
    assert sequence.tokens.shape[1] == 12
    torch.testing.assert_close(features[:, :16], sequence.tokens.mean(dim=1))
    torch.testing.assert_close(features[:, 16:], sequence.tokens.amax(dim=1))


class TestTask:
    def test_it_learns(self, model):
        learning = task(model)
        optimizer = build_optimizer(model, SPEC.optimizer)
        before = learning.evaluate().loss
        chosen = torch.arange(8)
        for _ in range(30):
            model.train()
            optimizer.zero_grad()
            learning.step(chosen)
            optimizer.step()
        assert learning.evaluate().loss < 0.8 * before
        assert (learning.evaluate().count, learning.test().count) == (5, 3)

    def test_shares_of_a_step_add_up_to_it(self, model):
        """Where batch norm keeps its statistics: each process draws for all, and takes its own."""
        chosen, model = torch.tensor([6, 1, 4, 7, 0]), model.eval()
        whole = task(model).step(chosen)
        expected = gradients(model)
        model.zero_grad()
        parts = [task(model).step(chosen, slice(0, 3), 0.6), task(model).step(chosen, slice(3, 5), 0.4)]
        assert sum(part.loss for part in parts).item() == pytest.approx(whole.loss.item(), rel=1e-5)
        for name, gradient in gradients(model).items():
            torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4)

    def test_each_step_draws_anew_and_every_run_the_same(self, model):
        chosen, model = torch.arange(8), model.eval()
        first, second = task(model), task(model)
        losses = [first.step(chosen).loss.item() for _ in range(2)]
        assert losses[0] != losses[1]
        assert losses == [second.step(chosen).loss.item() for _ in range(2)]

    def test_clouds_with_more_points_than_a_step_takes(self, model):
        output = task(model.train(), clouds(8, points=90)).step(torch.arange(4))
        assert output.loss > 0

    def test_other_clouds_have_another_fingerprint(self, model):
        assert task(model).fingerprint == task(model).fingerprint
        assert task(model).fingerprint != task(model, clouds(8, seed=5)).fingerprint
        assert task(model).fingerprint != task(model, clouds(9)).fingerprint


class TestRandomSubsets:
    def draw(self, seed=0, to_unit_sphere=False):
        return RandomSubsets(20, torch.Generator().manual_seed(seed), to_unit_sphere=to_unit_sphere)

    def test_each_cloud_has_a_subset_of_its_own(self):
        points = torch.arange(150.0)[None, :, None].expand(4, -1, 3)
        drawn = self.draw()(points)
        assert drawn.shape == (4, 20, 3)
        chosen = [set(cloud[:, 0].tolist()) for cloud in drawn]
        assert all(len(one) == 20 and one <= set(range(150)) for one in chosen)
        assert len({frozenset(one) for one in chosen}) == 4
        assert torch.equal(drawn, self.draw()(points))

    def test_every_point_is_as_likely(self):
        points = torch.arange(40.0)[None, :, None].expand(2000, -1, 3)
        counts = torch.bincount(self.draw()(points)[..., 0].long().flatten(), minlength=40)
        torch.testing.assert_close(counts / 2000, torch.full((40,), 0.5), atol=0.05, rtol=0)

    def test_it_fills_the_unit_sphere_where_its_cloud_does(self):
        points = 5 + torch.rand(3, 100, 3, generator=torch.Generator().manual_seed(0))
        points[2] = points[2, 0]
        drawn = self.draw(to_unit_sphere=True)(points)
        torch.testing.assert_close(drawn.mean(dim=1), torch.zeros(3, 3), atol=1e-6, rtol=0)
        torch.testing.assert_close(
            drawn.norm(dim=2).amax(dim=1), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5, rtol=0
        )
        assert self.draw()(points).min() >= 5

    def test_a_share_draws_what_the_whole_would(self):
        points = torch.rand(5, 30, 3)
        whole = self.draw()(points)
        assert torch.equal(self.draw()(points[1:3], Share(slice(1, 3), 5)), whole[1:3])

    def test_clouds_of_the_size_pass(self):
        points = torch.rand(2, 20, 3)
        assert self.draw(to_unit_sphere=True)(points) is points
