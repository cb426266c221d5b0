"""The identity of a data set's files."""

import os

import pytest

from pointlora_cli.datasets.identity import data_identity
from pointlora_cli.errors import DataError
from pointlora_cli.models.base_weights import base_identity
from pointlora_cli.specs.backbone import PointMAESpec
from pointlora_cli.specs.data import (
    FewShotData,
    FolderData,
    ModelNet40Data,
    ScanObjectNNData,
    SegmentationFolderData,
    ShapesData,
)


def folder(root):
    for name in ("a", "b"):
        (root / name).mkdir()
        (root / name / "0.npy").write_bytes(b"0")
    return root / "a" / "0.npy"


def processed(root):
    names = [f"modelnet40_{split}_8192pts_fps.dat" for split in ("train", "test")]
    for name in names:
        (root / name).write_bytes(b"0")
    return root / names[0]


def episode(root):
    (root / "5way_10shot").mkdir()
    (root / "5way_10shot" / "0.pkl").write_bytes(b"0")
    return root / "5way_10shot" / "0.pkl"


def scans(root):
    (root / "main_split").mkdir()
    paths = [root / "main_split" / f"{split}_objectdataset.h5" for split in ("training", "test")]
    for path in paths:
        path.write_bytes(b"0")
    return paths[1]


SOURCES = {
    "folder": (folder, lambda root: FolderData(root=root)),
    "segmentation-folder": (folder, lambda root: SegmentationFolderData(root=root)),
    "modelnet40": (processed, lambda root: ModelNet40Data(root=root)),
    "published": (episode, lambda root: FewShotData(root=root)),
    "generated": (processed, lambda root: FewShotData(root=root, episodes="generated")),
    "scanobjectnn": (scans, lambda root: ScanObjectNNData(root=root, variant="obj-bg")),
}


@pytest.mark.parametrize("source", SOURCES)
def test_it_changes_with_size_and_time_of_a_file_and_else_stays(source, tmp_path):
    make, spec_of = SOURCES[source]
    path, spec = make(tmp_path), spec_of(str(tmp_path))
    first = data_identity(spec)
    assert data_identity(spec) == first
    status = path.stat()
    path.write_bytes(b"00")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = data_identity(spec)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    assert len({first, second, data_identity(spec)}) == 3


def test_a_folder_s_changes_with_a_name(tmp_path):
    path, spec = folder(tmp_path), FolderData(root=str(tmp_path))
    first = data_identity(spec)
    path.rename(path.with_name("1.npy"))
    assert data_identity(spec) != first


def test_generated_shapes_have_no_files_and_missing_ones_are_told():
    assert data_identity(ShapesData()) == data_identity(ShapesData(seed=1))
    with pytest.raises(DataError, match="nowhere"):
        data_identity(FolderData(root="nowhere"))


def test_that_of_base_weights_changes_with_a_given_file(tmp_path):
    path = tmp_path / "base.pth"
    path.write_bytes(b"0")
    spec = PointMAESpec(weights=str(path))
    first = base_identity(spec)
    path.write_bytes(b"00")
    assert base_identity(spec) != first
    assert base_identity(PointMAESpec(init="random")) == "random"
