"""A person's own folder of clouds: what is read, how it is split, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import TINY_BACKBONE, TINY_TRAINING, call, only_run, sets
from labelled_folder import fill as fill_labelled

from pointlora_cli.datasets.build import check_data, class_names, load_data
from pointlora_cli.datasets.splits import stratified_split
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import FolderData

TINY = sets("data.points=64", *TINY_BACKBONE, *TINY_TRAINING, "method.name=lora")


def fill(folder, count, *, width=1.0, seed=0):
    """Write `count` clouds of 30 points into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    for index in range(count):
        np.savetxt(folder / f"{index:03}.xyz", random.standard_normal((30, 3)) * [width, 1, 1])


@pytest.fixture
def clouds(tmp_path):
    """Three classes of 10, 5 and 2 clouds, not split."""
    for name, count in (("cube", 10), ("ball", 5), ("rare", 2)):
        fill(tmp_path / "clouds" / name, count, seed=count)
    return tmp_path / "clouds"


def load(root, **options):
    return load_data(FolderData(root=str(root), points=32, **options))


def same(first, second):
    return np.array_equal(first.points, second.points) and np.array_equal(first.labels, second.labels)


def test_classes_are_the_folders_in_order(clouds):
    assert class_names(FolderData(root=str(clouds))) == ("ball", "cube", "rare")
    data = load(clouds)
    assert data.classes == ("ball", "cube", "rare")
    assert np.bincount(data.train.labels).tolist() == [4, 8, 1]
    assert np.bincount(data.test.labels).tolist() == [1, 2, 1]
    assert data.train.points.shape == (13, 32, 3)
    assert data.train.points.dtype == np.float32


def test_split_is_seeded_and_a_partition(clouds):
    first, again, other = load(clouds), load(clouds), load(clouds, split_seed=1)
    assert same(first.train, again.train) and same(first.test, again.test)
    assert not same(first.test, other.test)
    everything = {cloud.tobytes() for part in (first.train, first.test) for cloud in part.points}
    assert len(everything) == 17


def test_split_is_said(clouds):
    (notice,) = load(clouds).notices
    assert "no test/ folder" in notice
    assert "4 of 17" in notice
    assert "split_seed 0" in notice


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_every_class_of_two_is_on_both_sides(fraction):
    labels = np.repeat([0, 1, 2, 3], [1, 2, 3, 40])
    rest, held_out = stratified_split(labels, fraction, seed=3)
    assert sorted([*rest, *held_out]) == list(range(46))
    assert set(labels[rest]) == {0, 1, 2, 3}
    assert set(labels[held_out]) == {1, 2, 3}
    assert abs((labels[held_out] == 3).sum() - fraction * 40) <= 1


def test_class_with_one_cloud_does_not_move_the_others():
    labels = np.repeat([0, 1], [10, 10])
    more = np.repeat([0, 1, 2], [10, 10, 5])
    assert set(stratified_split(labels, 0.2, 0)[1]) == {
        i for i in stratified_split(more, 0.2, 0)[1] if i < 20
    }


def test_a_member_that_joins_moves_no_more_than_the_border():
    labels = np.zeros(20, dtype=np.int64)
    names = [f"{index}.ply" for index in range(20)]
    before = {names[i] for i in stratified_split(labels, 0.2, 0, names)[1]}
    joined = ["aaa.ply", *names, "zzz.ply"]
    after = {joined[i] for i in stratified_split(np.zeros(22, dtype=np.int64), 0.2, 0, joined)[1]}
    assert len(after - before) <= 2
    assert after & set(names) <= before


def test_an_empty_part_of_a_split_is_named(tmp_path):
    fill(tmp_path / "train" / "a", 2)
    fill(tmp_path / "train" / "b", 2)
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match="test: no class folder with clouds"):
        load(tmp_path)


def test_train_and_test_folders_are_the_split(clouds, tmp_path):
    fill(tmp_path / "split" / "train" / "a", 3)
    fill(tmp_path / "split" / "train" / "b", 4)
    fill(tmp_path / "split" / "test" / "b", 2, seed=9)
    data = load(tmp_path / "split")
    assert data.classes == ("a", "b")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert data.test.labels.tolist() == [1, 1]
    assert data.notices == ()


def test_the_split_is_found_in_any_case_and_what_lies_beside_it_is_said(tmp_path):
    for part in ("Train", "TEST", "val"):
        for name in ("a", "b"):
            fill(tmp_path / part / name, 2)
    data = load(tmp_path)
    assert (len(data.train), len(data.test)) == (4, 4)
    assert data.notices == (f"{tmp_path}: only Train/ and TEST/ are used; left out: val/",)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="has Train/ and train/, so it is not clear"):
        load(tmp_path)


def test_folders_whose_clouds_lie_deeper_are_named(clouds):
    fill(clouds / "pine" / "scans", 2)
    assert (
        f"left out: {clouds / 'pine'}: no cloud lies in it; its clouds lie deeper (scans/)"
        in load(clouds).notices
    )
    with pytest.raises(DataError, match=r"found 0 class folders .* deeper \(ball/, cube/, rare/\)"):
        check_data(FolderData(root=str(clouds.parent)))


def test_labelled_clouds_without_classes_are_told_what_they_are_for(tmp_path):
    fill(tmp_path / "plain", 2)
    with pytest.raises(DataError) as caught:
        check_data(FolderData(root=str(tmp_path / "plain")))
    assert "segmentation-folder" not in caught.value.remedy
    fill_labelled(tmp_path / "labelled", 2, [0, 1])
    with pytest.raises(DataError) as caught:
        check_data(FolderData(root=str(tmp_path / "labelled")))
    assert "--preset segmentation-folder" in caught.value.remedy


@pytest.mark.parametrize("part", ["train", "test"])
def test_half_a_split_is_refused(tmp_path, part):
    fill(tmp_path / part / "a", 2)
    fill(tmp_path / part / "b", 2)
    with pytest.raises(DataError, match=f"has a {part}/ folder but no"):
        load(tmp_path)


def test_class_only_in_test_has_no_training_cloud(tmp_path):
    for part, name in (("train", "a"), ("train", "b"), ("test", "c")):
        fill(tmp_path / part / name, 2)
    with pytest.raises(DataError, match="no readable training cloud of class c"):
        load(tmp_path)


def test_unreadable_file_is_left_out_and_named(clouds):
    (clouds / "cube" / "broken.ply").write_text("ply\n")
    data = load(clouds)
    assert len(data.train) + len(data.test) == 17
    (notice,) = (text for text in data.notices if text.startswith("left out"))
    assert str(clouds / "cube" / "broken.ply") in notice


def test_repaired_file_is_named(clouds):
    (clouds / "cube" / "holes.xyz").write_text("0 0 0\nnan 1 2\n1 1 1\n")
    assert any("holes.xyz" in notice and "NaN" in notice for notice in load(clouds).notices)


def test_many_unreadable_files_are_summed_up(clouds):
    for index in range(20):
        (clouds / "cube" / f"broken{index}.ply").touch()
    left_out = [notice for notice in load(clouds).notices if notice.startswith("left out")]
    assert len(left_out) == 6
    assert "15 more files" in left_out[-1]


def test_class_without_a_readable_cloud_is_an_error(clouds):
    fill(clouds / "bad", 0)
    (clouds / "bad" / "a.ply").write_text("ply\n")
    with pytest.raises(DataError, match="no readable training cloud of class bad"):
        load(clouds)


def test_hidden_and_other_files_are_not_clouds(clouds):
    expected = load(clouds)
    for junk in (".hidden.xyz", "._000.xyz", "notes.md", "thumb.png"):
        (clouds / "ball" / junk).write_text("no cloud")
    fill(clouds / ".cache", 3)
    fill(clouds / "ball" / "nested", 3)
    fill(clouds / "empty", 0)
    (clouds / "README.md").write_text("about")
    data = load(clouds)
    assert data.classes == expected.classes
    assert same(data.train, expected.train)
    left_out = [notice for notice in data.notices if "left out" in notice]
    assert left_out == [f"left out: {clouds / 'empty'}: no cloud lies in it"]
    assert any("2 files in class folders are no clouds" in notice for notice in data.notices)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("missing", "no such folder"),
        ("file", "a file, not a folder"),
        ("empty", "found 0 class folders"),
        ("one class", "found 1 class folders"),
        ("files at the root", "found 0 class folders"),
    ],
)
def test_other_layouts_are_refused_before_a_cloud_is_read(tmp_path, layout, message):
    root = tmp_path / "root"
    if layout == "file":
        root.write_text("a file")
    elif layout == "one class":
        fill(root / "only", 4)
    elif layout != "missing":
        fill(root, 3 if layout == "files at the root" else 0)
    with pytest.raises(DataError, match=message) as caught:
        check_data(FolderData(root=str(root)))
    assert str(root) in caught.value.message
    assert caught.value.remedy


def test_a_single_cloud_of_each_class_leaves_nothing_to_test(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / "clouds" / name, 1)
    outcome = call("finetune", "--data", tmp_path / "clouds", *TINY, "-o", tmp_path / "runs")
    assert outcome.code == 3
    assert "each class needs at least 2" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_folder_trains_and_its_run_carries_its_name(tmp_path):
    for name, width in (("long", 5.0), ("flat\x1b[31m", 0.1)):
        fill(tmp_path / "my clouds" / name, 4, width=width)
    (tmp_path / "my clouds" / "long" / "broken.ply").touch()
    outcome = call("finetune", "--data", tmp_path / "my clouds", *TINY, "-o", tmp_path / "runs")
    assert outcome.code == 0, outcome.err
    assert "\x1b" not in outcome.out + outcome.err
    assert "broken.ply" in outcome.err
    run_directory = only_run(tmp_path / "runs")
    assert run_directory.name.startswith("my-clouds-")
    assert "broken.ply" in (run_directory / "log.txt").read_text()
    again = call("evaluate", run_directory, "--json")
    assert again.document["clouds"] == 2
    assert [row["name"] for row in again.document["classes"]] == ["flat\x1b[31m", "long"]


def test_data_that_changed_since_training_is_noticed(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / "clouds" / name, 4)
    assert call("finetune", "--data", tmp_path / "clouds", *TINY, "-o", tmp_path / "runs").code == 0
    fill(tmp_path / "clouds" / "c", 2)
    outcome = call("evaluate", only_run(tmp_path / "runs"))
    assert outcome.code == 3
    assert "other classes" in outcome.err
    assert "--data DIR" in outcome.err
