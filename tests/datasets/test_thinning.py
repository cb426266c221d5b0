"""Thinning keeps the farthest points of each cloud, in this process or in several."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlora_cli.datasets import workers
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.sampling import farthest_point_sampling


def clouds(count, points=300):
    return np.random.default_rng(0).uniform(-0.3, 0.3, (count, points, 3)).astype(np.float32)


def expected(points, count, skip):
    stored = torch.from_numpy(points)
    return gather(stored, farthest_point_sampling(stored, count, skip_near_origin=skip)).numpy()


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("number", [3, 130])
def test_the_farthest_are_kept_in_order(number, skip, monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 2)  # 130 clouds are shared between two processes
    points = clouds(number)
    points[:, ::5] *= 0.01
    told = []
    thinned = thin(points, 100, skip_near_origin=skip, report=told.append)
    np.testing.assert_array_equal(thinned, expected(points, 100, skip))
    assert told == list(range(1, number + 1))


def test_all_points_stay_as_they_are_unless_near_ones_are_left_out():
    points = clouds(2, 60)
    points[:, ::5] *= 0.01
    assert thin(points, 60) is points
    np.testing.assert_array_equal(thin(points, 60, skip_near_origin=True), expected(points, 60, True))
