"""Labels of points: found in every format that has a place for them, aligned, and refused where they are none."""

from __future__ import annotations

import time

import numpy as np
import pytest
from cloud_files import CUBE, CUBE_TRIANGLES, POINTS, las, npy, npz, off, text
from cloud_files import ply as plain_ply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelled_files import LABELLED, LABELS, NORMALS, labelled_las, ply, rows

from pointlora_cli.clouds.labelled import has_place_for_labels, read_labelled
from pointlora_cli.clouds.palette import part_colors
from pointlora_cli.clouds.reading import read
from pointlora_cli.errors import CloudError


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", LABELLED)
def test_points_and_labels_of_every_format(name, file):
    path = file(name, LABELLED[name])
    cloud, labels = read_labelled(path)
    np.testing.assert_allclose(cloud.points + cloud.offset, POINTS, atol=6e-4)  # LAS counts in millimetres
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, LABELS)
    assert cloud.warnings == ()
    np.testing.assert_array_equal(cloud.points, read(path).points)
    assert has_place_for_labels(path)


def test_compressed_las(file):
    laspy = pytest.importorskip("laspy")
    pytest.importorskip("lazrs")
    source = file("plain.las", labelled_las(6, 4))
    laspy.read(source).write(str(source.with_suffix(".laz")))
    cloud, labels = read_labelled(source.with_suffix(".laz"))
    np.testing.assert_allclose(cloud.points + cloud.offset, POINTS, atol=6e-4)
    np.testing.assert_array_equal(labels, LABELS)


def test_flags_in_the_byte_of_an_old_class_are_no_label(file):
    _, labels = read_labelled(file("a.las", labelled_las(flags=0xE0)))
    np.testing.assert_array_equal(labels, LABELS)


def test_labels_stay_with_their_points_where_rows_are_dropped(file):
    points, labels = POINTS.copy(), LABELS.astype(np.float64)
    points[[0, 7, 59], 1] = np.nan
    labels[7] = np.nan  # of a dropped point, so it is no matter
    cloud, found = read_labelled(file("a.ply", ply(kind="float", points=points, labels=labels)))
    kept = np.isfinite(points).all(axis=1)
    np.testing.assert_array_equal(cloud.points, points[kept])
    np.testing.assert_array_equal(found, LABELS[kept])
    assert any("NaN" in warning for warning in cloud.warnings)


def test_of_several_names_the_likelier_is_taken_and_said(file):
    content = rows(POINTS, LABELS, np.zeros(60), header="x y z part segment\n")
    cloud, labels = read_labelled(file("a.txt", content))
    np.testing.assert_array_equal(labels, LABELS)
    (warning,) = cloud.warnings
    assert "took the labels from `part`; there is also `segment`" in warning
    assert (read_labelled(file("a.txt", content), "Segment")[1] == 0).all()


@pytest.mark.parametrize(
    ("name", "content", "label"),
    [
        ("a.ply", ply("surface_kind"), "surface_kind"),
        ("a.ply", ply("scalar_Kind", "float"), "kind"),
        ("a.npz", npz(points=POINTS, ids=LABELS), "ids"),
        ("a.csv", rows(POINTS, LABELS, separator=";", header="x;y;z;kind\n"), "Kind"),
        ("a.txt", rows(POINTS, NORMALS[:, :1], LABELS), "last"),
        ("a.npy", npy(np.column_stack([POINTS, NORMALS, NORMALS, LABELS])), "last"),
        ("a.las", labelled_las(), "classification"),
    ],
)
def test_labels_under_a_name_of_the_users_own(name, content, label, file):
    np.testing.assert_array_equal(read_labelled(file(name, content), label)[1], LABELS)


@pytest.mark.parametrize(
    ("name", "content", "label", "message"),
    [
        ("a.ply", ply("intensity"), "auto", "no property with labels .* it has intensity, x, y, z"),
        ("a.ply", ply(), "kind", "no property 'kind'"),
        ("a.xyz", text(), "auto", "has 3 columns without names"),
        ("a.xyz", text(), "last", "has 3 columns without names"),
        ("a.txt", rows(POINTS, NORMALS), "auto", "has 6 columns without names"),
        ("a.txt", rows(POINTS, LABELS), "kind", "its columns have no names, so none is 'kind'"),
        ("a.csv", text(separator=",", header="x,y,z\n"), "auto", "no column with labels .* it has x, y, z"),
        ("a.npy", npy(), "auto", "has 3 columns without names"),
        ("a.npz", npz(points=POINTS), "auto", "has 3 columns without names"),
        ("a.npz", npz(points=POINTS, labels=LABELS[1:]), "auto", "59 labels of 60 points"),
        ("a.npz", npz(points=POINTS, labels=POINTS), "auto", "not \\(N,\\) labels"),
        ("a.npz", npz(points=POINTS, labels=LABELS.astype("U3")), "auto", "not \\(N,\\) labels"),
        ("a.las", las(), "kind", "no attribute 'kind' .* it has classification"),
        ("a.off", off(), "auto", "is OFF, a mesh, which has no labels"),
        ("a.ply", plain_ply(CUBE, faces=CUBE_TRIANGLES), "auto", "no property with labels"),
    ],
)
def test_where_there_are_no_labels_the_reason_is_given(name, content, label, message, file):
    path = file(name, content)
    with pytest.raises(CloudError, match=message) as caught:
        read_labelled(path, label)
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e12, -(2.0**31)])
def test_what_is_no_whole_number_is_no_label(value, file):
    labels = LABELS.astype(np.float64)
    labels[4] = value
    with pytest.raises(CloudError, match="no label: labels are whole numbers \\(1 of 60 points\\)") as caught:
        read_labelled(file("a.xyz", rows(POINTS, labels)))
    assert "data.label" in caught.value.remedy


def test_labelled_vertices_of_a_mesh_are_points(file):
    content = ply("label", "int", extra=("element face 1", "property list uchar int vertex_indices"))
    cloud, labels = read_labelled(file("a.ply", content + b"\x03" + bytes(12)))
    np.testing.assert_array_equal(cloud.points, POINTS)
    np.testing.assert_array_equal(labels, LABELS)
    assert any("ignored the faces" in warning for warning in cloud.warnings)


def check(path):
    started = time.monotonic()
    try:
        cloud, labels = read_labelled(path)
    except CloudError as error:
        assert error.message.startswith(str(path))
        assert "\n" not in error.message
    else:
        assert labels.shape == (len(cloud.points),)
        assert labels.dtype == np.int64
    assert time.monotonic() - started < 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", LABELLED)
def test_file_cut_anywhere_reads_or_gives_the_reason(name, tmp_path):
    content, path = LABELLED[name], tmp_path / name
    for end in range(0, len(content), max(len(content) // 25, 1)):
        path.write_bytes(content[:end])
        check(path)


@pytest.mark.filterwarnings("error")
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(sorted(LABELLED)), place=st.floats(0, 1, exclude_max=True), new=st.binary(max_size=8)
)
def test_damaged_file_reads_or_gives_the_reason(name, place, new, tmp_path):
    content, path = LABELLED[name], tmp_path / name
    at = int(place * len(content))
    path.write_bytes(content[:at] + new + content[at + len(new) // 2 :])
    check(path)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 50, 255])
def test_parts_have_distinct_colors_and_earlier_ones_never_change(count):
    colors = part_colors(count)
    assert colors.shape == (count, 3)
    assert colors.dtype == np.uint8
    assert len({tuple(color) for color in colors.tolist()}) == count
    np.testing.assert_array_equal(part_colors(255)[:count], colors)
