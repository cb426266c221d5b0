"""The pruned sampler gives what full passes give, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from command_line import python
from hypothesis import given, settings
from hypothesis import strategies as st

from pointlora_cli.ops import sampling
from pointlora_cli.ops.pruned_sampling import pruned_farthest_points
from pointlora_cli.ops.sampling import farthest_point_sampling

RANDOM = np.random.default_rng(0)


def reference(points, count, first=0, skip_near_origin=False):
    starts = torch.tensor([first])
    return sampling._by_full_passes(torch.from_numpy(points)[None], count, starts, skip_near_origin)[
        0
    ].numpy()


def agree(points, count, **options):
    points = np.ascontiguousarray(points, dtype=np.float32)
    np.testing.assert_array_equal(
        pruned_farthest_points(points, count, **options), reference(points, count, **options)
    )


def boxes(count, seed=0):
    """Points on the sides of a box, as in a cloud of furniture."""
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, (count, 3))
    side = random.integers(0, 6, count)
    points[np.arange(count), side % 3] = np.where(side < 3, -1, 1)
    return points * (1, 0.2, 0.6)


CLOUDS = {
    "surface": boxes(2500),
    "volume": RANDOM.uniform(-1, 1, (2500, 3)),
    "coarse grid with many ties": RANDOM.integers(0, 5, (1500, 3)),
    "fine grid with many ties": RANDOM.integers(0, 40, (1500, 3)) / 40,
    "whole grid in order": np.stack(np.meshgrid(*[np.arange(10)] * 3), -1).reshape(-1, 3),
    "every point twice": np.repeat(boxes(700), 2, axis=0),
    "all equal": np.ones((400, 3)),
    "a line": np.outer(np.linspace(0, 1, 1000), (1, 0.5, 0.2)),
    "one point far away": np.concatenate([boxes(1200), [[5000, 0, 0]]]),
    "clusters": RANDOM.integers(0, 4, (1200, 3)) * 100 + RANDOM.standard_normal((1200, 3)),
    "farther than the initial distance": boxes(900) * 3e5,
    "beyond the range of squares": boxes(900) * 1e30,
    "below the range of squares": boxes(900) * 1e-22,
    "far from the origin": boxes(900) + 1e4,
    "near the origin": boxes(900) * 0.05,
    "a few members": boxes(150),
}


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("skip", [False, True])
def test_agrees_to_the_last_point(name, skip):
    cloud = CLOUDS[name]
    agree(cloud, len(cloud), skip_near_origin=skip, first=len(cloud) // 3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 700),
    st.floats(0, 1),
    st.sampled_from([0, 1, 2, 5]),
    st.booleans(),
)
def test_agrees_on_random_clouds(seed, size, share, decimals, skip):
    random = np.random.default_rng(seed)
    points = random.standard_normal((size, 3)) * random.uniform(0.02, 1, 3)
    count = max(1, round(share * size))
    agree(points.round(decimals), count, first=int(random.integers(size)), skip_near_origin=skip)


def test_one_point_is_chosen_as_often_as_it_is_there():
    assert pruned_farthest_points(np.zeros((1, 3), np.float32), 1).tolist() == [0]
    assert pruned_farthest_points(np.zeros((3, 3), np.float32), 3, first=2).tolist() == [2, 0, 0]


def test_the_points_stay_as_they_are():
    points = boxes(600).astype(np.float32)
    before = points.copy()
    pruned_farthest_points(points, 500)
    np.testing.assert_array_equal(points, before)


@pytest.mark.parametrize(
    ("points", "options"),
    [
        (np.zeros((5, 2), np.float32), {}),
        (np.zeros((5, 3)), {}),
        (np.zeros((5, 3), np.float32), {"count": 0}),
        (np.zeros((5, 3), np.float32), {"count": 6}),
        (np.zeros((5, 3), np.float32), {"first": 5}),
        (np.zeros((5, 3), np.float32), {"first": -1}),
        (np.full((5, 3), np.nan, np.float32), {}),
    ],
)
def test_bad_input_is_refused(points, options):
    with pytest.raises(ValueError, match=r"points|count|first"):
        pruned_farthest_points(points, **{"count": 2, **options})


@pytest.mark.parametrize(("batch", "size", "count"), [(1, 300, 200), (3, 2200, 256), (4, 200, 50)])
def test_sampling_of_batches_is_the_same_by_either_way(batch, size, count, monkeypatch):
    points = torch.from_numpy(np.stack([boxes(size, seed) for seed in range(batch)]).astype(np.float32))
    first = torch.arange(batch) * 7
    mixed = farthest_point_sampling(points, count, first=first, skip_near_origin=True)
    monkeypatch.setattr(sampling, "_prunes_faster", lambda points, count: False)
    assert torch.equal(mixed, farthest_point_sampling(points, count, first=first, skip_near_origin=True))
    assert mixed[:, 0].tolist() == first.tolist()


def test_clouds_that_are_not_finite_take_the_plain_way():
    points = torch.rand(1, 50, 3)
    points[0, 4] = float("nan")
    assert farthest_point_sampling(points, 3).shape == (1, 3)


@pytest.mark.parametrize(
    "first", [torch.tensor([0, 50]), torch.tensor([-1, 0]), torch.tensor([0]), torch.tensor([0.0, 1.0])]
)
def test_a_start_that_does_not_fit_is_refused(first):
    with pytest.raises(ValueError, match="first must be"):
        farthest_point_sampling(torch.rand(2, 50, 3), 3, first=first)


def test_workers_that_sample_load_no_torch():
    outcome = python(
        "import sys, pointlora_cli.ops.pruned_sampling; assert 'torch' not in sys.modules, 'torch is loaded'"
    )
    assert outcome.code == 0, outcome.err
