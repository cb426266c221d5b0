"""Interpolation from centers to points."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pointlora_cli.ops.interpolation import interpolate


def random_task(batch=2, points=40, centers=9, channels=5, dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    sizes = ((batch, points, 3), (batch, centers, 3), (batch, centers, channels))
    return [torch.randn(*size, generator=generator).to(dtype) for size in sizes]


def one_by_one(points, centers, features, k=3):
    """The definition, point after point."""
    result = np.empty((*points.shape[:2], features.shape[-1]))
    for cloud, point in np.ndindex(*points.shape[:2]):
        squared = ((points[cloud, point] - centers[cloud]) ** 2).sum(axis=-1)
        nearest = np.argsort(squared, kind="stable")[:k]
        weights = 1 / (squared[nearest] + 1e-8)
        result[cloud, point] = weights @ features[cloud, nearest] / weights.sum()
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_three_nearest_centers_are_mixed_by_inverse_squared_distance(dtype):
    task = random_task(dtype=dtype)
    found = interpolate(*task)
    assert found.dtype == dtype
    expected = one_by_one(*(part.double().numpy() for part in task))
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("centers", [1, 2])
def test_fewer_than_three_centers_are_all_used(centers):
    task = random_task(centers=centers)
    expected = one_by_one(*(part.double().numpy() for part in task), k=centers)
    np.testing.assert_allclose(interpolate(*task).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_coordinates_are_weighed_in_single(dtype):
    points, centers, features = random_task(dtype=dtype)
    points = torch.cat([points, centers], dim=1)  # at distance zero too
    found = interpolate(points, centers, features.float())
    expected = interpolate(points.double(), centers.double(), features.double()).float()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert interpolate(points, centers, features).isfinite().all()


def test_a_point_at_a_center_has_its_feature():
    _, centers, features = random_task()
    torch.testing.assert_close(interpolate(centers, centers, features), features, atol=1e-5, rtol=0)


def test_of_centers_at_one_distance_the_lowest_indices_count():
    centers = torch.tensor([[[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]]])
    features = torch.tensor([[[3.0], [6.0], [9.0], [100.0], [1000.0]]])
    assert interpolate(torch.zeros(1, 1, 3), centers, features).item() == pytest.approx(6.0)


def test_a_linear_layer_may_come_before_or_behind():
    points, centers, features = random_task(dtype=torch.float64)
    weight = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before = interpolate(points, centers, F.linear(features, weight))
    torch.testing.assert_close(before, F.linear(interpolate(points, centers, features), weight))


def test_gradients_reach_the_features_alone():
    points, centers, features = random_task(dtype=torch.float64, points=6, centers=4, channels=2)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda some: interpolate(points, centers, some), (features,))
    points.requires_grad_()
    interpolate(points, centers, features).sum().backward()
    assert points.grad is None


def test_distances_are_those_of_the_coordinates_whatever_the_features_are():
    """In eight bits of mantissa these centers would all be one."""
    points = torch.tensor([[[0.5, 0.0, 0.0]]])
    centers = torch.tensor([[[0.5 + step / 4096, 0.0, 0.0] for step in (4, 3, 0, 2, 1)]])
    features = torch.tensor([[[1.0], [2.0], [4.0], [8.0], [16.0]]], dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = interpolate(points, centers, features)
    assert found.dtype == torch.bfloat16
    expected = one_by_one(*(part.double().numpy() for part in (points, centers, features)))
    assert found.item() == pytest.approx(expected.item(), rel=0.01)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda points, centers, features: (points[..., :2], centers, features), "points"),
        (lambda points, centers, features: (points, centers[0], features), "centers"),
        (lambda points, centers, features: (points, centers, features[:, :4]), "features"),
        (lambda points, centers, features: (points, centers, features[0]), "features"),
        (lambda points, centers, features: (points[:1], centers, features), "clouds"),
    ],
)
def test_shapes_that_do_not_agree_are_refused(change, error):
    with pytest.raises(ValueError, match=error):
        interpolate(*change(*random_task()))


def test_whole_numbers_are_no_features():
    points, centers, features = random_task()
    with pytest.raises(TypeError, match="features"):
        interpolate(points, centers, features.long())
