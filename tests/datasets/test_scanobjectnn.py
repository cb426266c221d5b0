"""ScanObjectNN, read from files in the published layout, and trained on from an official checkpoint."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from command_line import TINY_SIZES, TINY_TRAINING, call, metrics_rows, only_run, sets

from pointlora_cli.datasets.build import class_names, load_data
from pointlora_cli.errors import DataError
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.data import ScanObjectNNData

NAMES = {
    "obj-bg": ("main_split", "objectdataset"),
    "obj-only": ("main_split_nobg", "objectdataset"),
    "pb-t50-rs": ("main_split", "objectdataset_augmentedrot_scale75"),
}


def write(path, count=15, *, labels=None, seed=0, points=2048):
    """Write a file as published: data (n, 2048, 3) float32, label (n,) int32, and a mask that nobody reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.RandomState(seed).standard_normal((count, points, 3)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["data"] = data
        file["label"] = np.arange(count, dtype=np.int32) % 15 if labels is None else labels
        file["mask"] = np.zeros((count, points), dtype=np.int32)
    return data


def both(root, variant="pb-t50-rs"):
    folder, name = NAMES[variant]
    return root / folder / f"training_{name}.h5", root / folder / f"test_{name}.h5"


def load(root, **options):
    return load_data(ScanObjectNNData(root=str(root), **options))


@pytest.fixture
def published(tmp_path):
    """The files of the hardest variant; 30 training and 15 test clouds."""
    train, test = both(tmp_path / "data")
    write(train, 30)
    write(test, 15, seed=1)
    return tmp_path / "data"


@pytest.mark.parametrize("variant", NAMES)
def test_each_variant_has_its_own_files(tmp_path, variant):
    train, test = both(tmp_path, variant)
    stored = write(train, 4), write(test, 3, seed=1)
    data = load(tmp_path, variant=variant)
    np.testing.assert_array_equal(data.train.points, stored[0])
    np.testing.assert_array_equal(data.test.points, stored[1])
    assert data.train.labels.tolist() == [0, 1, 2, 3]
    assert data.train.labels.dtype == np.int64


def test_classes_are_the_published_fifteen():
    names = class_names(ScanObjectNNData())
    assert (len(names), names[0], names[-1]) == (15, "bag", "toilet")


def test_near_origin_points_are_replaced_as_the_official_sampler_leaves_them(published):
    with h5py.File(both(published)[1], "r+") as file:
        points = file["data"][:]
        points[:, 5::11] *= 1e-3
        points[1, 0] = 0  # the first point is always drawn
        points[2] *= 1e-3  # no point is far enough
        file["data"][...] = points
    ours = load(published, replace_near_origin=True).test.points
    stored = torch.from_numpy(load(published).test.points)
    theirs = gather(stored, farthest_point_sampling(stored, 2048, skip_near_origin=True))
    for mine, official in zip(ours.tolist(), theirs.tolist(), strict=True):
        assert sorted(mine) == sorted(official)
    assert not np.array_equal(ours, stored.numpy())


def test_fewer_points_are_the_farthest_of_the_stored_for_tests_and_drawn_in_training(published):
    whole, data = load(published), load(published, points=100)
    full, thinned = whole.test.points, data.test.points
    np.testing.assert_array_equal(data.train.points, whole.train.points)
    assert thinned.shape == (15, 100, 3)
    np.testing.assert_array_equal(thinned[:, 0], full[:, 0])
    for stored, kept in zip(full, thinned, strict=True):
        assert len({tuple(point) for point in kept} & {tuple(point) for point in stored}) == 100


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 1)])
def test_missing_files_are_named_with_the_way_to_get_them(published, missing):
    paths = both(published)
    for index in missing:
        paths[index].unlink()
    with pytest.raises(DataError) as caught:
        load(published)
    assert [str(path) in caught.value.message for path in paths] == [index in missing for index in (0, 1)]
    assert "https://hkust-vgd.github.io/scanobjectnn/" in str(caught.value.remedy)
    assert "data.root" in str(caught.value.remedy)


def refused(root, pattern):
    with pytest.raises(DataError, match=pattern) as caught:
        load(root)
    assert str(both(root)[0]) in caught.value.message


def test_a_small_file_that_claims_a_huge_array_is_refused(published):
    with h5py.File(both(published)[0], "r+") as file:
        del file["data"]
        file.create_dataset("data", shape=(10**7, 2048, 3), dtype="f4", chunks=(1, 2048, 3))  # nothing stored
    refused(published, "far too large")


def test_labels_out_of_range_are_refused(published):
    for labels in ([-1, 0], [0, 15]):
        write(both(published)[0], 2, labels=np.array(labels))
        refused(published, "labels must be 0 to 14")


def test_labels_of_another_kind_or_number_are_refused(published):
    for labels in (np.zeros(3, dtype=np.int32), np.zeros(2), np.zeros((2, 1), dtype=np.int32)):
        write(both(published)[0], 2, labels=labels)
        refused(published, "'label' is")


def test_clouds_of_another_shape_are_refused(published):
    write(both(published)[0], 2, points=1024)
    refused(published, r"'data' is float32 \(2, 1024, 3\), expected floats \(n, 2048, 3\)")


def test_no_cloud_at_all_is_refused(published):
    write(both(published)[0], 0)
    refused(published, "at least one cloud")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_in_float32_are_refused(published, value):
    path = both(published)[0]
    data = write(path, 2).astype(np.float64)
    data[1, 2, 0] = value
    with h5py.File(path, "r+") as file:
        del file["data"]
        file["data"] = data
    refused(published, "NaN, infinite or too large")


@pytest.mark.parametrize("damage", ["text", "truncated", "no label", "unknown numbers"])
def test_damaged_file_is_refused(published, damage):
    path = both(published)[0]
    if damage == "text":
        path.write_text("<html>please log in</html>")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "unknown numbers":
        content = path.read_bytes()
        numbers = bytes([23, 8, 0, 23, 127, 0, 0, 0])  # float32's fields and bias, as HDF5 describes them
        assert numbers in content
        path.write_bytes(content.replace(numbers, numbers[:-1] + b"\xff"))
    else:
        with h5py.File(path, "r+") as file:
            del file["label"]
    refused(published, "not a ScanObjectNN file")


def test_preset_trains_an_epoch_from_an_official_checkpoint(published, checkpoint, tmp_path):
    changes = sets(
        f"data.root={published}",
        f"backbone.weights={checkpoint}",
        *TINY_SIZES,
        *TINY_TRAINING,
        "method.scales=[{centers: 8, neighbors: 8, keep: 4}, {centers: 4, neighbors: 16, keep: 2}]",
    )
    outcome = call("finetune", "--preset", "scanobjectnn", *changes, "-o", tmp_path / "runs")
    assert outcome.code == 0, outcome.err
    assert "best epoch on the test set" in outcome.out
    assert "toilet" in outcome.out
    run_directory = only_run(tmp_path / "runs")
    (row,) = metrics_rows(run_directory)
    again = call("evaluate", run_directory, "--json").document
    assert again["accuracy"] == row["accuracy"]
    assert again["clouds"] == 15
    one = tmp_path / "one.npy"
    np.save(one, np.random.RandomState(0).standard_normal((500, 3)))
    assert call("predict", one, "-a", run_directory).code == 0
    record = (run_directory / "adapter" / "adapter.json").read_text()
    assert '"layout": "pre-training"' in record
