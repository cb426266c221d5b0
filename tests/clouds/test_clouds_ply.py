"""PLY: layouts, lists, types and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from cloud_files import CUBE, CUBE_TRIANGLES, POINTS, ply, ply_with_lists_everywhere

from pointlora_cli.clouds.reading import read
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.errors import CloudError

LAYOUTS = ["ascii", "binary_little_endian", "binary_big_endian"]


@pytest.fixture
def cloud(tmp_path):
    def read_bytes(content):
        path = tmp_path / "cloud.ply"
        path.write_bytes(content)
        return read(path, mesh_points=300)

    return read_bytes


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_layouts_line_ends_and_types(layout, newline, kind, cloud):
    np.testing.assert_array_equal(cloud(ply(POINTS, layout, kind, newline)).points, POINTS)


@pytest.mark.parametrize("order", ["<", ">", ""])
def test_lists_of_differing_length_and_elements_before_the_vertices(order, cloud):
    np.testing.assert_allclose(cloud(ply_with_lists_everywhere(order)).points, POINTS, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated_vertices_are_counted(layout, cloud):
    content = ply(layout=layout)
    lines = content.split(b"end_header\n")
    cut = b"\n".join(lines[1].split(b"\n")[:3])[:-25] if layout == "ascii" else lines[1][: 12 * 2 + 5]
    with pytest.raises(CloudError, match="truncated: the file holds 2 of the 60 vertices"):
        cloud(lines[0] + b"end_header\n" + cut)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated_faces_are_refused(layout, cloud):
    content = ply(CUBE, layout, faces=CUBE_TRIANGLES)
    with pytest.raises(CloudError, match=r"truncated: .* of the 12 faces"):
        cloud(content[:-10] if layout == "ascii" else content[:-3])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_polygons_of_differing_size_are_sampled(layout, cloud):
    points = cloud(ply(CUBE, layout, faces=[[0, 1, 3, 2], [4, 5, 7], [4, 5]]))
    assert len(points.points) == 300
    assert "fewer than 3 corners" in points.warnings[0]
    assert np.isin(points.points[:, 0], [0, 1]).all()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"vertex 60", b"vertex -60", "header line 4: '-60' is not a count"),
        (b"vertex 60", b"vertex 999999999999", "holds 60 of the 999,999,999,999 vertices"),
        (b"vertex 60", b"vertex 0", "no points"),
        (b"property float z", b"property float w", "vertices have no z"),
        (b"property float z", b"property list uchar float z", "vertices have no z"),
        (b"property float z", b"property string z", "unknown type 'string'"),
        (b"end_header", b"end_heading", "no `end_header`"),
        (b"element vertex", b"element points", "no vertex element"),
        (b"format binary_little_endian 1.0\n", b"", "no `format` line"),
        (b"ply\n", b"1 2 3\n", "is not a PLY file: it starts with '1 2 3"),
        (b"comment made", b"commend made", "header line 3: not understood"),
    ],
)
def test_broken_header_is_refused_with_the_reason(old, new, reason, cloud):
    with pytest.raises(CloudError, match=reason):
        cloud(ply().replace(old, new))


def test_face_that_names_a_missing_vertex_is_refused(cloud):
    with pytest.raises(CloudError, match="face 2 names vertex 8; the file holds 8 vertices"):
        cloud(ply(CUBE, faces=[[0, 1, 2], [0, 1, 8]]))


def test_word_among_the_numbers_is_named_with_its_line(cloud):
    lines = ply(layout="ascii").split(b"\n")
    lines[12] = b"1.0 oops 2.0"
    with pytest.raises(CloudError, match="line 13: 'oops' is not a number"):
        cloud(b"\n".join(lines))


def test_type_outside_the_standard_is_accepted_with_a_warning(cloud):
    content = ply().replace(b"property float z\n", b"property float z\nproperty bool seen\n")
    header, body = content.split(b"end_header\n")
    rows = b"".join(body[i : i + 12] + b"\1" for i in range(0, len(body), 12))
    found = cloud(header + b"end_header\n" + rows)
    np.testing.assert_array_equal(found.points, POINTS)
    assert "`bool`" in found.warnings[0]


def test_written_file_reads_back(tmp_path):
    path = tmp_path / "out.ply"
    write_ply(path, POINTS, np.full((60, 3), 7, np.uint8), np.arange(60))
    np.testing.assert_array_equal(read(path).points, POINTS)
    write_ply(path, POINTS.astype(np.float64) + 1e9)
    np.testing.assert_allclose(read(path).offset, 1e9, atol=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.ply"]


def test_writing_checks_its_input_and_leaves_nothing_behind(tmp_path):
    for arguments in [
        (POINTS[:, :2],),
        (POINTS[:0],),
        (np.full((2, 3), np.nan),),
        (POINTS, np.zeros((60, 3), np.float32)),
        (POINTS, None, np.zeros(60)),
        (POINTS, None, np.full(60, 2**40)),
    ]:
        with pytest.raises(ValueError, match="must"):
            write_ply(tmp_path / "out.ply", *arguments)
    with pytest.raises(CloudError, match="cannot be written"):
        write_ply(tmp_path / "missing" / "out.ply", POINTS)
    assert list(tmp_path.iterdir()) == []
