"""Bad and odd clouds of any format: each gives its points, with a warning where repaired, or the reason."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from cloud_files import CUBE, POINTS, VALID, obj, ply, text

from pointlora_cli.clouds.cloud import from_coordinates
from pointlora_cli.clouds.reading import READABLE_SUFFIXES, is_readable, read
from pointlora_cli.errors import CloudError


@pytest.mark.parametrize("name", [name for name in VALID if "mesh" not in name and "stl" not in name])
def test_every_point_format_gives_the_same_points(name, file):
    cloud = read(file(name, VALID[name]))
    assert cloud.warnings == ()
    shift = np.array([200_000.0, 5_000_000.0, 100.0]) if name.endswith(".las") else 0.0
    tolerance = 6e-4 if name.endswith(".las") else 1e-6
    np.testing.assert_allclose(cloud.points + cloud.offset - shift, POINTS, atol=tolerance)


@pytest.mark.parametrize("name", [name for name in VALID if "mesh" in name or "stl" in name])
def test_every_mesh_format_gives_points_on_its_surface(name, file):
    cloud = read(file(name, VALID[name]), mesh_points=500, seed=3)
    assert cloud.points.shape == (500, 3)
    assert cloud.warnings == ()
    unit = (cloud.points - [10, 0, 0]) / 2 if name.endswith((".glb", ".gltf")) else cloud.points
    on_a_side = np.isclose(unit, 0, atol=1e-6) | np.isclose(unit, 1, atol=1e-6)
    assert on_a_side.any(axis=1).all()


@pytest.mark.parametrize("suffix", sorted(READABLE_SUFFIXES))
def test_empty_file_is_refused(suffix, file):
    with pytest.raises(CloudError, match="empty"):
        read(file(f"nothing{suffix}", b""))


@pytest.mark.parametrize("content", [text(POINTS[:1]), ply(POINTS[:1])])
def test_one_point_is_refused(content, file):
    with pytest.raises(CloudError, match="only 1 point"):
        read(file("one.xyz", content))


def test_two_points_are_enough(file):
    assert len(read(file("two.xyz", text(POINTS[:2]))).points) == 2


def test_nan_and_infinite_points_are_dropped_with_a_warning(file):
    points = POINTS.copy()
    points[3, 1], points[9] = np.nan, np.inf
    cloud = read(file("holes.ply", ply(points)))
    assert len(cloud.points) == len(POINTS) - 2
    assert cloud.warnings == ("dropped 2 of 60 points that are NaN or infinite",)


def test_cloud_of_nan_alone_is_refused(file):
    with pytest.raises(CloudError, match="all 60 points are NaN"):
        read(file("nan.ply", ply(np.full((60, 3), np.nan))))


def test_points_at_one_place_are_refused(file):
    with pytest.raises(CloudError, match="all 60 points are at the same place"):
        read(file("same.ply", ply(np.ones((60, 3)))))


@pytest.mark.parametrize("offset", [1e9, -1e9, 650_000.0])
def test_shape_survives_a_large_offset(offset, file):
    cloud = read(file("far.ply", ply(POINTS.astype(np.float64) + offset, kind="f8")))
    assert np.abs(cloud.points).max() <= 1
    np.testing.assert_allclose(cloud.points + cloud.offset - offset, POINTS, atol=3e-7)


def test_offset_depends_neither_on_order_nor_on_duplicates():
    points = POINTS.astype(np.float64) + 1e9
    first = from_coordinates(points, "a")
    second = from_coordinates(np.concatenate([points[::-1], points[:20]]), "b")
    np.testing.assert_array_equal(first.offset, second.offset)


def test_ordinary_coordinates_are_not_touched():
    cloud = from_coordinates(POINTS.astype(np.float64), "a")
    np.testing.assert_array_equal(cloud.points, POINTS)
    np.testing.assert_array_equal(cloud.offset, np.zeros(3))


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e308])
def test_extent_beyond_float32_is_refused(scale):
    with pytest.raises(CloudError, match="wide, outside"):
        from_coordinates(POINTS.astype(np.float64) * scale, "a")


@pytest.mark.parametrize("name", ["points.xyz", "points.obj", "points.dat", "points"])
def test_wrong_extension_reads_with_a_warning(name, file):
    cloud = read(file(name, ply()))
    np.testing.assert_array_equal(cloud.points, POINTS)
    assert "the content is PLY" in cloud.warnings[0]


def test_unknown_format_names_the_known_ones(file):
    with pytest.raises(CloudError, match="unknown format") as caught:
        read(file("cloud.e57", b"ASTM-E57\0\0"))
    assert ".ply" in caught.value.remedy


@pytest.mark.parametrize("suffix", sorted(READABLE_SUFFIXES))
def test_garbage_is_refused_in_every_format(suffix, file):
    with pytest.raises(CloudError):
        read(file(f"garbage{suffix}", bytes(np.random.default_rng(1).integers(0, 256, 3000, dtype=np.uint8))))


def test_folder_missing_file_and_impossible_paths_are_refused(tmp_path):
    for path, reason in [
        (tmp_path, "is a folder"),
        (tmp_path / "missing.ply", "no such file"),
        (tmp_path / ("x" * 300 + ".ply"), "cannot be read"),
        (tmp_path / "nul\0.ply", "not a valid path"),
    ]:
        with pytest.raises(CloudError, match=reason):
            read(path)


def test_pipe_is_refused_and_does_not_block(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.ply")
    with pytest.raises(CloudError, match="device or pipe"):
        read(tmp_path / "pipe.ply")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_refused(file):
    path = file("secret.ply", ply())
    path.chmod(0)
    with pytest.raises(CloudError, match="no permission"):
        read(path)


def test_permission_error_becomes_a_cloud_error(tmp_path):
    from pointlora_cli.clouds.files import system_errors

    with pytest.raises(CloudError, match="no permission"), system_errors(tmp_path):
        raise PermissionError(13, "Permission denied")


def test_unicode_name_reads_and_control_characters_are_escaped(file):
    assert len(read(file("Wölkchen 点云 ☁.ply", ply())).points) == 60
    with pytest.raises(CloudError) as caught:
        read(file("two\nlines.ply", b"nonsense"))
    assert "\n" not in caught.value.message


def test_mesh_is_sampled_evenly_and_the_same_with_the_same_seed(file):
    wide = CUBE * [4, 1, 0]  # flat: a rectangle, of 4 by 1
    faces = [[0, 2, 4], [2, 6, 4]]
    path = file("wide.ply", ply(wide, faces=faces))
    cloud = read(path, mesh_points=8000, seed=1)
    np.testing.assert_array_equal(read(path, mesh_points=8000, seed=1).points, cloud.points)
    assert (read(path, mesh_points=8000, seed=2).points != cloud.points).any()
    counts, _ = np.histogram(cloud.points[:, 0], bins=4, range=(0, 4))
    assert np.abs(counts - 2000).max() < 200
    assert len(read(path).points) == 16384


def test_mesh_without_area_gives_its_vertices(file):
    cloud = read(file("line.ply", ply(CUBE, faces=[[0, 0, 1], [2, 2, 2]])))
    assert len(cloud.points) == 8
    assert "no area" in cloud.warnings[0]


def test_faces_with_nan_corners_are_dropped(file):
    content = obj().replace(b"v 0.0 0.0 0.0", b"v nan 0.0 0.0")
    cloud = read(file("hole.obj", content), mesh_points=50)
    assert len(cloud.points) == 50
    assert "NaN or infinite corner" in cloud.warnings[0]


@pytest.mark.parametrize("name", ["big.ply", "big.npy"])
def test_ten_million_points_read_within_ten_seconds(name, tmp_path):
    points = np.random.default_rng(0).random((10_000_000, 3), dtype=np.float32)
    path = tmp_path / name
    with path.open("wb") as stream:
        if name.endswith(".npy"):
            np.save(stream, points)
        else:
            stream.write(ply(points[:0]).replace(b"vertex 0", b"vertex 10000000"))
            points.tofile(stream)
    started = time.monotonic()
    cloud = read(path)
    assert time.monotonic() - started < 10
    np.testing.assert_array_equal(cloud.points[-5:], points[-5:])
    path.unlink()


def test_readable_is_told_by_the_suffix_in_any_case():
    assert is_readable("a/B.PLY")
    assert not is_readable("notes.md")
    assert not is_readable("ply")


def test_import_is_light():
    heavy = ("torch", "open3d", "laspy", "lazrs")
    code = f"import sys, pointlora_cli.clouds.reading; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
