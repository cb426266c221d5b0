"""Schedule, augmentation, metrics and batches."""

import math

import numpy as np
import pytest
import torch

from pointlora_cli.specs.training import AugmentationSpec, ScheduleSpec
from pointlora_cli.training.augmentation import Augmentation, rotation
from pointlora_cli.training.batches import batch_sizes
from pointlora_cli.training.metrics import Metrics
from pointlora_cli.training.schedule import build_schedule


class TestSchedule:
    def test_warms_up_to_the_base_and_ends_at_the_minimum(self):
        spec = ScheduleSpec(warmup_epochs=4, warmup_lr=0.1, min_lr=0.01)
        schedule = build_schedule(spec, base_lr=0.5, epochs=20)
        assert [schedule.in_epoch(e) for e in range(3)] == pytest.approx([0.1, 0.2, 0.3])
        assert schedule.in_epoch(10) == pytest.approx(0.01 + 0.49 / 2)
        assert schedule.at(20) == schedule.at(99) == 0.01

    @pytest.mark.parametrize("epochs", [1, 2, 3, 9, 10])
    def test_a_trial_shorter_than_the_warm_up_still_reaches_a_useful_rate(self, epochs):
        schedule = build_schedule(ScheduleSpec(warmup_epochs=10), base_lr=1.0, epochs=epochs)
        assert max(schedule.in_epoch(epoch) for epoch in range(epochs)) > 0.6


def augment(points, seed=0, **options):
    spec = AugmentationSpec.model_validate({"scale": None, "translate": 0, "shuffle": False, **options})
    return Augmentation(spec, torch.Generator().manual_seed(seed))(points)


class TestAugmentation:
    points = torch.rand(200, 20, 3) + 0.5

    def test_nothing_asked_changes_nothing(self):
        assert torch.equal(augment(self.points), self.points)

    def test_scale_is_one_factor_per_axis_and_cloud(self):
        factors = augment(self.points, scale=(0.5, 2.0)) / self.points
        torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
        assert 0.5 <= factors.min() < 0.6
        assert 1.9 < factors.max() <= 2.0
        assert factors[:, 0].std(dim=0).min() > 0.1
        assert not torch.allclose(factors[:, 0, 0], factors[:, 0, 1])

    def test_scale_may_be_one_factor_for_each_cloud(self):
        factors = augment(self.points, scale=(0.5, 2.0), scale_axes="all") / self.points
        torch.testing.assert_close(factors, factors[:, :1, :1].expand_as(factors))
        assert 0.5 <= factors.min() < 0.6
        assert 1.9 < factors.max() <= 2.0

    def test_translation_is_one_shift_per_axis_and_cloud(self):
        shifts = augment(self.points, translate=0.2) - self.points
        torch.testing.assert_close(shifts, shifts[:, :1].expand_as(shifts), atol=1e-6, rtol=0)
        assert shifts.abs().max() <= 0.2 + 1e-6
        assert shifts.min() < -0.15
        assert shifts.max() > 0.15

    @pytest.mark.parametrize(("axis", "index"), [("x", 0), ("y", 1), ("z", 2)])
    def test_rotation_keeps_the_axis_and_all_distances(self, axis, index):
        turned = augment(self.points, rotate=axis)
        torch.testing.assert_close(turned[..., index], self.points[..., index])
        torch.testing.assert_close(turned.norm(dim=-1), self.points.norm(dim=-1))
        assert not torch.allclose(turned, self.points)

    def test_rotation_about_y_is_the_published_matrix(self):
        angle = torch.tensor([0.3])
        cos, sin = math.cos(0.3), math.sin(0.3)
        expected = torch.tensor([[[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]])
        torch.testing.assert_close(rotation(angle, 1), expected)

    def test_shuffling_permutes_the_points(self):
        shuffled = augment(self.points, shuffle=True)
        assert not torch.equal(shuffled, self.points)
        torch.testing.assert_close(shuffled.sort(dim=1).values, self.points.sort(dim=1).values)

    def test_the_same_seed_gives_the_same_clouds(self):
        options = {"scale": (0.5, 2), "translate": 0.1, "rotate": "z", "shuffle": True}
        assert torch.equal(augment(self.points, 3, **options), augment(self.points, 3, **options))
        assert not torch.equal(augment(self.points, 3, **options), augment(self.points, 4, **options))


class TestMetrics:
    metrics = Metrics(np.array([[8, 2, 0], [1, 1, 0], [0, 0, 0]]), 0.5)

    def test_overall_and_by_class(self):
        assert self.metrics.count == 12
        assert self.metrics.accuracy == pytest.approx(9 / 12)
        assert self.metrics.class_accuracy[:2].tolist() == [0.8, 0.5]
        assert math.isnan(self.metrics.class_accuracy[2])
        assert self.metrics.mean_class_accuracy == pytest.approx(0.65)
        assert self.metrics.class_precision[0] == pytest.approx(8 / 9)
        assert math.isnan(self.metrics.class_precision[2])


@pytest.mark.parametrize(
    ("count", "drop_last", "sizes"),
    [
        (64, True, [32, 32]),
        (70, True, [32, 32]),
        (70, False, [32, 32, 6]),
        (65, False, [32, 32]),  # batch norm cannot take one cloud
        (20, True, [20]),  # fewer than a batch: all of them
        (2, True, [2]),
    ],
)
def test_batches(count, drop_last, sizes):
    assert batch_sizes(count, 32, drop_last=drop_last) == sizes
