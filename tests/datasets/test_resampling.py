"""Bringing clouds to one size and frame: nothing invented, nothing that depends on order or place."""

from __future__ import annotations

import numpy as np
import pytest

from pointlora_cli.clouds.cloud import from_coordinates
from pointlora_cli.datasets.resampling import canonical_points, draw_in_frame, resample


def cloud_of(points):
    return from_coordinates(np.asarray(points, dtype=np.float64), "test.xyz")


def random_points(count, seed=0):
    return np.random.RandomState(seed).standard_normal((count, 3)) * [3, 1, 0.5]


@pytest.mark.parametrize("count", [2, 3, 63, 64, 65, 200, 64 * 16, 64 * 16 + 1, 5000])
@pytest.mark.parametrize("normalize", ["none", "center", "unit-sphere"])
def test_shape_type_and_frame(count, normalize):
    points = resample(cloud_of(random_points(count)), 64, normalize)
    assert points.shape == (64, 3)
    assert points.dtype == np.float32
    assert np.isfinite(points).all()
    norms = np.linalg.norm(points.astype(np.float64), axis=1)
    if normalize == "unit-sphere":
        assert norms.max() <= 1 + 1e-6
        if count <= 64 * 16:  # beyond, the farthest point may not be among the candidates
            assert norms.max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1e7])
@pytest.mark.parametrize("normalize", ["none", "center", "unit-sphere"])
def test_frame_places_every_point_where_the_drawn_points_are(normalize, offset):
    cloud = cloud_of(random_points(500) + offset)
    points, frame = draw_in_frame(cloud, 64, normalize)
    placed = {tuple(point) for point in frame.place(cloud.points)}
    assert {tuple(point) for point in points} <= placed


def test_points_are_drawn_as_densely_as_the_cloud_is():
    dense, sparse = random_points(9000) * 0.01, random_points(1000, seed=1) * 0.01 + [5, 0, 0]
    points, _ = draw_in_frame(cloud_of(np.concatenate([dense, sparse])), 512, "none")
    assert 0.06 < (points[:, 0] > 2).mean() < 0.14  # farthest points would be half and half
    assert len(np.unique(points, axis=0)) == 512


@pytest.mark.parametrize("count", [2, 30, 64, 700])
def test_drawing_depends_on_no_order_and_repeats_evenly(count):
    given = random_points(count)
    drawn, _ = draw_in_frame(cloud_of(given), 64, "unit-sphere")
    again, _ = draw_in_frame(cloud_of(np.concatenate([given[::-1], given])), 64, "unit-sphere")
    np.testing.assert_array_equal(drawn, again)
    _, times = np.unique(drawn, axis=0, return_counts=True)
    assert len(times) == min(count, 64)
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize("count", [2, 30, 64, 1000])
def test_points_are_the_clouds_own(count):
    given = random_points(count).astype(np.float32)
    points = resample(cloud_of(given), 64, "none")
    assert {tuple(point) for point in points} <= {tuple(point) for point in given}
    assert len({tuple(point) for point in points}) == min(count, 64)


@pytest.mark.parametrize("count", [2, 3, 30, 63])
def test_few_points_are_repeated_evenly(count):
    _, times = np.unique(resample(cloud_of(random_points(count)), 64, "center"), axis=0, return_counts=True)
    assert len(times) == count
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize("count", [30, 64, 700, 5000])
@pytest.mark.parametrize("normalize", ["none", "unit-sphere"])
def test_order_and_duplicates_change_nothing(count, normalize):
    given = random_points(count)
    random = np.random.RandomState(5)
    changed = np.concatenate([given, given[random.randint(count, size=2 * count)]])
    changed = changed[random.permutation(len(changed))]
    expected = resample(cloud_of(given), 64, normalize)
    np.testing.assert_array_equal(resample(cloud_of(changed), 64, normalize), expected)


def test_minus_zero_is_zero():
    points = np.array([[0.0, 1, 2], [-0.0, 1, 2], [3, 4, 5]], dtype=np.float32)
    assert len(canonical_points(points)) == 2


def test_axes_are_not_confused():
    points = np.array(
        [[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 3, 2], [1, 2, 4], [1, 4, 3], [4, 2, 3]], dtype=np.float32
    )
    assert {tuple(point) for point in canonical_points(points)} == {tuple(point) for point in points}


def test_a_prefix_of_the_canonical_order_is_a_fair_sample():
    left = random_points(3000) * 0.1 - [5, 0, 0]
    right = random_points(1000, seed=1) * 0.1 + [5, 0, 0]
    ordered = canonical_points(np.concatenate([left, right]).astype(np.float32))
    assert 0.15 < (ordered[:400, 0] > 0).mean() < 0.35


@pytest.mark.parametrize("offset", [1e5, 1e7, 1e9])
def test_offsets_that_float32_cannot_hold_keep_the_shape(offset):
    steps = np.round(random_points(64) * 1024) / 1024  # exact in float64 also at the offset
    near, far = (resample(cloud_of(steps + shift), 64, "unit-sphere") for shift in (0, offset))
    order = [np.lexsort(points.T) for points in (near, far)]
    np.testing.assert_allclose(near[order[0]], far[order[1]], atol=1e-6)


def test_not_normalised_points_stay_where_they_are():
    given = random_points(100) + 1e6
    points = resample(cloud_of(given), 64, "none")
    assert np.abs(points.mean(axis=0) - 1e6).max() < 2


def test_thinning_covers_the_cloud():
    given = random_points(2000)
    points = resample(cloud_of(given), 256, "none").astype(np.float64)
    to_nearest = np.linalg.norm(given[:, None] - points[None], axis=2).min(axis=1)
    assert to_nearest.max() < 1.0
    assert np.abs(given).max() - np.abs(points).max() < 0.5


def test_resampling_twice_is_resampling_once():
    once = resample(cloud_of(random_points(1000)), 64, "unit-sphere")
    twice = resample(cloud_of(once), 64, "none")
    assert {tuple(point) for point in once} == {tuple(point) for point in twice}
