"""FBX through open3d in a child process: what it reads, and that nothing it does reaches us."""

from __future__ import annotations

import importlib.util
import sys
import time

import numpy as np
import pytest
from cloud_files import CUBE
from mesh_files import QUADS, fbx

from pointlora_cli.clouds import open3d_meshes
from pointlora_cli.clouds.open3d_meshes import read_fbx
from pointlora_cli.clouds.reading import read
from pointlora_cli.errors import CloudError

with_open3d = pytest.mark.skipif(importlib.util.find_spec("open3d") is None, reason="open3d is not installed")


def corners(geometry):
    """The triangles' corners (T, 9), in an order that depends on nothing but their places."""
    places = np.round(geometry.vertices[geometry.triangles], 3) + 0.0
    return np.array(sorted(sorted(triangle) for triangle in places.tolist())).reshape(-1, 9)


@pytest.fixture
def child(monkeypatch):
    """Replaces what the child runs, and how long it may."""

    def replace(code, seconds=15.0):
        monkeypatch.setattr(open3d_meshes, "_CHILD", code)
        monkeypatch.setattr(open3d_meshes, "_SECONDS", seconds)

    return replace


@with_open3d
def test_ascii_fbx_reads_with_its_polygons_and_places(file):
    found = read_fbx(file("a.fbx", fbx((CUBE, QUADS), (CUBE, [0, 1, -3]))))
    assert found.warnings == ()
    assert found.triangles.shape == (6, 3)
    assert found.vertices.max(axis=0).tolist() == [10, 1, 1]
    assert len(np.unique(corners(found), axis=0)) == 6


@with_open3d
def test_binary_fbx_with_a_damaged_mesh_warns_of_what_is_missing(file, capfd):
    content = fbx((CUBE, QUADS), (CUBE, [0, 1, -99]), binary=True)
    imported = "open3d" in sys.modules
    cloud = read(file("named.ply", content), mesh_points=50)
    assert ("open3d" in sys.modules) == imported
    assert len(cloud.points) == 50
    assert "content is FBX" in cloud.warnings[0]
    assert "returned 5 of the 6 triangles" in cloud.warnings[1]
    assert capfd.readouterr() == ("", "")


@with_open3d
def test_truncated_fbx_is_refused_in_the_words_of_open3d(file):
    with pytest.raises(CloudError, match="finds no triangles in it: FBX-"):
        read(file("a.fbx", fbx((CUBE, QUADS), binary=True)[:-140]))


@pytest.mark.parametrize("content", [b"Kaydara FBX", b"FBX 7.3", b"\0" * 300, b"; FB"])
def test_fbx_without_its_start_is_refused(content, file):
    with pytest.raises(CloudError, match="not an FBX file"):
        read(file("a.fbx", content))


HAND_BACK = "import numpy as n; v, t = n.eye(3), n.array([[0, 1, 2]]); {}; n.savez('mesh.npz', vertices=v, triangles=t)"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "crashed on it"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"crashed on it \(SIGKILL\)"),
        ("raise MemoryError('no more')", r"crashed on it \(exit status 1\): MemoryError: no more"),
        ("print('Unable to load')", "handed back no mesh"),
        ("open('mesh.npz', 'w').write('PK')", "handed back no mesh"),
        (HAND_BACK.format("v = n.array([{}])"), "handed back no mesh"),
        (HAND_BACK.format("v = v.astype('f4')"), "handed back no mesh"),
        (HAND_BACK.format("t = t[0]"), "handed back no mesh"),
        (HAND_BACK.format("v = v[:0]; print('\\033[1;33mUnable to load with ASSIMP: bad\\033[0;m')"),
         "finds no triangles in it: bad$"),
        (HAND_BACK.format("t = t[:0]"), "finds no triangles in it$"),
        (HAND_BACK.format("t[0, 0] = 3"), "name other than its 3 vertices"),
        (HAND_BACK.format("t[0, 0] = -1"), "name other than its 3 vertices"),
        (HAND_BACK.format("v[0, 0] = n.nan"), "1 of 3 vertices are NaN or infinite"),
    ],
)  # fmt: skip
def test_whatever_the_child_does_becomes_a_cloud_error(code, reason, file, child, capfd):
    child(code)
    path = file("a.fbx", fbx((CUBE, QUADS)))
    with pytest.raises(CloudError, match=reason) as caught:
        read(path)
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_fewer_triangles_than_the_file_holds_are_a_warning(file, child):
    child(HAND_BACK.format("pass"))
    found = read_fbx(file("a.fbx", fbx((CUBE, QUADS))))
    assert found.warnings == ("open3d returned 1 of the 5 triangles that the file holds",)


def test_hanging_child_is_stopped_and_leaves_nothing_behind(file, child, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(open3d_meshes.tempfile, "tempdir", str(temporary))
    child("import time; print('busy', flush=True); time.sleep(60)", seconds=0.5)
    started = time.monotonic()
    with pytest.raises(CloudError, match=r"did not finish reading it within 0\.5 s"):
        read(file("a.fbx", fbx((CUBE, QUADS))))
    assert time.monotonic() - started < 5
    assert list(temporary.iterdir()) == []


def test_child_gets_no_input(file, child):
    child("import sys; assert sys.stdin.read() == ''; print('end of input'); sys.exit(5)")
    with pytest.raises(CloudError, match="end of input"):
        read(file("a.fbx", fbx((CUBE, QUADS))))


def test_missing_open3d_says_how_to_install_it(file, child):
    child("import sys; sys.modules['open3d'] = None\n" + open3d_meshes._CHILD)
    with pytest.raises(CloudError, match="needs open3d, which does not import") as caught:
        read(file("a.fbx", fbx((CUBE, QUADS))))
    assert "pip install 'open3d-cpu" in caught.value.remedy


def test_python_that_does_not_start_is_no_missing_file(file, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CloudError, match="cannot start a process for open3d"):
        read(file("a.fbx", fbx((CUBE, QUADS))))
