"""Clouds without labels: ShapeNet-55 in its published layout, and folders at any depth."""

from __future__ import annotations

import numpy as np
import pytest

from pointlora_cli.datasets.identity import data_identity
from pointlora_cli.datasets.shapenet55 import load_shapenet55
from pointlora_cli.datasets.unlabelled_folder import load_unlabelled_folder
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import ShapeNet55Data, UnlabelledFolderData


@pytest.fixture
def shapenet(tmp_path):
    """Five shapes of 100 points, three of them to train on."""
    (tmp_path / "shapenet_pc").mkdir()
    (tmp_path / "ShapeNet-55").mkdir()
    names = [f"0269115{index}-abc{index}.npy" for index in range(5)]
    for index, name in enumerate(names):
        points = np.random.default_rng(index).uniform(-1, 1, (100, 3)) + 7
        np.save(tmp_path / "shapenet_pc" / name, points.astype(np.float32))
    (tmp_path / "ShapeNet-55" / "train.txt").write_text("\n".join(names[:3]) + "\n")
    (tmp_path / "ShapeNet-55" / "test.txt").write_text("\n".join(names[3:]))
    return tmp_path


def test_shapenet_is_read_by_its_lists(shapenet):
    spec = ShapeNet55Data(root=str(shapenet), points=16)
    data = load_shapenet55(spec, 40)
    assert (data.train.points.shape, data.test.points.shape) == ((3, 40, 3), (2, 16, 3))
    whole = load_shapenet55(spec, 100).train.points
    assert np.abs(whole.mean(axis=1)).max() < 1e-6
    assert np.allclose(np.linalg.norm(whole, axis=2).max(axis=1), 1)
    before = data_identity(spec)
    assert before == data_identity(spec)
    np.save(shapenet / "shapenet_pc" / "02691150-abc0.npy", np.ones((9, 3)))
    assert data_identity(spec) != before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / "ShapeNet-55" / "train.txt").write_text("../../secret.npy"), "not the name"),
        (lambda root: (root / "ShapeNet-55" / "train.txt").write_text(""), "it is empty"),
        (lambda root: (root / "ShapeNet-55" / "test.txt").unlink(), "missing"),
        (lambda root: (root / "shapenet_pc" / "02691151-abc1.npy").unlink(), "listed in"),
        (lambda root: (root / "shapenet_pc" / "02691151-abc1.npy").write_bytes(b"\x93NUMPY"), "abc1.npy"),
    ],
)
def test_damaged_shapenet_is_refused(shapenet, change, words):
    change(shapenet)
    with pytest.raises(DataError, match=words):
        load_shapenet55(ShapeNet55Data(root=str(shapenet)), 40)


def test_shapenet_says_where_it_should_be(tmp_path):
    for root in (None, str(tmp_path)):
        with pytest.raises(DataError, match="ShapeNet-55") as error:
            load_shapenet55(ShapeNet55Data(root=root), 40)
        assert "data.root" in error.value.remedy


def fill(folder, names):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, np.random.default_rng(index).uniform(-1, 1, (50, 3)))


def test_a_folder_is_split_by_the_names_in_it(tmp_path):
    names = [f"{place}/{index}.xyz" for place in ("a", "b/c") for index in range(6)]
    fill(tmp_path, names)
    spec = UnlabelledFolderData(root=str(tmp_path), points=8, test_fraction=0.25)
    data = load_unlabelled_folder(spec, 20)
    assert (len(data.train), len(data.test)) == (9, 3)
    again = load_unlabelled_folder(spec, 20)
    assert np.array_equal(again.train.points, data.train.points)
    other = load_unlabelled_folder(spec.model_copy(update={"split_seed": 1}), 20)
    assert not np.array_equal(other.test.points, data.test.points)


def test_a_folder_with_train_and_test_keeps_them(tmp_path):
    fill(tmp_path, ["train/x/1.xyz", "train/2.xyz", "train/3.xyz", "test/y/z/4.xyz", "else/5.xyz"])
    data = load_unlabelled_folder(UnlabelledFolderData(root=str(tmp_path), points=8), 8)
    assert (len(data.train), len(data.test)) == (3, 1)
    assert any("left out: else/" in notice for notice in data.notices)
