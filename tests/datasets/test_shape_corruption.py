"""What a scan does to the built-in shapes: each option does what it says, and nothing where it is neutral."""

import numpy as np
import pytest

from pointlora_cli.datasets.shapes import ShapeOptions, generate_cloud, generate_shapes
from pointlora_cli.datasets.shapes import primitives as p
from pointlora_cli.datasets.shapes.corruption import (
    SPARE,
    few_of_them,
    lose_in_holes,
    noise_along_rays,
    piece_beside,
    place_scanner,
    repeated,
    scan_in_lines,
    stray_points,
    thin_with_distance,
)

PLAIN = {"points": 200, "rotate": "none", "tilt_degrees": 0.0, "noise": 0.0}
NEUTRAL = {
    "ray_noise": 0.0,
    "falloff": 0.0,
    "holes": 0.0,
    "fragments": 0.0,
    "outliers": 0.0,
    "distinct": 1.0,
    "airborne": 0.0,
    "varied": False,
}
STRONGEST = {
    "ray_noise": 0.2,
    "falloff": 4.0,
    "holes": 0.5,
    "fragments": 0.3,
    "outliers": 0.1,
    "distinct": 0.01,
    "airborne": 1.0,
}


def _rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def _sheet(count, seed=0):
    """Points (count, 3) evenly over a square of 2 by 2 in the plane y = 0."""
    points = _rng(seed).uniform(-1.0, 1.0, (count, 3))
    points[:, 1] = 0.0
    return points


def _rows(points):
    return {row.tobytes() for row in points}


# --- options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chair", "grove"])
def test_neutral_options_change_no_bit(name):
    options = {"points": 128, "occlusion": 0.3, "clutter": 0.2}
    plain = generate_cloud(name, 1, ShapeOptions(**options))
    assert plain.tobytes() == generate_cloud(name, 1, ShapeOptions(**options, **NEUTRAL)).tobytes()


@pytest.mark.parametrize("option", STRONGEST)
def test_each_option_changes_the_cloud_and_stays_with_its_seed(option):
    options = ShapeOptions(**PLAIN, **{option: STRONGEST[option]})
    cloud = generate_cloud("house", 2, options)
    assert cloud.tobytes() == generate_cloud("house", 2, options).tobytes()
    assert cloud.tobytes() != generate_cloud("house", 2, ShapeOptions(**PLAIN)).tobytes()


@pytest.mark.parametrize("points", [1, 2, 3, 4, 5, 7, 64])
@pytest.mark.parametrize("strengths", [STRONGEST, STRONGEST | {"airborne": 0.0, "distinct": 1.0}])
def test_clouds_keep_their_count_and_fit_the_unit_sphere_however_bad_the_scan(points, strengths):
    options = ShapeOptions(points, occlusion=0.9, clutter=0.5, **strengths)
    clouds, _ = generate_shapes(1, 0, "train", options, ["bush", "chair", "sheet", "snake"])
    assert clouds.shape == (4, points, 3)
    assert np.isfinite(clouds).all()
    norms = np.linalg.norm(clouds, axis=-1)
    assert norms.max() <= 1.0
    assert np.abs(clouds.mean(axis=1)).max() < 1e-5
    if points > 7:
        assert norms.max(axis=1).min() > 0.999


@pytest.mark.parametrize("name", [name for name in STRONGEST if name != "distinct"])
def test_options_out_of_range_are_refused_by_name(name):
    for value in (-0.01, STRONGEST[name] * 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"{name} must be from 0"):
            ShapeOptions(**{name: value})


@pytest.mark.parametrize("value", [0.0, -1.0, 1.1, float("nan")])
def test_a_cloud_needs_some_distinct_points(value):
    with pytest.raises(ValueError, match="distinct"):
        ShapeOptions(distinct=value)


def test_a_third_of_varied_clouds_lacks_what_the_others_have_more_or_less_of():
    options = ShapeOptions(**PLAIN, outliers=0.1, varied=True)
    plain = ShapeOptions(**PLAIN)
    without = [
        np.array_equal(generate_cloud("can", seed, plain), generate_cloud("can", seed, options))
        for seed in range(40)
    ]
    assert 0.2 < np.mean(without) < 0.55  # a third, and those with less than one point


def test_some_clouds_have_few_points_that_are_repeated_evenly():
    shares = []
    for seed in range(40):
        cloud = generate_cloud("bush", seed, ShapeOptions(**PLAIN | {"noise": 0.01}, distinct=0.05))
        _, counts = np.unique(cloud, axis=0, return_counts=True)
        assert np.ptp(counts) <= 1
        shares.append(len(counts) / 200)
    assert 0.05 <= min(shares) < 0.1
    assert max(shares) > 0.8
    assert 0.1 < np.median(shares) < 0.45  # the root of 0.05 is 0.22


def test_the_chance_of_a_scan_from_the_air_is_kept():
    plain, some = ShapeOptions(**PLAIN), ShapeOptions(**PLAIN, airborne=0.4)
    changed = [
        not np.array_equal(generate_cloud("can", seed, plain), generate_cloud("can", seed, some))
        for seed in range(40)
    ]
    assert 0.2 < np.mean(changed) < 0.6


# --- steps --------------------------------------------------------------------------------------------


def test_a_scanner_stands_two_to_five_radii_away_and_hardly_below():
    points = p.box(1.0, 2.0, 1.0).moved(x=5.0).sample(300, _rng())
    middle = points.mean(axis=0)
    radius = np.linalg.norm(points - middle, axis=1).max()
    places = np.stack([place_scanner(points, _rng(seed)) for seed in range(200)]) - middle
    far = np.linalg.norm(places, axis=1) / radius
    assert 2.0 <= far.min() < 2.3
    assert 4.7 < far.max() <= 5.0
    assert (places[:, 1] / radius / far).min() >= -0.2 - 1e-9


def test_density_falls_with_the_power_of_the_distance():
    points, scanner = (
        _sheet(40_000),
        np.array([0.0, 0.0, -3.0]),
    )  # 2 to 4 away, where it is nearest and farthest
    kept = thin_with_distance(points, 10_000, scanner, 2.0, _rng(1))
    assert len(_rows(kept)) == 10_000
    assert _rows(kept) <= _rows(points)
    near, far = (kept[:, 2] < -0.8).sum(), (kept[:, 2] > 0.8).sum()
    assert 1.9 < near / far < 3.2  # 2.9 for few draws of many, less as the near part is used up
    even = thin_with_distance(points, 10_000, scanner, 0.0, _rng(1))
    assert 0.8 < (even[:, 2] < -0.8).sum() / (even[:, 2] > 0.8).sum() < 1.25


def test_a_scan_from_the_air_is_even_in_plan_and_close_to_lines():
    points = _sheet(SPARE * 1000)
    kept = scan_in_lines(points, 1000, _rng(3))
    assert len(_rows(kept)) == 1000
    assert _rows(kept) <= _rows(points)

    def unevenness(cloud):
        return np.histogram2d(cloud[:, 0], cloud[:, 2], 6, [(-1, 1), (-1, 1)])[0].std()

    def concentration(cloud):
        """How much of the plan stays empty, looked at along the best of many directions."""
        angles = np.linspace(0.0, np.pi, 360, endpoint=False)
        across = cloud[:, :1] * np.cos(angles) + cloud[:, 2:] * np.sin(angles)
        return max(np.histogram(one, 150, (-1, 1))[0].std() for one in across.T)

    assert unevenness(kept) < 0.75 * unevenness(points[:1000])
    assert concentration(kept) > 1.5 * concentration(points[:1000])


def test_a_scan_from_the_air_sees_walls_and_single_points():
    wall = np.stack([np.zeros(400), np.linspace(0.0, 1.0, 400), np.zeros(400)], axis=1)
    assert scan_in_lines(wall, 100, _rng()).shape == (100, 3)
    assert scan_in_lines(np.ones((8, 3)), 2, _rng()).shape == (2, 3)


def test_what_is_lost_in_holes_lies_together():
    points = _sheet(800)
    kept = lose_in_holes(points, 560, _rng(1))
    assert len(_rows(kept)) == 560
    left = _rows(kept)
    lost = np.array([row.tobytes() not in left for row in points])
    nearest = np.argsort(((points[:, None] - points) ** 2).sum(axis=2), axis=1)[:, 1:6]
    assert lost[nearest[lost]].all(axis=1).mean() > 0.6  # 0.002 if they were lost at random


def test_noise_moves_points_along_their_rays_alone():
    points = p.sphere(2.0).sample(4000, _rng())
    scanner = np.array([0.0, 3.0, 8.0])
    steps = noise_along_rays(points, scanner, 0.05, _rng(1)) - points
    rays = points - scanner
    assert np.abs(np.cross(steps, rays)).max() < 1e-9
    far = np.sqrt((steps**2).sum(axis=1))
    assert np.sqrt((far**2).mean()) == pytest.approx(0.05 * 2.0, rel=0.05)
    assert far.max() <= 3 * 0.1 * 1.03  # the middle of a sample is not that of the sphere


def test_a_piece_of_another_object_lies_beside_and_is_of_like_size():
    points = p.box(1.0, 2.0, 1.0).sample(600, _rng())
    other = 50.0 * p.sphere(1.0).sample(400, _rng(1)) + 7.0
    levels = []
    for seed in range(30):
        piece = piece_beside(points, other, 200, _rng(seed))
        assert piece.shape == (200, 3)
        assert 0.2 < np.ptp(piece, axis=0).max() / 2.0 < 2.0
        gaps = np.linalg.norm(piece[:, None] - points, axis=-1)
        assert gaps.min() < 1.5
        inside = (np.abs(piece[:, [0, 2]]) < 0.4).all(axis=1) & (piece[:, 1] > 0.1) & (piece[:, 1] < 1.9)
        assert inside.mean() < 0.25
        levels.append(piece[:, 1].min() - points[:, 1].min())
    assert 0.5 < np.isclose(levels, 0.0).mean() < 0.9


def test_stray_points_lie_in_a_box_half_as_large_again():
    points = p.box(1.0, 2.0, 4.0).sample(2000, _rng())
    stray = stray_points(points, 5000, _rng(1))
    low, high = points.min(axis=0), points.max(axis=0)
    assert np.allclose(np.ptp(stray, axis=0) / (high - low), 1.5, atol=0.02)
    assert np.allclose(stray.mean(axis=0), (low + high) / 2, atol=0.1)


def test_few_points_are_some_of_all_and_repeated_ones_are_all_again():
    points = _rng().standard_normal((100, 3))
    few = few_of_them(points, 0.1, _rng(5))
    assert 10 <= len(few) <= 100
    assert _rows(few) < _rows(points)
    again = repeated(few, 250, _rng(1))
    assert again.shape == (250, 3)
    assert _rows(again) == _rows(few)
    assert repeated(points, 100, _rng()).tobytes() == points.tobytes()
