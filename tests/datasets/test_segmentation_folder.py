"""A person's own folder of clouds with labels at the points: how it is read, split, numbered and refused."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_folder import fill, layered

from pointlora_cli.clouds.reading import read
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.datasets.build import check_data, load_part_data
from pointlora_cli.datasets.label_oddities import CloudLabels, odd_labels
from pointlora_cli.datasets.part_vocabulary import PartVocabulary, label_of_part
from pointlora_cli.datasets.resampling import draw_in_frame
from pointlora_cli.datasets.segmentation_folder import folder_outputs, load_labelled_clouds
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import SegmentationFolderData


@pytest.fixture
def root(tmp_path):
    """Two categories of 5 and 4 clouds with 2 and 3 labels, one of them in both; not split."""
    fill(tmp_path / "clouds" / "chair", 5, [40, 7])
    fill(tmp_path / "clouds" / "bed", 4, [7, -1, 3])
    return tmp_path / "clouds"


def spec(root, **options):
    return SegmentationFolderData(root=str(root), points=32, **options)


def load(root, **options):
    return load_part_data(spec(root, **options))


def every_cloud(data):
    return [clouds.cloud(index) for clouds in (data.trainval, data.test) for index in range(len(clouds))]


def test_each_category_has_one_range_of_parts(root):
    data = load(root)
    assert data.categories == ("bed", "chair")
    assert data.parts == (range(3), range(3, 5))
    assert data.part_names == ("bed/-1", "bed/3", "bed/7", "chair/7", "chair/40")
    assert [label_of_part(name) for name in data.part_names] == [-1, 3, 7, 7, 40]
    assert folder_outputs(spec(root)) == (5, 2)
    for clouds in (data.trainval, data.test):
        for index, category in enumerate(clouds.category):
            _, parts = clouds.cloud(index)
            assert set(parts) <= set(data.parts[category])


def test_points_are_whole_clouds_with_their_labels_in_the_unit_sphere(root):
    data = load(root)
    assert sorted(len(points) for points, _ in every_cloud(data)) == [60, 60, 61, 61, 62, 62, 63, 63, 64]
    for points, parts in every_cloud(data):
        assert points.dtype == np.float32
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(points, axis=1).max(), 1, atol=1e-6)
        order = np.argsort(points[:, 2])
        assert len(set(parts[order][:5])) == 1  # by height, as they were written


def test_predicting_places_a_cloud_as_training_did(root):
    file = root / "chair" / "002.ply"
    expected = draw_in_frame(read(file), 32, "unit-sphere").frame.place(read(file).points)
    assert any(
        points.shape == expected.shape and (points == expected).all() for points, _ in every_cloud(load(root))
    )


def test_split_is_stratified_seeded_and_said(root):
    data, again = load(root), load(root)
    assert data.train_count == len(data.trainval)
    assert np.bincount(data.trainval.category).tolist() == [3, 4]
    assert np.bincount(data.test.category).tolist() == [1, 1]
    np.testing.assert_array_equal(data.test.points, again.test.points)
    assert len({load(root, split_seed=seed).test.points.tobytes() for seed in range(8)}) > 1
    assert any("2 of 9 clouds are held out" in notice for notice in data.notices)


def test_folders_of_a_split_are_the_split(tmp_path):
    fill(tmp_path / "train" / "a", 3, [0, 1])
    fill(tmp_path / "train" / "b", 2, [0, 1])
    fill(tmp_path / "test" / "b", 1, [0, 1], seed=9)
    data = load(tmp_path)
    assert data.trainval.category.tolist() == [0, 0, 0, 1, 1]
    assert data.test.category.tolist() == [1]
    assert data.notices == ()


@pytest.mark.parametrize("split", [False, True])
def test_clouds_without_folders_are_of_one_category(tmp_path, split):
    for part in ("train", "test") if split else ("",):
        fill(tmp_path / part, 5, [1, 2])
    data = load(tmp_path)
    assert data.categories == ("object",)
    assert data.part_names == ("object/1", "object/2")
    assert (len(data.trainval), len(data.test)) == ((5, 5) if split else (4, 1))


def test_files_that_cannot_be_used_are_left_out_and_named(root):
    (root / "chair" / "broken.ply").write_text("ply\n")
    write_ply(root / "chair" / "bare.ply", layered(30, [0], 1)[0])
    (root / "chair" / "notes.md").write_text("no cloud")
    (root / "chair" / "mesh.obj").write_text("v 0 0 0\n")
    (root / "chair" / ".hidden.ply").write_text("no cloud")
    data = load(root)
    assert len(data.trainval) + len(data.test) == 9
    left_out = " ".join(notice for notice in data.notices if notice.startswith("left out"))
    assert "broken.ply" in left_out
    assert "bare.ply: no property with labels" in left_out
    assert any("2 files are no point clouds" in notice for notice in data.notices)


def test_a_name_for_the_labels(tmp_path):
    (tmp_path / "a").mkdir()
    for index in range(3):
        points, labels = layered(40, [0, 1], index)
        rows = np.column_stack([points, labels * 5, labels])
        np.savetxt(
            tmp_path / "a" / f"{index}.csv", rows, delimiter=",", header="x,y,z,kind,label", comments=""
        )
    assert load(tmp_path).part_names == ("a/0", "a/1")
    assert load(tmp_path, label="kind").part_names == ("a/0", "a/5")
    with pytest.raises(DataError, match=r"none of 3 files could be read: .* no column 'colour'") as caught:
        load(tmp_path, label="colour")
    assert "data.label" in caught.value.remedy


def test_a_very_large_cloud_is_thinned_evenly_and_placed_by_all_its_points(tmp_path):
    fill(tmp_path, 1, [0, 1])
    points, labels = layered(120_000, [0, 1], 5)
    points[0] = [50, 0.5, 0.2]  # one point decides the scale
    labels[0] = 0
    write_ply(tmp_path / "large.ply", points, labels=labels)
    data = load(tmp_path)
    (large,) = ((points, parts) for points, parts in every_cloud(data) if len(points) > 1000)
    assert large[0].shape == (100_000, 3)
    assert np.linalg.norm(large[0], axis=1).max() < 1.01
    assert np.ptp(large[0][:, 1]) < 0.03
    assert 0.49 < (large[1] == 0).mean() < 0.51
    assert any("thinned from 120,000 to 100,000" in notice for notice in data.notices)


def test_a_part_only_in_the_test_clouds_is_said(tmp_path):
    fill(tmp_path / "train" / "a", 2, [0, 1])
    fill(tmp_path / "test" / "a", 1, [0, 1, 8])
    data = load(tmp_path)
    assert data.part_names == ("a/0", "a/1", "a/8")
    assert any("cannot be learnt: a/8" in notice for notice in data.notices)


def test_a_category_of_one_part_is_said(root):
    fill(root / "ball", 3, [4])
    assert any("nothing to tell apart: ball" in notice for notice in load(root).notices)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("missing", "no such folder"),
        ("file", "a file, not a folder"),
        ("empty", "no point cloud in it or in its folders"),
        ("meshes", "no point cloud in it or in its folders"),
        ("half", "has a train/ folder but no test/ folder"),
        ("mixed", "holds 2 clouds beside folders of clouds \\(a\\)"),
        ("unseen", "training never sees its categories b \\(train/ has a\\)"),
    ],
)
def test_other_layouts_are_refused_before_a_cloud_is_read(tmp_path, layout, message):
    root = tmp_path / "root"
    if layout == "file":
        root.write_text("a file")
    elif layout != "missing":
        root.mkdir()
    if layout == "meshes":
        (root / "a").mkdir()
        (root / "a" / "mesh.off").write_text("OFF\n")
    if layout in ("half", "unseen"):
        fill(root / "train" / "a", 2, [0, 1])
    if layout == "unseen":
        fill(root / "test" / "b", 2, [0, 1])
    if layout == "mixed":
        fill(root, 2, [0, 1])
        fill(root / "a", 2, [0, 1])
    with pytest.raises(DataError, match=message) as caught:
        check_data(spec(root))
    assert str(root) in caught.value.message
    assert caught.value.remedy


def test_what_may_be_no_label_is_said(tmp_path):
    fill(tmp_path / "many", 2, list(range(51)), points=400)
    assert "object has 51 different ones; else say" in " ".join(load(tmp_path / "many").notices)
    for index in range(4):
        fill(tmp_path / "instances" / f"{index}", 1, [0, 10 * index + 1, 10 * index + 2])
        (tmp_path / "instances" / f"{index}" / "000.ply").rename(tmp_path / "instances" / f"{index}.ply")
        (tmp_path / "instances" / f"{index}").rmdir()
    assert "object has 8 of 9 in one cloud only" in " ".join(load(tmp_path / "instances").notices)
    fill(tmp_path / "fine", 4, [0, 1, 2])
    assert "may be no label" not in " ".join(load(tmp_path / "fine").notices)


def test_negative_labels_and_las_classes_of_nothing_are_said(root):
    assert f"{root}: negative labels (-1) are counted as parts of their own" in load(root).notices
    found = [[CloudLabels(np.array([0, 5]), is_las=True), CloudLabels(np.array([1, 5]), is_las=False)]]
    assert odd_labels("scans", ["roof"], found) == [
        "scans: the LAS class 0 (never classified) is counted as a part of its own (in 1 of 2 clouds)"
    ]


def test_what_can_be_seen_cheaply_is_refused_before_all_is_read(tmp_path):
    fill(tmp_path / "few" / "a", 1, [0, 1])
    fill(tmp_path / "few" / "b", 1, [0, 1])
    with pytest.raises(DataError, match="nothing is left to test on"):
        check_data(spec(tmp_path / "few"))
    fill(tmp_path / "bare" / "a", 2, [0, 1])
    (tmp_path / "bare" / "b").mkdir()
    write_ply(tmp_path / "bare" / "b" / "x.ply", layered(30, [0], 1)[0])
    with pytest.raises(DataError, match=r"cloud of category b: .*x\.ply: no property with labels"):
        check_data(spec(tmp_path / "bare"))
    fill(tmp_path / "bare" / "b", 1, [0, 1])
    (tmp_path / "bare" / "b" / "000.ply").rename(tmp_path / "bare" / "b" / "y.ply")
    check_data(spec(tmp_path / "bare"))  # the other one is left out when all is read


def test_too_many_parts_are_remedied_by_their_cause(tmp_path):
    fill(tmp_path / "instances" / "a", 1, list(range(300)), points=900)
    fill(tmp_path / "instances" / "b", 2, [0, 1])
    with pytest.raises(DataError) as caught:
        load(tmp_path / "instances")
    assert "data.label" in caught.value.remedy
    for index in range(16):
        fill(tmp_path / "categories" / f"{index}", 2, list(range(17)), points=100)
    with pytest.raises(DataError, match="takes 2 to 255 parts") as caught:
        load(tmp_path / "categories")
    assert "fewer categories" in caught.value.remedy


def test_evaluating_on_clouds_of_no_category_explains_the_layout(root, tmp_path):
    data = load(root)
    vocabulary = PartVocabulary.of_names(data.categories, data.parts, data.part_names)
    fill(tmp_path / "flat", 2, [7, 40])
    with pytest.raises(DataError, match="lie in no folder of a category") as caught:
        load_labelled_clouds(spec(tmp_path / "flat"), vocabulary)
    assert "bed, chair" in caught.value.remedy
    alone = load(tmp_path / "flat")
    vocabulary = PartVocabulary.of_names(alone.categories, alone.parts, alone.part_names)
    with pytest.raises(DataError, match="does not know: bed, chair") as caught:
        load_labelled_clouds(spec(root), vocabulary)
    assert "without folders of categories" in caught.value.remedy


def test_too_few_and_too_many_parts_are_refused(tmp_path):
    fill(tmp_path / "one" / "a", 3, [0])
    with pytest.raises(DataError, match=r"carry 1 different labels .* takes 2 to 255 parts"):
        load(tmp_path / "one")
    fill(tmp_path / "many" / "a", 2, list(range(200)), points=400)
    fill(tmp_path / "many" / "b", 2, list(range(56)), points=400)
    with pytest.raises(DataError, match=r"carry 256 different labels in all \(by category: a 200, b 56\)"):
        load(tmp_path / "many")
    fill(tmp_path / "most" / "a", 2, list(range(255)), points=800)
    assert len(load(tmp_path / "most").part_names) == 255


def test_nothing_to_train_on_or_to_test_on_is_refused(root, tmp_path):
    (root / "lamp").mkdir()
    (root / "lamp" / "broken.ply").write_text("ply\n")
    with pytest.raises(DataError, match="no readable training cloud of category lamp"):
        load(root)
    fill(tmp_path / "few" / "a", 1, [0, 1])
    with pytest.raises(DataError, match="nothing is left to test on"):
        load(tmp_path / "few")


def test_evaluating_on_a_folder_numbers_parts_as_the_model_does(root, tmp_path):
    data = load(root)
    vocabulary = PartVocabulary.of_names(data.categories, data.parts, data.part_names)
    assert vocabulary.parts == data.parts
    assert vocabulary.names == data.part_names
    fill(tmp_path / "more" / "chair", 1, [40])
    clouds, notices = load_labelled_clouds(spec(tmp_path / "more"), vocabulary)
    assert clouds.category.tolist() == [1]
    assert set(clouds.parts) == {4}
    assert notices == ()
    fill(tmp_path / "more" / "chair", 1, [40, 41])
    with pytest.raises(DataError, match="labels that the model does not know: chair/41"):
        load_labelled_clouds(spec(tmp_path / "more"), vocabulary)
    fill(tmp_path / "more" / "lamp", 1, [1])
    with pytest.raises(DataError, match="categories that the model does not know: lamp"):
        load_labelled_clouds(spec(tmp_path / "more"), vocabulary)


@pytest.mark.parametrize("name", ["chair", "chair/", "chair/x", "/7", "chair/7.0", "chair/2147483648", "7"])
def test_another_name_is_no_part(name):
    with pytest.raises(DataError, match="is not named <category>/<label>"):
        label_of_part(name)
