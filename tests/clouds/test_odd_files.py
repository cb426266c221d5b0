"""Files that other software wrote: each reads, or says in one line why not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from pointlora_cli.clouds.reading import read
from pointlora_cli.errors import CloudError

SHIPPED = Path(__file__).parents[1] / "data" / "odd_files"
FOLDER = Path(os.environ.get("POINTLORA_ODD_FILES_DIR") or SHIPPED)
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())

POINTS_OF = {
    "laspy__simple.laz": 1065,
    "pyntcloud__diamond.npy": 6,
    "pyntcloud__diamond.npz": 6,
    "pyntcloud__diamond.ply": 500,
    "pyntcloud__diamond_color.off": 500,
    "pyntcloud__diamond_with_bool.ply": 6,
    "pypcd4__ascii_multi_count.pcd": 8,
    "pypcd4__ascii_organized.pcd": 8,
    "pypcd4__binary.pcd": 213,
    "pypcd4__binary_compressed.pcd": 213,
    "trimesh__comments.off": 500,
    "trimesh__metadata.ply": 500,
    "trimesh__nancolor.obj": 500,
    "trimesh__negative_indices.obj": 500,
    "trimesh__notenoughindices.obj": 500,
    "trimesh__obj_points.obj": 8,
    "trimesh__points_agisoft.xyz": 100,
    "trimesh__points_ascii_with_lists.ply": 5,
    "trimesh__points_cloudcompare.xyz": 101,
    "trimesh__points_emptyascii.ply": 12,
    "trimesh__whitespace.off": 500,
}
REFUSED = {
    "README.md": "unknown format",
    "pypcd4__ascii_empty.pcd": "empty",
    "pypcd4__ascii_invalid_header.pcd": "DATA",
    "pypcd4__ascii_with_empty_points.pcd": "no points",
    "trimesh__obj_empty.obj": "no vertex",
    "trimesh__ply_empty_bin.ply": "0 vertices",
    "trimesh__ply_empty_header.ply": "no vertex element",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_reads_or_gives_the_reason(path, capfd):
    started = time.monotonic()
    try:
        cloud = read(path)
    except CloudError as error:
        assert error.message.startswith(str(path))
        assert "\n" not in error.message
    else:
        assert cloud.points.dtype == np.float32
        assert cloud.points.ndim == 2
        assert cloud.points.shape[1] == 3
        assert np.isfinite(cloud.points).all()
    assert time.monotonic() - started < 20
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", POINTS_OF)
def test_known_file_gives_its_points(name):
    if name.endswith(".laz"):
        pytest.importorskip("lazrs")
    assert len(read(SHIPPED / name, mesh_points=500).points) == POINTS_OF[name]


@pytest.mark.parametrize("name", REFUSED)
def test_known_file_is_refused_with_the_reason(name):
    with pytest.raises(CloudError, match=REFUSED[name]):
        read(SHIPPED / name)


def test_every_shipped_file_has_its_verdict_here():
    assert {path.name for path in SHIPPED.iterdir()} == {*POINTS_OF, *REFUSED}


def test_compressed_and_plain_pcd_of_the_same_cloud_agree():
    plain = read(SHIPPED / "pypcd4__binary.pcd").points
    np.testing.assert_array_equal(read(SHIPPED / "pypcd4__binary_compressed.pcd").points, plain)
