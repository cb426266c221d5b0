"""Farthest-point sampling."""

import pytest
import torch

from pointlora_cli.ops.sampling import farthest_point_sampling


def by_definition(points, count, skip_near_origin=False):
    """One cloud (N, 3), point by point, as the definition says."""
    allowed = [i for i in range(len(points)) if not skip_near_origin or (points[i] ** 2).sum() > 1e-3]
    chosen = [0]
    while len(chosen) < count:
        nearest = {i: min(((points[i] - points[c]) ** 2).sum().item() for c in chosen) for i in allowed}
        chosen.append(max(allowed, key=lambda i: (nearest[i], -i)) if allowed else 0)
    return chosen


@pytest.mark.parametrize("skip", [False, True])
def test_agrees_with_the_definition(skip):
    points = torch.rand(3, 40, 3, dtype=torch.float64) - 0.5
    points[:, ::7] *= 0.01
    ours = farthest_point_sampling(points, 12, skip_near_origin=skip)
    assert ours.tolist() == [by_definition(cloud, 12, skip) for cloud in points]


def test_fewer_points_are_a_prefix_of_more():
    points = torch.rand(2, 200, 3)
    assert torch.equal(farthest_point_sampling(points, 64)[:, :16], farthest_point_sampling(points, 16))


def test_ties_go_to_the_lowest_index():
    corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]]])
    assert farthest_point_sampling(corners, 4).tolist() == [[0, 1, 2, 3]]  # all at distance 1


def test_points_near_the_origin_are_chosen_only_first():
    points = torch.tensor([[[0.01, 0, 0], [0.0, 0.02, 0], [1.0, 0, 0], [0.0, 1.0, 0]]])
    assert farthest_point_sampling(points, 4, skip_near_origin=True).tolist() == [[0, 3, 2, 2]]


def test_all_points_near_the_origin_repeat_the_first():
    assert farthest_point_sampling(torch.zeros(1, 5, 3), 3, skip_near_origin=True).tolist() == [[0, 0, 0]]


def test_the_input_keeps_no_gradient_and_stays_as_it_is():
    points = torch.rand(1, 30, 3, requires_grad=True)
    before = points.detach().clone()
    assert not farthest_point_sampling(points, 5).requires_grad
    assert torch.equal(points, before)


@pytest.mark.parametrize(
    ("points", "count", "error"),
    [
        (torch.rand(10, 3), 2, ValueError),
        (torch.rand(1, 10, 2), 2, ValueError),
        (torch.rand(1, 0, 3), 1, ValueError),
        (torch.rand(1, 10, 3), 0, ValueError),
        (torch.rand(1, 10, 3), 11, ValueError),
        (torch.ones(1, 10, 3, dtype=torch.int64), 2, TypeError),
    ],
)
def test_bad_input_is_refused(points, count, error):
    with pytest.raises(error):
        farthest_point_sampling(points, count)
