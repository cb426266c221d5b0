"""glTF in both containers: what is read, what is refused, and that no other process or file takes part."""

from __future__ import annotations

import copy
import json
import os
import sys

import numpy as np
import pytest
from cloud_files import CUBE, CUBE_BYTES, embedded, glb, gltf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mesh_files import odd_scene

from pointlora_cli.clouds import gltf_scene
from pointlora_cli.clouds.gltf import read_glb, read_gltf
from pointlora_cli.clouds.reading import read
from pointlora_cli.errors import CloudError


@pytest.fixture(autouse=True)
def no_child(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))


def uri(value):
    return gltf(lambda d: d["buffers"][0].update(uri=value))


def primitive(**entries):
    return gltf(lambda d: d["meshes"][0]["primitives"][0].update(**entries))


def test_both_containers_give_the_same_triangles(file):
    found, binary = (read_gltf(file("a.gltf", gltf(odd_scene))), read_glb(file("a.glb", glb(odd_scene))))
    np.testing.assert_array_equal(found.vertices, binary.vertices)
    np.testing.assert_array_equal(found.triangles, binary.triangles)
    assert found.warnings == binary.warnings == ("left out: 1 of its mesh parts are points, lines or empty",)
    corners = found.vertices[found.triangles]  # open3d, which is not ours, gave the numbers below
    np.testing.assert_allclose(corners.min(axis=(0, 1)), [10, -4, -2], atol=1e-12)
    np.testing.assert_allclose(corners.max(axis=(0, 1)), [20, 0, 0], atol=1e-12)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert len(corners) == 65
    assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(58.1442, abs=1e-4)


def test_gltf_with_a_buffer_beside_it_reads_and_prints_nothing(file, capfd):
    file("wöl k.bin", CUBE_BYTES + b"more")
    cloud = read(file("mesh.gltf", uri("w%C3%B6l%20k.bin")), mesh_points=500)
    assert cloud.points.shape == (500, 3)
    assert cloud.warnings == ()
    unit = (cloud.points - [10, 0, 0]) / 2
    assert (np.isclose(unit, 0, atol=1e-6) | np.isclose(unit, 1, atol=1e-6)).any(axis=1).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("write", [gltf, glb])
@pytest.mark.parametrize(
    ("kind", "code", "normalized", "factor"),
    [("<i2", 5122, False, 1), ("<i2", 5122, True, 1 / 32767), ("<u1", 5121, True, 1 / 255)],
)
def test_integer_positions(write, kind, code, normalized, factor, file):
    stored = (CUBE * 100).astype(kind)

    def quantise(document):
        data = embedded(stored.tobytes() + CUBE_BYTES[96:])
        document["buffers"].append({"byteLength": stored.nbytes + 72, "uri": data})
        document["bufferViews"][0].update(buffer=1, byteLength=stored.nbytes)
        document["accessors"][0].update(componentType=code, normalized=normalized)
        document["accessors"][1]["normalized"] = True  # not allowed for corners, and without a meaning

    found = (read_glb if write is glb else read_gltf)(file("a", write(quantise)))
    np.testing.assert_allclose(found.vertices, CUBE * 200 * factor + [10, 0, 0])
    assert found.triangles.shape == (12, 3)


@pytest.mark.parametrize("mode", [0, 1])
def test_without_triangles_the_vertices_are_the_cloud(mode, file):
    cloud = read(file("a.gltf", primitive(mode=mode)))
    np.testing.assert_allclose(cloud.points, CUBE * 2 + [10, 0, 0])
    assert cloud.warnings == ()


def test_nan_corner_is_dropped_with_a_warning(file):
    points = CUBE.copy()
    points[7, 2] = np.nan
    cloud = read(file("a.gltf", uri(embedded(points.tobytes() + CUBE_BYTES[96:]))), mesh_points=50)
    assert len(cloud.points) == 50
    assert "dropped 6 of 12 triangles" in cloud.warnings[0]


def test_what_is_no_geometry_is_not_followed(file):
    def decorate(document):
        document["images"] = [{"uri": "/etc/passwd"}]
        document["skins"] = [{"joints": [0]}]
        document["nodes"][1]["skin"] = 0
        document["buffers"].append({"byteLength": 5, "uri": "/etc/passwd"})

    assert read(file("a.gltf", gltf(decorate)), mesh_points=50).warnings == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (gltf()[:-1], "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "not glTF"),
        (gltf(lambda d: d.update(asset={"version": "1.0"})), "version '1.0'; only 2"),
        (gltf(lambda d: d.update(meshes=[])), "holds no mesh"),
        (gltf(lambda d: d["nodes"][1].pop("mesh")), "scene shows no mesh"),
        (gltf(lambda d: d["nodes"][1].update(children=[0])), "reached twice"),
        (gltf(lambda d: d["nodes"][1].update(mesh=-1)), "damaged"),
        (gltf(lambda d: d["accessors"][0].update(count=0)), "face names vertex 7 of 0"),
        (gltf(lambda d: d["accessors"][0].update(count=5)), "face names vertex 7 of 5"),
        (gltf(lambda d: d["accessors"][0].update(bufferView="x")), "damaged"),
        (gltf(lambda d: d["accessors"][0].update(count=9)), "truncated: .* 96 of the 108 bytes of accessor 0"),
        (gltf(lambda d: d["accessors"][0].update(type="VEC2")), "damaged .*VEC2 of 5126"),
        (gltf(lambda d: d["accessors"][0].update(componentType=9)), "damaged .*VEC3 of 9"),
        (gltf(lambda d: d["accessors"][1].update(componentType=5122)), "damaged .*SCALAR of 5122"),
        (gltf(lambda d: d["accessors"][1].update(componentType=5126, count=18)), "damaged .*SCALAR of 5126"),
        (gltf(lambda d: d["accessors"][0].update(sparse={"count": 1})), "sparse"),
        (gltf(lambda d: d["bufferViews"][1].update(byteLength=73)), "168 of the 169 bytes"),
        (gltf(lambda d: d["bufferViews"][0].update(extensions={"EXT_meshopt_compression": {}})), "meshopt"),
        (gltf(lambda d: d["nodes"][0].update(extensions={"EXT_mesh_gpu_instancing": {}})), "repeats meshes"),
        (primitive(extensions={"KHR_draco_mesh_compression": {}}), "Draco"),
        (uri(embedded(CUBE_BYTES[:-1])), "truncated: the file holds 167 of the 168 bytes of buffer 0"),
        (uri(embedded(CUBE_BYTES)[:-1]), "not whole base64"),
        (uri("data:,hello"), "not whole base64"),
        (uri(None), "names no data"),
        (uri("short.bin"), "truncated: the file holds 100 of the 168 bytes of buffer 0"),
        (uri("missing.bin"), "'missing.bin' is missing beside it"),
        (uri("folder"), "'folder' is missing beside it"),
        (uri(""), "not followed"),
        (uri(".."), "not followed"),
        (uri("../whole.bin"), "not followed"),
        (uri("%2e%2e%2fwhole.bin"), "not followed"),
        (uri("..\\whole.bin"), "not followed"),
        (uri("/etc/passwd"), "not followed"),
        (uri("file:///etc/passwd"), "not followed"),
        (uri("https://example.org/a.bin"), "not followed"),
        (uri("C:whole.bin"), "not followed"),
        (uri("a\0.bin"), "not followed"),
        (uri("\ud800.bin"), "not followed"),
    ],
)  # fmt: skip
def test_gltf_refusals(content, reason, file, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path.parent / "whole.bin").write_bytes(CUBE_BYTES)
    file("short.bin", CUBE_BYTES[:100])
    path = file("a.gltf", content)
    with pytest.raises(CloudError, match=reason) as caught:
        read(path)
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message


def test_pipe_as_a_buffer_does_not_block(file, tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(CloudError, match="missing beside it, empty, or not a readable file"):
        read(file("a.gltf", uri("pipe.bin")))


def test_a_buffer_that_is_a_link_to_nothing_is_missing(file, tmp_path):
    (tmp_path / "link.bin").symlink_to("link.bin")
    with pytest.raises(CloudError, match="missing beside it"):
        read(file("a.gltf", uri("link.bin")))


def test_a_mesh_shown_millions_of_times_is_refused(file):
    def repeat(document):
        document["nodes"] = [{"mesh": 0} for _ in range(2000)]
        document["scenes"] = [{"nodes": list(range(2000))}]
        document["meshes"][0]["primitives"] *= 3000

    with pytest.raises(CloudError, match="more than 50,000,000 triangles"):
        read(file("a.gltf", gltf(repeat)))


def test_data_named_many_times_over_is_refused(file, monkeypatch):
    monkeypatch.setattr(gltf_scene, "_MOST_VERTICES", 200_000)
    file("large.bin", CUBE_BYTES + bytes(300_000))

    def overlap(document):
        document["buffers"][0].update(byteLength=300_168, uri="large.bin")
        document["bufferViews"][0]["byteLength"] = 300_168
        document["accessors"] += [{**document["accessors"][0], "count": 25_000} for _ in range(9)]
        parts = [{"attributes": {"POSITION": 2 + index}} for index in range(9)]
        document["meshes"][0]["primitives"] = parts

    with pytest.raises(CloudError, match="more than 200,000 vertices"):
        read(file("a.gltf", gltf(overlap)))


ODD = st.sampled_from(
    [None, True, -1, 0, 1, 7, 1 << 70, 0.5, float("nan"), "", "0", [], [0], {}, {"uri": "/"}]
)


def places(value, above=()):
    """The path to every value inside a JSON document."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*above, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*above, key))


WHOLE = json.loads(gltf(odd_scene))


@settings(max_examples=300, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(changes=st.lists(st.tuples(st.sampled_from(list(places(WHOLE))), ODD), min_size=1, max_size=3))
def test_any_change_of_the_document_is_read_or_refused(changes, tmp_path):
    document = copy.deepcopy(WHOLE)
    for place, value in changes:
        inner = document
        try:
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = copy.deepcopy(value)
        except (LookupError, TypeError):
            continue  # an earlier change removed the place
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps(document))
    try:
        cloud = read(path, mesh_points=50)
    except CloudError as error:
        assert error.message.startswith(str(path))
        assert "\n" not in error.message
    else:
        assert np.isfinite(cloud.points).all()
