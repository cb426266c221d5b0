"""The collection of shapes to pre-train on, and that the one to fine-tune on is what it was."""

from itertools import pairwise

import numpy as np
import pytest

from pointlora_cli.datasets.build import class_names, load_data
from pointlora_cli.datasets.shapes import (
    SHAPE_CLASSES,
    ShapeOptions,
    collection_classes,
    generate_cloud,
    generate_shapes,
)
from pointlora_cli.datasets.shapes import primitives as p
from pointlora_cli.datasets.shapes.copies import (
    around,
    ball,
    boxes,
    egg,
    hoop,
    mirrored,
    random_turns,
    rods,
    scattered,
    strand,
)
from pointlora_cli.datasets.shapes.pretraining.classes import PRETRAINING_BUILDERS
from pointlora_cli.datasets.shapes.pretraining.growth import Habit, grow, in_blobs, stems
from pointlora_cli.datasets.shapes.unevenness import dented, superellipsoid, warped, waves
from pointlora_cli.specs.data import ShapesData

CLASSES = collection_classes("pretraining")
SMALL = ShapeOptions(points=96)


def _rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


# --- the collection -----------------------------------------------------------------------------------


def test_the_collections_share_no_class():
    assert len(CLASSES) >= 48
    assert not set(CLASSES) & set(SHAPE_CLASSES)
    assert list(CLASSES) == sorted(PRETRAINING_BUILDERS)
    assert collection_classes("objects") == SHAPE_CLASSES
    with pytest.raises(ValueError, match="objects, pretraining, not 'all'"):
        collection_classes("all")


@pytest.mark.parametrize("name", CLASSES)
def test_objects_of_a_class_vary_and_are_never_degenerate(name):
    areas = []
    for seed in range(4):
        triangles = p.join(*PRETRAINING_BUILDERS[name](_rng(seed))).triangles
        extent = np.ptp(triangles.reshape(-1, 3), axis=0)
        assert np.isfinite(triangles).all()
        assert len(triangles) < 20_000  # more would take longer to sample than to build
        assert extent.min() > 0.001 * extent.max()
        areas.append(p.Part(triangles).area / extent.max() ** 2)
    assert len(set(areas)) == 4
    assert max(areas) > 1.02 * min(areas)


@pytest.mark.parametrize("name", CLASSES)
def test_a_cloud_is_of_the_size_asked_for_and_depends_on_its_seed_alone(name):
    cloud = generate_cloud(name, 3, SMALL)
    assert cloud.shape == (96, 3)
    assert cloud.dtype == np.float32
    assert np.isfinite(cloud).all()
    assert 0.999 < np.linalg.norm(cloud, axis=1).max() <= 1.0
    assert cloud.tobytes() == generate_cloud(name, 3, SMALL).tobytes()
    assert cloud.tobytes() != generate_cloud(name, 4, SMALL).tobytes()


def test_clouds_of_all_classes_take_turns():
    clouds, labels = generate_shapes(2, 0, "train", SMALL, CLASSES)
    assert labels.tolist() == list(range(len(CLASSES))) * 2
    assert len({cloud.tobytes() for cloud in clouds}) == len(clouds)


def test_a_spec_asks_for_a_collection():
    spec = ShapesData(collection="pretraining", points=16, clouds_per_class=1, test_clouds_per_class=1)
    data = load_data(spec)
    assert data.classes == class_names(spec) == CLASSES
    assert data.train.points.shape == (len(CLASSES), 16, 3)
    assert not np.array_equal(data.train.points, data.test.points)


# --- what must not change -----------------------------------------------------------------------------


def test_objects_to_fine_tune_on_are_those_of_the_first_release():
    clouds, _ = generate_shapes(2, 0, "train", ShapeOptions(512, occlusion=0.2))
    sums = np.abs(clouds.astype(np.float64)).sum(axis=(1, 2))
    assert sums == pytest.approx(FIRST_RELEASE, rel=1e-6)


# Sums of all absolute coordinates, one object of each class, then another of each.
FIRST_RELEASE = [
    343.4377,
    367.4923,
    392.4544,
    415.3866,
    354.1876,
    316.5949,
    374.2898,
    348.229,
    427.1426,
    478.9619,
]
FIRST_RELEASE += [
    359.7861,
    377.4576,
    434.1929,
    377.9326,
    420.6252,
    264.1138,
    393.4075,
    399.7289,
    434.076,
    469.0867,
]


def test_a_spec_is_written_with_every_option_and_read_back():
    for spec in (ShapesData(), ShapesData(collection="pretraining", distinct=0.1, varied=True)):
        written = spec.model_dump(mode="json")
        assert written.keys() == ShapesData.model_fields.keys()
        assert ShapesData.model_validate(written) == spec


# --- what they are made with --------------------------------------------------------------------------


def test_copies_are_placed_turned_and_sized_one_by_one():
    part, turns = p.box(1.0, 2.0, 3.0), random_turns(_rng(), 3)
    places, sizes = _rng(1).standard_normal((3, 3)), np.array([1.0, 0.5, 2.0])
    copies = scattered(part, places, turns, sizes).triangles.reshape(3, -1, 3)
    for copy, place, turn, size in zip(copies, places, turns, sizes, strict=True):
        assert np.allclose(copy, size * part.triangles.reshape(-1, 3) @ turn.T + place)


def test_random_turns_are_rotations_all_over():
    turns = random_turns(_rng(), 2000)
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(turns), 1.0)
    assert np.abs(turns.mean(axis=0)).max() < 0.05


def test_copies_around_the_axis_are_those_turned_by_hand():
    part = p.box(0.3, 1.0, 0.2).moved(x=0.5, z=1.0)
    thirds = around(part, 3).triangles.reshape(3, -1, 3, 3)
    for third, angle in zip(thirds, (0.0, 120.0, 240.0), strict=True):
        assert np.allclose(third, part.turned("y", angle).triangles)


def test_areas_of_many_like_parts_are_those_of_each():
    starts = np.array([(0.0, 0.0, 0.0), (1.0, 2.0, 3.0)])
    ends = starts + np.array([(0.0, 2.0, 0.0), (1.0, 1.0, 1.0)])
    assert rods(starts, ends, 0.1, 0.1, 4).area == pytest.approx(4 * 0.1 * np.sqrt(2) * (2 + np.sqrt(3)))
    assert boxes([(0, 0, 0), (5, 5, 5)], [(1, 2, 3), (1, 1, 1)]).area == pytest.approx(28.0)
    assert mirrored(p.box(1.0, 1.0, 1.0).moved(x=3.0)).area == pytest.approx(12.0)
    assert strand(np.array([(0, 0, 0), (0, 1, 0), (0, 3, 0.0)]), 0.1, 4).area == pytest.approx(
        1.2 * np.sqrt(2)
    )
    assert 0.93 * 4 * np.pi < ball(1.0).area < 4 * np.pi
    assert egg(1.0, 2.0, 3.0).area > ball(1.0).area
    assert 0.9 * 4 * np.pi**2 * 0.2 < hoop(1.0, 0.2).area < 4 * np.pi**2 * 0.2


def test_waves_are_smooth_and_of_deviation_one():
    field = waves(_rng(), 0.5, count=64)
    places = _rng(1).uniform(-20.0, 20.0, (4000, 3))
    heights = field(places)
    assert abs(heights.mean()) < 0.1
    assert 0.85 < heights.std() < 1.15
    assert np.abs(field(places + 0.001) - heights).max() < 0.2


def test_uneven_surfaces_stay_closed_and_near_the_even_ones():
    even = p.sphere(1.0)
    for uneven in (dented(even, _rng(), 0.1, 0.5), warped(even, _rng(), 0.1, 0.5)):
        steps = np.linalg.norm(uneven.triangles - even.triangles, axis=-1)
        assert 0.02 < steps.mean() < 0.25
        # Corners that meet before meet afterwards.
        assert len(np.unique(uneven.triangles.round(9).reshape(-1, 3), axis=0)) == len(
            np.unique(even.triangles.round(9).reshape(-1, 3), axis=0)
        )


def test_superellipsoids_go_from_box_to_octahedron():
    assert superellipsoid(1.0, 1.0, 1.0, 1.0, 1.0).area == pytest.approx(p.sphere(1.0).area, rel=0.01)
    assert superellipsoid(1.0, 1.0, 1.0, 2.0, 2.0).area == pytest.approx(8 * np.sqrt(3) / 2, rel=0.01)
    assert superellipsoid(1.0, 2.0, 3.0, 0.05, 0.05).area == pytest.approx(88.0, rel=0.1)


def test_branches_start_on_their_parents_and_become_shorter_and_thinner():
    first = stems(_rng(), np.zeros((1, 3)), np.array([[0.0, 1.0, 0.0]]), np.array([0.1]))
    levels = grow(_rng(1), first, Habit(levels=2, children=3, shrink=0.5))
    assert [len(level.paths) for level in levels] == [1, 3, 9]
    for parents, children in pairwise(levels):
        fine = np.linspace(0.0, 1.0, 201)[:, None, None]
        bark = (parents.paths[:, None, :-1] * (1 - fine) + parents.paths[:, None, 1:] * fine).reshape(-1, 3)
        gaps = np.linalg.norm(children.paths[:, 0, None] - bark, axis=-1).min(axis=1)
        assert gaps.max() < 0.01
        assert children.radii.max() < parents.radii.max()
    lengths = [np.linalg.norm(np.diff(level.paths, axis=1), axis=-1).sum(axis=1).mean() for level in levels]
    assert lengths[0] > lengths[1] > lengths[2]


@pytest.mark.parametrize(("hollow", "least", "most"), [(0.0, 0.7, 0.8), (1.0, 0.93, 1.0)])
def test_blobs_are_filled_evenly_or_hollow(hollow, least, most):
    center, radii = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 1.0, 2.0]])
    far = np.linalg.norm((in_blobs(_rng(), 4000, center, radii, hollow) - center) / radii, axis=1)
    assert far.max() <= 1.0 + 1e-12
    assert least < far.mean() < most
