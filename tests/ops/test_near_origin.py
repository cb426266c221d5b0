"""Points near the origin, as the official sampler leaves them."""

import pytest
import torch

from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.near_origin import without_near_origin
from pointlora_cli.ops.sampling import farthest_point_sampling


def clouds():
    points = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0)) * 0.2
    points[:, [3, 20]] *= 1e-3
    points[1, 0] = 0.0
    points[2, 0] = 0.03  # squared norm 0.0027: far enough
    return points


def in_any_order(points):
    return [sorted(map(tuple, cloud.tolist())) for cloud in points]


def test_it_leaves_what_the_sampler_draws():
    points = clouds()
    drawn = gather(points, farthest_point_sampling(points, 50, skip_near_origin=True))
    assert in_any_order(without_near_origin(points, keep_first=True)) == in_any_order(drawn)
    assert in_any_order(drawn) != in_any_order(points)


def test_the_first_point_is_spared_only_if_asked():
    points = clouds()
    assert without_near_origin(points, keep_first=True)[:, 0].equal(points[:, 0])
    assert without_near_origin(points)[1, 0].equal(points[1, 1])
    assert without_near_origin(points)[0, 3].equal(points[0, 0])


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must have shape \(B, N, 3\)"):
        without_near_origin(torch.rand(5, 3))
