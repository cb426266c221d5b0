"""Clouds with part labels, brought to one frame and one size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlora_cli.datasets.part_drawing import drawn_rows, uniform_draws
from pointlora_cli.datasets.part_sampling import evaluation_arrays, fixed_rows, replaced_rows
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.datasets.unit_sphere import normalized_cloud
from pointlora_cli.specs.data import ShapeNetPartData


def clouds_of(*sizes):
    """Random clouds of these sizes; a point's part is its cloud's number, or 20 more for every other point."""
    random = np.random.default_rng(0)
    parts = [place + 20 * (np.arange(size) % 2) for place, size in enumerate(sizes)]
    return PartClouds(
        random.standard_normal((sum(sizes), 3)).astype(np.float32),
        np.concatenate(parts).astype(np.uint8),
        np.cumsum([0, *sizes]),
        np.arange(len(sizes)),
    )


def test_a_cloud_of_one_place_stays_finite():
    points = normalized_cloud(np.full((5, 3), 1e9, dtype=np.float32))
    assert points.tolist() == [[0, 0, 0]] * 5


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_unit_sphere_is_that_of_all_points(offset):
    cloud = (np.random.default_rng(0).standard_normal((3000, 3)) + offset).astype(np.float32)
    points = normalized_cloud(cloud).astype(np.float64)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(1, abs=1e-6)
    assert np.abs(points.mean(axis=0)).max() < 1e-6


@pytest.mark.parametrize(("size", "count"), [(30, 64), (64, 64), (100, 64), (1, 8), (2723, 2048)])
def test_fixed_test_points_are_as_even_as_can_be_and_always_the_same(size, count):
    rows = fixed_rows(size, count)
    assert rows.shape == (count,)
    times = np.bincount(rows, minlength=size)
    assert len(times) == size
    assert times.max() - times.min() <= 1
    np.testing.assert_array_equal(rows, fixed_rows(size, count))


def test_fixed_test_points_are_pinned():
    assert fixed_rows(12, 5).tolist() == [0, 6, 8, 9, 11]
    assert replaced_rows(12, 5, seed=3, index=7).tolist() == [11, 5, 7, 1, 8]


def test_fixed_test_points_are_spread_over_the_file():
    kept = np.bincount(fixed_rows(4000, 2000), minlength=4000)
    assert abs(kept[:2000].sum() - 1000) < 100


def test_a_part_of_the_clouds_is_those_clouds():
    clouds = clouds_of(40, 10, 24)
    part = clouds.between(1, 3)
    assert (len(clouds), len(part)) == (3, 2)
    assert part.category.tolist() == [1, 2]
    for place in (0, 1):
        for mine, whole in zip(part.cloud(place), clouds.cloud(place + 1), strict=True):
            np.testing.assert_array_equal(mine, whole)
    assert len(clouds.between(3, 3)) == 0


@pytest.mark.parametrize("sampling", ["fixed", "with-replacement"])
def test_test_clouds_have_one_size_and_each_point_keeps_its_part(sampling):
    clouds = clouds_of(40, 10, 24)
    spec = ShapeNetPartData(points=24, test_sampling=sampling)
    points, parts, category = evaluation_arrays(clouds, spec)
    assert (points.shape, points.dtype) == ((3, 24, 3), np.float32)
    assert (parts.shape, parts.dtype) == ((3, 24), np.int64)
    assert category.tolist() == [0, 1, 2]
    for place in range(3):
        part_of = {tuple(point): int(part) for point, part in zip(*clouds.cloud(place), strict=True)}
        assert [part_of[tuple(point)] for point in points[place]] == parts[place].tolist()
    np.testing.assert_array_equal(points, evaluation_arrays(clouds, spec)[0])


def test_drawing_test_points_with_replacement_follows_its_seed_cloud_by_cloud():
    clouds = clouds_of(40, 30, 24)

    def drawn(clouds, seed):
        spec = ShapeNetPartData(points=24, test_sampling="with-replacement", test_seed=seed)
        return evaluation_arrays(clouds, spec)[0]

    first, other = drawn(clouds, 1), drawn(clouds, 2)
    assert not any(np.array_equal(mine, theirs) for mine, theirs in zip(first, other, strict=True))
    np.testing.assert_array_equal(first[:2], drawn(clouds.between(0, 2), 1))
    assert len({tuple(point) for point in first[0]}) < 24  # some of 40 come twice


def test_training_draws_are_uniform_over_each_cloud_of_the_batch():
    offsets = torch.tensor([0, 3, 10, 11])
    chosen = torch.tensor([2, 0, 1, 0])
    rows = drawn_rows(offsets, chosen, uniform_draws(4, 7000, torch.Generator().manual_seed(0)))
    assert rows.shape == (4, 7000)
    for own, (start, stop) in zip(rows, ((10, 11), (0, 3), (3, 10), (0, 3)), strict=True):
        times = torch.bincount(own, minlength=11)
        assert times[start:stop].sum() == 7000
        assert (times[start:stop].double() / 7000 * (stop - start) - 1).abs().max() < 0.15
    assert not torch.equal(rows[1], rows[3])
    again = drawn_rows(offsets, chosen, uniform_draws(4, 7000, torch.Generator().manual_seed(0)))
    assert torch.equal(rows, again)
