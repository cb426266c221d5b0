"""The built-in shapes: reproducible, honest about their options, uniformly sampled, and tellable apart."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from pointlora_cli.datasets.shapes import (
    SHAPE_CLASSES,
    ShapeOptions,
    generate_cloud,
    generate_shapes,
    scanning,
)
from pointlora_cli.datasets.shapes import primitives as p
from pointlora_cli.datasets.shapes.building import smooth_profile
from pointlora_cli.datasets.shapes.classes import SHAPE_BUILDERS
from pointlora_cli.datasets.shapes.scanning import (
    fit_unit_sphere,
    jitter,
    keep_seen,
    random_rotation,
    small_tilt,
    surroundings,
)
from pointlora_cli.datasets.shapes.things import _waisted

HARD = ShapeOptions(points=128, rotate="any", tilt_degrees=10.0, noise=0.02, occlusion=0.4, clutter=0.25)
SMALL = ShapeOptions(points=64)
STILL = ShapeOptions(points=600, rotate="none", tilt_degrees=0.0, noise=0.0)


def _rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


# --- the data set -------------------------------------------------------------------------------------


def test_two_processes_make_the_same_bytes():
    code = (
        "import hashlib; from pointlora_cli.datasets.shapes import *; "
        f"clouds, labels = generate_shapes(2, 5, 'test', {HARD!r}); "
        "print(hashlib.sha256(clouds.tobytes() + labels.tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    clouds, labels = generate_shapes(2, 5, "test", HARD)
    assert run.stdout.strip() == hashlib.sha256(clouds.tobytes() + labels.tobytes()).hexdigest()


def test_global_random_state_neither_matters_nor_changes():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = generate_cloud("mug", 3, SMALL)
    assert np.array_equal(np.random.get_state()[1], before)
    np.random.seed(2)
    assert np.array_equal(generate_cloud("mug", 3, SMALL), first)


def test_a_larger_set_begins_with_the_smaller():
    few, few_labels = generate_shapes(2, 0, "train", SMALL)
    many, many_labels = generate_shapes(5, 0, "train", SMALL)
    assert np.array_equal(many[: len(few)], few)
    assert np.array_equal(many_labels[: len(few)], few_labels)


def test_a_cloud_does_not_depend_on_which_classes_are_asked_for():
    every, labels = generate_shapes(3, 0, "train", SMALL)
    some, some_labels = generate_shapes(3, 0, "train", SMALL, ["table", "chair"])
    assert some_labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert np.array_equal(some[some_labels == 0], every[labels == SHAPE_CLASSES.index("table")])
    assert np.array_equal(some[some_labels == 1], every[labels == SHAPE_CLASSES.index("chair")])


def test_splits_and_seeds_share_no_cloud():
    sets = [generate_shapes(10, seed, split, SMALL)[0] for seed in (0, 1) for split in ("train", "test")]
    clouds = np.concatenate(sets)
    assert len({cloud.tobytes() for cloud in clouds}) == len(clouds) == 400


@pytest.mark.parametrize("other", [(1, 0), (0, 1), (1, 0, 0), 1 + 2**32, 2**64 - 1])
def test_seeds_that_look_alike_to_numpy_differ(other):
    assert not np.array_equal(generate_cloud("bed", 1, SMALL), generate_cloud("bed", other, SMALL))


def test_one_integer_and_its_tuple_are_one_seed():
    assert np.array_equal(generate_cloud("bed", 7, SMALL), generate_cloud("bed", (7,), SMALL))


def test_classes_are_ten_and_alphabetical_and_take_turns():
    clouds, labels = generate_shapes(3, 0, "train", SMALL)
    assert len(SHAPE_CLASSES) == 10
    assert list(SHAPE_CLASSES) == sorted(SHAPE_BUILDERS)
    assert {"chair", "lamp", "mug", "table"} <= set(SHAPE_CLASSES)
    assert clouds.shape == (30, 64, 3)
    assert clouds.dtype == np.float32
    assert labels.dtype == np.int64
    assert labels.tolist() == list(range(10)) * 3


@pytest.mark.parametrize("points", [1, 2, 7, 1024])
@pytest.mark.parametrize("rotate", ["none", "up", "any"])
def test_clouds_keep_their_count_and_fit_the_unit_sphere(points, rotate):
    for noise, occlusion, clutter in ((0.0, 0.0, 0.0), (0.05, 0.9, 0.5), (0.01, 0.3, 0.2)):
        options = ShapeOptions(points, rotate, noise=noise, occlusion=occlusion, clutter=clutter)
        clouds, _ = generate_shapes(1, 4, "test", options)
        norms = np.linalg.norm(clouds, axis=-1)
        assert clouds.shape == (10, points, 3)
        assert np.isfinite(clouds).all()
        assert norms.max() <= 1.0
        assert np.abs(clouds.mean(axis=1)).max() < 1e-5
        if points > 7:
            assert norms.max(axis=1).min() > 0.999


@pytest.mark.parametrize("name", SHAPE_CLASSES)
def test_objects_of_a_class_vary_and_are_never_degenerate(name):
    areas = []
    for seed in range(60):
        whole = p.join(*SHAPE_BUILDERS[name](_rng(seed)))
        extent = np.ptp(whole.triangles.reshape(-1, 3), axis=0)
        assert np.isfinite(whole.triangles).all()
        assert extent.min() > 0.02 * extent.max()
        areas.append(whole.area / extent.max() ** 2)
    assert len(set(areas)) == 60
    assert max(areas) > 1.2 * min(areas)


def test_points_come_in_random_order():
    cloud = generate_cloud("chair", 0, ShapeOptions(clutter=0.4))
    halves = cloud[:512].mean(axis=0) - cloud[512:].mean(axis=0)
    assert np.abs(halves).max() < 0.15


def _descriptor(clouds):
    """Histograms (n, 52) of pair distances, heights and distances from the up axis."""
    rows = []
    half = clouds.shape[1] // 2
    for cloud in clouds.astype(np.float64):
        pairs = np.linalg.norm(cloud[:half] - cloud[half:], axis=1)
        around = np.hypot(cloud[:, 0], cloud[:, 2])
        histograms = (
            np.histogram(pairs, 24, (0.0, 2.0))[0] / half,
            np.histogram(cloud[:, 1], 16, (-1.0, 1.0))[0] / len(cloud),
            np.histogram(around, 12, (0.0, 1.0))[0] / len(cloud),
        )
        rows.append(np.sqrt(np.concatenate(histograms)))
    return np.stack(rows)


def test_a_plain_nearest_neighbour_tells_the_classes_apart():
    clouds, labels = generate_shapes(25, 0, "train", ShapeOptions(points=512))
    unseen, truth = generate_shapes(10, 0, "test", ShapeOptions(points=512))
    known, asked = _descriptor(clouds), _descriptor(unseen)
    nearest = ((asked[:, None] - known) ** 2).sum(axis=-1).argmin(axis=1)
    assert (labels[nearest] == truth).mean() > 0.75  # 0.9 as measured; chance is 0.1


# --- options ------------------------------------------------------------------------------------------


def test_options_change_the_scan_but_not_the_object():
    plain = generate_cloud("car", 0, STILL)
    noisy = generate_cloud("car", 0, ShapeOptions(600, "none", 0.0, noise=0.01))
    gaps = np.linalg.norm(plain[:, None] - noisy, axis=-1).min(axis=1)
    assert 0.0 < gaps.mean() < 0.03


def test_no_rotation_and_no_tilt_leave_a_mug_upright():
    cloud = generate_cloud("mug", 1, STILL)
    turned = generate_cloud("mug", 1, ShapeOptions(600, "up", 0.0, 0.0))
    assert np.allclose(np.sort(cloud[:, 1]), np.sort(turned[:, 1]), atol=1e-5)
    assert not np.allclose(np.sort(cloud[:, 0]), np.sort(turned[:, 0]), atol=1e-2)
    anyhow = generate_cloud("mug", 1, ShapeOptions(600, "any", 0.0, 0.0))
    assert not np.allclose(np.sort(cloud[:, 1]), np.sort(anyhow[:, 1]), atol=1e-2)


def test_tilt_stays_within_its_angle():
    rng = _rng()
    angles = [np.degrees(np.arccos(np.clip(small_tilt(rng, 5.0)[1, 1], -1.0, 1.0))) for _ in range(200)]
    assert 4.0 < max(angles) <= 5.0 + 1e-6


def test_full_rotations_are_proper_and_cover_the_sphere():
    rng = _rng()
    turns = np.stack([random_rotation(rng) for _ in range(2000)])
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(turns), 1.0)
    assert np.abs(turns.mean(axis=0)).max() < 0.05
    assert np.allclose((turns[:, :, 1] ** 2).mean(axis=0), 1 / 3, atol=0.03)


def test_noise_has_its_deviation_and_is_clipped_at_three():
    noise = jitter(np.zeros((20000, 3)), 0.01, _rng())
    assert abs(noise.std() - 0.01) < 2e-4
    assert np.abs(noise).max() <= 0.03 + 1e-12


def test_occlusion_cuts_at_a_plane_or_leaves_a_ball_out():
    points = _rng().standard_normal((1500, 3))
    gaps = np.linalg.norm(points[:, None] - points, axis=-1)
    kinds = []
    for seed in range(16):
        kept = keep_seen(points, 600, _rng(seed))
        seen = np.isin(points[:, 0], kept[:, 0])
        assert kept.shape == (600, 3)
        assert seen.sum() == 600
        ball = bool((gaps[:, ~seen].max(axis=1) < gaps[:, seen].min(axis=1)).any())
        direction = np.linalg.lstsq(points, seen - 0.4, rcond=None)[0]
        beyond = points @ direction > np.sort(points @ direction)[-600]
        assert ball != ((beyond == seen).mean() > 0.95)
        kinds.append(ball)
    assert 0 < sum(kinds) < 16


def _distances_to_the_plain_cloud(name, seed, monkeypatch, **options):
    """Distances to the plain scan of the same object, and back from it, with both left where they are."""
    monkeypatch.setattr(scanning, "fit_unit_sphere", lambda points: points)
    plain = generate_cloud(name, seed, ShapeOptions(1500, "none", 0.0, 0.0))
    other = generate_cloud(name, seed, ShapeOptions(1500, "none", 0.0, 0.0, **options))
    gaps = np.linalg.norm(other[:, None] - plain, axis=-1) / np.ptp(plain, axis=0).max()
    return gaps.min(axis=1), gaps.min(axis=0)


@pytest.mark.parametrize("name", ["airplane", "laptop", "mug"])
def test_occlusion_leaves_its_share_of_the_surface_empty(name, monkeypatch):
    for seed in range(3):
        there, back = _distances_to_the_plain_cloud(name, seed, monkeypatch, occlusion=0.6)
        assert there.max() < 0.15  # still the same surface
        assert 0.4 < (back > 0.03).mean() < 0.7


@pytest.mark.parametrize("name", ["airplane", "laptop", "mug"])
def test_clutter_is_its_share_of_points_off_the_surface(name, monkeypatch):
    for seed in range(3):
        there, back = _distances_to_the_plain_cloud(name, seed, monkeypatch, clutter=0.4)
        assert 0.05 < (there > 0.05).mean() < 0.45  # a floor lies close under a laptop
        assert back.max() < 0.15  # the whole object is still there


def test_surroundings_lie_near_the_object_and_come_in_three_kinds():
    points = p.box(1.0, 2.0, 1.0).sample(500, _rng())
    flat = {"floor": 0, "wall": 0, "blobs": 0}
    for seed in range(40):
        behind = surroundings(points, 200, _rng(seed))
        assert behind.shape == (200, 3)
        assert np.linalg.norm(behind, axis=1).max() < 6.0
        thinnest = np.linalg.eigvalsh(np.cov(behind.T))[0]
        kind = "floor" if np.ptp(behind[:, 1]) < 1e-9 else "wall" if thinnest < 1e-9 else "blobs"
        flat[kind] += 1
        if kind == "floor":
            assert behind[0, 1] <= points[:, 1].min()
    assert min(flat.values()) > 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points", 0),
        ("rotate", "down"),
        ("tilt_degrees", -1.0),
        ("noise", -0.1),
        ("noise", float("nan")),
        ("occlusion", 0.95),
        ("clutter", 0.6),
    ],
)
def test_options_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        ShapeOptions(**{name: value})


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"'sofa'.*airplane, bed"):
        generate_cloud("sofa", 0, SMALL)
    with pytest.raises(ValueError, match="seed"):
        generate_cloud("bed", -1, SMALL)
    with pytest.raises(ValueError, match="seed"):
        generate_cloud("bed", (), SMALL)
    with pytest.raises(ValueError, match="split"):
        generate_shapes(1, 0, "val", SMALL)
    with pytest.raises(ValueError, match="clouds_per_class"):
        generate_shapes(0, 0, "train", SMALL)
    for classes in ([], ["bed", "bed"]):
        with pytest.raises(ValueError, match="classes"):
            generate_shapes(1, 0, "train", SMALL, classes)


# --- primitives ---------------------------------------------------------------------------------------

FLAT = {
    "box": (p.box(1.0, 2.0, 3.0), 22.0),
    "plate": (p.plate(2.0, 3.0, 0.5), 17.0),
    "panel": (p.panel(2.0, 3.0, 0.5), 17.0),
    "tapered box": (p.tapered_box((2.0, 2.0), (2.0, 2.0), 1.0, shift=0.0), 16.0),
    "square bar": (p.tube([(0, 0, 0), (0, 3, 0)], np.sqrt(0.5), sides=4), 14.0),
    "stretched box": (p.box(1.0, 1.0, 1.0).scaled(2.0, 3.0, 0.5), 17.0),
}
ROUND = {
    "cylinder": (p.cylinder(1.0, 2.0), 6 * np.pi),
    "cylinder side": (p.cylinder(1.0, 2.0, capped=False), 4 * np.pi),
    "cone": (p.frustum(1.0, 0.0, 1.0), np.pi * (1 + np.sqrt(2))),
    "frustum side": (p.frustum(2.0, 1.0, 1.0, capped=False), 3 * np.pi * np.sqrt(2)),
    "disc": (p.disc(2.0), 4 * np.pi),
    "annulus": (p.annulus(1.0, 2.0), 3 * np.pi),
    "sphere": (p.sphere(1.0), 4 * np.pi),
    "hemisphere": (p.sphere(1.0, 0.0, 90.0), 2 * np.pi),
    "spheroid": (p.ellipsoid(1.0, 2.0, 1.0), 2 * np.pi * (1 + 4 * np.pi / 3 / np.sqrt(3))),
    "torus": (p.torus(2.0, 0.5), 4 * np.pi**2),
    "handle": (p.torus(2.0, 0.5, 0.0, 90.0), np.pi**2),
    "rounded plate": (p.plate(2.0, 2.0, 1.0, 1.0), 4 * np.pi),
    "elliptic prism": (p.extrude(p.ellipse(2.0, 2.0), 1.0), 4 * np.pi),
    "bent tube": (p.tube([(0, 0, 0), (4, 0, 0), (4, 3, 0)], 0.1, 32, capped=False), 1.4 * np.pi),
}


@pytest.mark.parametrize("name", FLAT)
def test_area_of_flat_surfaces_is_exact(name):
    part, area = FLAT[name]
    assert part.area == pytest.approx(area, rel=1e-12)


@pytest.mark.parametrize("name", ROUND)
def test_area_of_round_surfaces_is_within_two_per_cent_from_below(name):
    part, area = ROUND[name]
    assert 0.98 * area < part.area <= area * (1 + 1e-9)


@pytest.mark.parametrize("name", [*FLAT, *ROUND])
def test_sampling_is_uniform_over_the_area(name):
    part = {**FLAT, **ROUND}[name][0]
    points = part.sample(20000, _rng())
    centers, areas = part.triangles.mean(axis=1), part.areas
    assert points.shape == (20000, 3)
    # Moments of the sample against the exact ones of the surface (three-point rule, exact to degree two).
    middles = (part.triangles + np.roll(part.triangles, 1, axis=1)) / 2
    mean = (centers * areas[:, None]).sum(axis=0) / areas.sum()
    square = ((middles**2).mean(axis=1) * areas[:, None]).sum(axis=0) / areas.sum()
    scale = np.abs(part.triangles).max()
    assert np.allclose(points.mean(axis=0), mean, atol=0.025 * scale)
    assert np.allclose((points**2).mean(axis=0), square, atol=0.025 * scale**2)


def test_parts_are_sampled_in_proportion_to_their_areas():
    parts = [p.box(1.0, 1.0, 1.0), p.sphere(0.5).moved(x=10.0), p.disc(1.0).moved(x=20.0)]
    points = p.sample_surface(parts, 30000, _rng())
    counts = np.histogram(points[:, 0], [-5.0, 5.0, 15.0, 25.0])[0]
    areas = np.array([part.area for part in parts])
    assert np.allclose(counts / 30000, areas / areas.sum(), atol=0.012)


def test_points_of_a_sphere_lie_on_it_evenly_by_height():
    points = p.sphere(1.0).sample(20000, _rng())
    norms = np.linalg.norm(points, axis=1)
    assert norms.max() <= 1.0 + 1e-12
    assert norms.min() > 0.985
    bands = np.histogram(points[:, 1], 10, (-1.0, 1.0))[0] / 20000  # Archimedes: equal areas
    assert np.abs(bands - 0.1).max() < 0.015


def test_a_bent_tube_keeps_its_thickness():
    tube = p.tube([(0, 0, 0), (4, 0, 0), (4, 3, 0)], 0.1, 16, capped=False)
    points = tube.sample(5000, _rng())
    across = np.where(points[:, 0] < 3.7, np.hypot(points[:, 1], points[:, 2]), 0.1)
    along = np.where(points[:, 1] > 0.3, np.hypot(points[:, 0] - 4.0, points[:, 2]), 0.1)
    for distance in (across, along):
        assert distance.max() <= 0.1 + 1e-12
        assert distance.min() > 0.097


def test_a_surface_without_area_is_refused():
    with pytest.raises(ValueError, match="area"):
        p.disc(0.0).sample(10, _rng())


def test_rotations_turn_counter_clockwise():
    assert np.allclose(p.rotation("y", 90.0) @ [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    assert np.allclose(p.rotation("x", 90.0) @ [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    assert np.allclose(p.rotation("z", 90.0) @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])


def test_smooth_profile_meets_its_points_and_never_overshoots():
    radii, heights = smooth_profile([0.0, 1.0, 2.0, 4.0], [1.0, 3.0, 3.0, 0.5], 41)
    assert np.allclose(radii[[0, 10, 20, 40]], [1.0, 3.0, 3.0, 0.5])
    assert heights[-1] == 4.0
    assert radii.min() >= 0.5 - 1e-12
    assert radii.max() <= 3.0 + 1e-12


def test_lids_of_guitars_do_not_fold_over():
    for seed in range(300):
        rng = _rng(seed)
        outline = _waisted(rng, 0.45, 0.45 * rng.uniform(0.6, 0.9), rng.uniform(0.15, 0.45), horns=True)
        x, y = outline.T
        shoelace = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
        lid = p.fan(np.stack([x, 0.0 * x, y], axis=1))
        assert lid.area == pytest.approx(shoelace, rel=1e-3)


def test_fitting_a_single_point_is_no_division_by_zero():
    assert np.array_equal(fit_unit_sphere(np.ones((1, 3))), np.zeros((1, 3)))
