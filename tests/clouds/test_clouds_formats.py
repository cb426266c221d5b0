"""Text, PCD, NPY, NPZ, LAS and the meshes: what each format may hold, and what is refused."""

from __future__ import annotations

import io
import struct
import sys
import zipfile

import numpy as np
import pytest
from cloud_files import CUBE, POINTS, glb, las, npy, npz, obj, off, pcd, stl_ascii, stl_binary, text

from pointlora_cli.clouds import lzf, numpy_files
from pointlora_cli.clouds.reading import read
from pointlora_cli.errors import CloudError


@pytest.fixture
def cloud(tmp_path):
    def read_bytes(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return read(path, mesh_points=300)

    return read_bytes


@pytest.mark.parametrize("separator", [" ", ",", ";", "\t", ", ", " ; ", "   "])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_text_separators_and_line_ends(separator, newline, cloud):
    np.testing.assert_allclose(cloud("a.txt", text(POINTS, separator, newline)).points, POINTS, atol=1e-6)


@pytest.mark.parametrize(
    "header",
    ["x y z\n", "//X Y Z\n", "# made by a person, on x and y\n", "# x y z\n", "60\n", "\ufeff", "\n\n",
     "X [m] Y [m] Z [m]\n", "one remark\nanother remark\n"],
)  # fmt: skip
def test_text_headers(header, cloud):
    found = cloud("a.asc", text(header=header))
    np.testing.assert_allclose(found.points, POINTS, atol=1e-6)
    assert found.warnings == ()


def test_text_header_names_the_columns_in_any_order(cloud):
    rows = "".join(f"{i},{z},{y},{x}\n" for i, (x, y, z) in enumerate(POINTS.tolist()))
    found = cloud("a.csv", f'id,"Z",Northing,x\n{rows}'.encode())
    np.testing.assert_allclose(found.points, POINTS, atol=1e-6)


def test_text_header_without_x_y_z_warns(cloud):
    assert "names no x, y and z" in cloud("a.csv", text(separator=",", header="a,b,c\n")).warnings[0]


@pytest.mark.parametrize("separator", [";", " ", "\t"])
def test_text_decimal_comma(separator, cloud):
    content = text(POINTS, separator).replace(b".", b",")
    np.testing.assert_allclose(cloud("a.txt", content).points, POINTS, atol=1e-6)


def test_text_utm_coordinates_keep_their_decimals(cloud):
    points = POINTS.astype(np.float64) + np.array([665_187.5, 5_648_349.9, 241.8])
    found = cloud("utm.xyz", text(points))
    np.testing.assert_allclose(found.points.astype(np.float64) + found.offset, points, atol=2e-6)


def test_text_odd_nan_spellings_comments_and_blank_lines(cloud):
    found = cloud("a.xyz", b"1 2 3 # first\n\n-1.#IND 0 0\n# note\nnan 1 2\n-nan(ind) 1 2\n1e-3 2E1 +3.\n")
    np.testing.assert_allclose(found.points, [[1, 2, 3], [0.001, 20, 3]])
    assert found.warnings == ("dropped 3 of 5 points that are NaN or infinite",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1 2 3\n1 2\n4 5 6\n", "line 2: fewer than 3 numbers: '1 2'"),
        (b"1 2 3\n\n# c\n1 oops 3\n", "line 4: 'oops' is not a number"),
        (
            b"1 2 3 4 5 6\n4 5 6 7 8 9\n4 5 6 7",
            "truncated: line 3, the last, has 4 columns; the first row has 6",
        ),
        (b"1 2\n3 4\n", "line 1: fewer than 3 numbers"),
        (b"no numbers at all\n", "no row of numbers"),
        (b"5\n1 2 3\n4 5 6\n", "holds 2 of the 5 points"),
        (b"ncols 4\nnrows 2\nxllcorner 0\n1 2 3 4\n5 6 7 8\n", "ESRI grid"),
        (b"1 2 3\n\0\0\0", "byte 6 is zero"),
    ],
)
def test_text_refusals_name_the_line(content, reason, cloud):
    with pytest.raises(CloudError, match=reason):
        cloud("a.xyz", content)


@pytest.mark.parametrize("layout", ["ascii", "binary", "binary_compressed"])
def test_pcd_organised_cloud_with_nan(layout, cloud):
    points = POINTS.copy()
    points[5:15] = np.nan
    found = cloud("a.pcd", pcd(points, layout, width=10, height=6))
    np.testing.assert_allclose(found.points, np.delete(POINTS, np.s_[5:15], axis=0), atol=1e-7)
    assert found.warnings == ("dropped 10 of 60 points that are NaN or infinite",)


@pytest.mark.parametrize(("layout", "cut"), [("ascii", 25), ("binary", 5), ("binary_compressed", 5)])
def test_pcd_truncated_is_refused(layout, cut, cloud):
    with pytest.raises(CloudError, match="truncated: the file holds"):
        cloud("a.pcd", pcd(layout=layout)[:-cut])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"POINTS 60", b"POINTS 0", "no points"),
        (b"POINTS 60", b"POINTS 999999999999", "truncated"),
        (b"POINTS 60", b"POINTS -1", "POINTS must have 1 whole number"),
        (b"FIELDS intensity z y x", b"FIELDS intensity z y w", "has no x"),
        (b"TYPE U F F F", b"TYPE U F F", "4 FIELDS and 3 TYPE"),
        (b"SIZE 1 4 4 4", b"SIZE 1 4 4 3", "no type 'F' of 3 bytes"),
        (b"DATA binary", b"DATA bison", "DATA 'bison'"),
    ],
)
def test_pcd_broken_header_is_refused(old, new, reason, cloud):
    with pytest.raises(CloudError, match=reason):
        cloud("a.pcd", pcd().replace(old, new))


def test_lzf_back_references_and_damage():
    # "abc", then 9 bytes from 3 back (they overlap), then 4 literals.
    packed = b"\x02abc" + bytes([(7 << 5) | 0, 0, 2]) + b"\x03wxyz"
    assert lzf.decompress(packed, 16) == b"abc" + b"abcabcabc" + b"wxyz"
    for damaged in (packed[:-1], packed[:5], b"\x20\x05", packed + b"\x00a"):
        with pytest.raises(ValueError, match=r"unpacks|ends within|back reference"):
            lzf.decompress(damaged, 16)
    with pytest.raises(ValueError, match="cannot unpack"):
        lzf.decompress(b"ab", 10**12)


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2", "<i4"])
def test_npy_types(kind, cloud):
    points = np.round(POINTS * 100)
    np.testing.assert_array_equal(cloud("a.npy", npy(points.astype(kind))).points, points)


def test_npy_shapes(cloud):
    labelled = np.concatenate([POINTS, np.zeros((60, 4))], axis=1)
    for array in (labelled, np.asfortranarray(POINTS), POINTS[None], POINTS.T):
        np.testing.assert_array_equal(cloud("a.npy", npy(array)).points, POINTS)
    assert cloud("a.npy", npy(POINTS.T)).warnings[0].startswith("the array is 3 x 60")
    table = np.zeros(60, [("Z", "<f8"), ("X", "<f4"), ("red", "u1"), ("Y", "<f4")])
    table["X"], table["Y"], table["Z"] = POINTS.T
    np.testing.assert_array_equal(cloud("a.npy", npy(table)).points, POINTS)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([{"a": 1}], dtype=object), "pickled Python objects"),
        (np.zeros((4, 100, 3)), "a batch of 4 clouds"),
        (np.zeros((100, 2)), r"shape \(100, 2\), not \(N, 3\)"),
        (np.zeros((100, 3), complex), "holds complex128"),
        (np.zeros((0, 3)), "no points"),
        (np.zeros(5, [("a", "f4")]), "no fields x, y and z"),
    ],
)
def test_npy_refusals(array, reason, cloud):
    with pytest.raises(CloudError, match=reason):
        cloud("a.npy", npy(array))


def test_npy_truncated_or_with_an_absurd_shape_is_refused(cloud):
    with pytest.raises(CloudError, match="truncated: the array holds 715 of the 720 bytes"):
        cloud("a.npy", npy()[:-5])
    with pytest.raises(CloudError, match="truncated"):
        cloud("a.npy", npy().replace(b"(60, 3), }      ", b"(60000000, 3), }"))


def test_npz_takes_the_named_or_the_only_suitable_array(cloud):
    for arrays in ({"xyz": POINTS, "aaa": POINTS * 0}, {"anything": POINTS, "labels": np.arange(60)}):
        np.testing.assert_array_equal(cloud("a.npz", npz(**arrays)).points, POINTS)
    with pytest.raises(CloudError, match="2 arrays could be the points"):
        cloud("a.npz", npz(one=POINTS, two=POINTS))
    with pytest.raises(CloudError, match=r"no array of shape \(N, 3\)"):
        cloud("a.npz", npz(labels=np.arange(60)))


def test_npz_that_unpacks_to_more_than_it_should_is_refused(cloud, monkeypatch):
    header = npy()[:128].replace(b"(60, 3), }       ", b"(999999999, 3), }")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("points.npy", header + bytes(720))
    content = stream.getvalue()
    with pytest.raises(CloudError, match=r"truncated: 'points\.npy' holds"):
        cloud("a.npz", content)
    claimed = content.replace(struct.pack("<II", 848, 848), struct.pack("<II", 848, 0xFFFFFFF0))
    with pytest.raises(CloudError, match=r"truncated|damaged archive"):
        cloud("a.npz", claimed)
    monkeypatch.setattr(numpy_files, "LARGEST_ARRAY", 800)
    with pytest.raises(CloudError, match=r"'points\.npy' unpacks to 848 bytes; at most 800 are read"):
        cloud("a.npz", content)


@pytest.mark.parametrize("point_format", range(11))
def test_las_every_point_format(point_format, cloud):
    minor = 4 if point_format > 5 else 2
    found = cloud("a.las", las(point_format=point_format, minor=minor))
    np.testing.assert_allclose(found.points + found.offset - [200_000, 5_000_000, 100], POINTS, atol=6e-4)


def test_las_truncated_empty_or_of_another_version_is_refused(cloud):
    with pytest.raises(CloudError, match="truncated: the file holds 59 of the 60 points"):
        cloud("a.las", las()[:-3])
    with pytest.raises(CloudError, match="no points"):
        cloud("a.las", las(POINTS[:0]))
    with pytest.raises(CloudError, match=r"is LAS 2\.0"):
        cloud("a.las", las().replace(b"\x01\x02", b"\x02\x00", 1))
    with pytest.raises(CloudError, match="not `LASF`"):
        cloud("a.las", b"nonsense")


def test_laz_reads_and_its_damage_is_refused(cloud, tmp_path):
    laspy = pytest.importorskip("laspy")
    pytest.importorskip("lazrs")
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales = [1e-6] * 3
    made = laspy.LasData(header)
    made.x, made.y, made.z = POINTS.T.astype(np.float64)
    made.write(str(tmp_path / "made.laz"))
    content = (tmp_path / "made.laz").read_bytes()
    np.testing.assert_allclose(cloud("a.laz", content).points, POINTS, atol=1e-6)
    for cut in (len(content) // 2, len(content) - 20, 400):
        with pytest.raises(CloudError, match=r"truncated|damaged"):
            cloud("a.laz", content[:cut])


def test_laz_without_its_decoder_says_how_to_install_it(cloud, monkeypatch):
    monkeypatch.setitem(sys.modules, "lazrs", None)
    content = bytearray(las())
    content[104] |= 0x80
    with pytest.raises(CloudError, match="compressed") as caught:
        cloud("a.laz", bytes(content))
    assert "pip install 'pointlora[las]'" in caught.value.remedy


@pytest.mark.parametrize("keyword", ["OFF\n", "OFF", "OFF ", "  OFF # c\n# more\n", "COFF\n", "STCNOFF\n"])
def test_off_keywords(keyword, cloud):
    assert np.isin(cloud("a.off", off(keyword)).points[:, 0], [0, 1]).all()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.off", off()[:40], "truncated: the file holds"),
        ("a.off", off().replace(b"8 2 0", b"8 3 0"), "holds 2 of the 3 faces"),
        ("a.off", off().replace(b"8 2 0", b"-8 2 0"), "not the counts"),
        ("a.off", off().replace(b"8 2 0", b"99999999 2 0"), "of the 99,999,999 vertices"),
        ("a.off", off().replace(b"4 4 5 7 6", b"4 4 5 7 9"), "face 2 names vertex 9"),
        ("a.off", off("OFF BINARY\n"), "binary"),
        ("a.obj", obj().replace(b"v 0.0 0.0 1.0", b"v 0.0 0.0"), "line 2: not a vertex or face"),
        ("a.obj", obj().replace(b"f 1/1", b"f 0/1"), "line 10: not a vertex or face"),
        ("a.obj", obj().replace(b"f 1/1", b"f 99/1"), "face 1 names vertex 98"),
        ("a.obj", b"# nothing\n", "no vertex"),
        ("a.stl", stl_binary()[:-1], "holds 11 of the 12 triangles"),
        ("a.stl", stl_binary()[:80] + bytes(4), "0 triangles"),
        ("a.stl", stl_ascii()[:-20], "without `endsolid`"),
        ("a.stl", b"solid empty\nendsolid empty\n", "no triangle"),
        ("a.stl", stl_ascii().replace(b"vertex 0.0", b"vertex oops", 1), "'oops' is not a number"),
        ("a.glb", glb()[:-1], "truncated"),
        ("a.glb", glb(lambda d: d.update(meshes=[])), "holds no mesh"),
        ("a.glb", glb(lambda d: d["buffers"][0].update(uri="/etc/passwd")), "outside the file"),
        ("a.glb", glb(lambda d: d["accessors"][0].update(count=9)), "truncated"),
        ("a.glb", glb(lambda d: d["nodes"][1].update(children=[0])), "reached twice"),
        ("a.glb", glb(lambda d: d["accessors"][0].update(bufferView="x")), "damaged"),
        ("a.glb", glb(lambda d: d["meshes"][0]["primitives"][0].update(
            extensions={"KHR_draco_mesh_compression": {}})), "Draco"),
    ],
)  # fmt: skip
def test_mesh_refusals(name, content, reason, cloud):
    with pytest.raises(CloudError, match=reason):
        cloud(name, content)


def test_obj_with_vertices_alone_is_a_cloud(cloud):
    rows = "".join(f"v {x} {y} {z} nan nan nan\n" for x, y, z in CUBE.tolist())
    np.testing.assert_array_equal(cloud("a.obj", rows.encode()).points, CUBE)


def test_binary_stl_with_bytes_behind_it_warns(cloud):
    content = b"\0" * 80 + stl_binary()[80:] + b"tail"
    assert "4 bytes behind" in cloud("a.stl", content).warnings[0]
