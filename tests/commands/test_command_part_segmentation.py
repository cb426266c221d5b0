"""Part segmentation through the command line: ShapeNetPart's tree, a folder of one's own, and wrong files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import SCALES, TINY_BACKBONE, call, metrics_rows, only_run, sets
from safetensors.torch import load_file
from shapenetpart_files import PARTS, TREE, list_file, shape_file, slabs, write_tree

SHAPES = {
    "train": ("Mug", "Airplane", "Table") * 3,
    "val": ("Table", "Mug", "Airplane"),
    "test": ("Table", "Airplane", "Mug", "Mug"),
}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """One cache for all tests of this file: the tree is converted once."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POINTLORA_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def cache_home(home, monkeypatch):
    """That cache, and not an empty one for each test."""
    monkeypatch.setenv("POINTLORA_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folder above a small tree."""
    folder = tmp_path_factory.mktemp("data")
    write_tree(folder, SHAPES, make=slabs)
    return folder


def options(root, *changes):
    return [
        "--preset",
        "shapenetpart",
        *sets(
            f"data.root={root}",
            "data.points=32",
            "backbone.init=random",
            *TINY_BACKBONE,
            SCALES,
            "optimizer.lr=0.002",
            "schedule.warmup_epochs=0",
            "train.epochs=3",
            "train.batch_size=6",
            "train.device=cpu",
            *changes,
        ),
    ]


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """A run, and what the command said of it."""
    folder = tmp_path_factory.mktemp("runs")
    outcome = call("finetune", *options(root), "-o", folder, "--json")
    assert outcome.code == 0, outcome.err
    return only_run(folder), outcome


def test_a_run_is_told_as_a_document(trained):
    run, outcome = trained
    document = outcome.document
    assert (document["task"], document["method"]) == ("part-segmentation", "pointlora")
    test = document["test"]
    assert (test["clouds"], len(test["categories"])) == (4, 16)
    mug = next(category for category in test["categories"] if category["name"] == "Mug")
    assert (mug["parts"], mug["clouds"]) == (2, 2)
    assert 0 < mug["miou"] <= 1
    seen = [category for category in test["categories"] if category["clouds"]]
    assert all(category["miou"] is None for category in test["categories"] if category not in seen)
    assert test["class_miou"] == pytest.approx(np.mean([category["miou"] for category in seen]))
    assert test["instance_miou"] == pytest.approx(
        sum(category["miou"] * category["clouds"] for category in seen) / 4
    )
    assert 0 < test["point_accuracy"] < 1
    assert document["kept_epoch"] == 1 + int(np.argmax([row["instance_miou"] for row in metrics_rows(run)]))


def test_each_epoch_leaves_its_figures_and_the_loss_falls(trained):
    rows = metrics_rows(trained[0])
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    for row in rows:
        assert {
            "instance_miou",
            "class_miou",
            "point_accuracy",
            "evaluation_loss",
            "train_accuracy",
        } < row.keys()


def test_the_adapter_names_parts_and_categories(trained):
    record = json.loads((trained[0] / "adapter" / "adapter.json").read_text())
    assert record["task"] == "part-segmentation"
    assert len(record["classes"]) == 50
    assert record["classes"][36:38] == ["Mug/36", "Mug/37"]
    assert record["categories"][11] == {"name": "Mug", "first": 36, "parts": 2}


def test_evaluating_it_gives_the_same_figures(trained):
    run, outcome = trained
    again = call("evaluate", run, "--json")
    assert again.code == 0, again.err
    test = outcome.document["test"]
    assert {key: again.document[key] for key in test} == test
    assert (again.document["task"], again.document["data"]) == ("part-segmentation", "shapenetpart test set")


def test_tables_are_by_category(trained):
    outcome = call("evaluate", trained[0])
    assert outcome.code == 0
    assert "By category" in outcome.out
    assert "Confusion" not in outcome.out
    for words in ("instance mIoU", "class mIoU", "point accuracy", "the field's habit"):
        assert words in outcome.out
    assert next(line for line in outcome.out.splitlines() if "Bag" in line).split() == ["Bag", "2", "0", "–"]


def test_the_same_run_again_is_the_same(trained, tmp_path):
    outcome = call("finetune", "--spec", trained[0] / "spec.yaml", "-o", tmp_path)
    assert outcome.code == 0, outcome.err
    again = only_run(tmp_path)
    assert (again / "metrics.jsonl").read_bytes() == (trained[0] / "metrics.jsonl").read_bytes()
    first, second = (load_file(run / "adapter" / "adapter.safetensors") for run in (trained[0], again))
    assert first.keys() == second.keys()
    assert all(first[name].equal(second[name]) for name in first)
    assert "test instance mIoU" in outcome.out
    assert "--category NAME" in outcome.out


def test_best_val_holds_out_training_clouds_of_each_category(root, tmp_path):
    changes = ("train.selection=best-val", "train.val_fraction=0.25", "train.epochs=1")
    outcome = call("finetune", *options(root, *changes), "-o", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    (row,) = metrics_rows(only_run(tmp_path))
    assert row["evaluated"] == "validation"
    assert outcome.document["test"]["clouds"] == 4
    rehearsal = call("finetune", *options(root, *changes), "--dry-run", "--json").document
    assert (rehearsal["train_clouds"], rehearsal["evaluated_clouds"]) == (9, 3)


def test_a_dry_run_writes_nothing(root, tmp_path):
    outcome = call("finetune", *options(root), "-o", tmp_path, "--dry-run", "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert (document["train_clouds"], document["evaluated_clouds"], document["steps_per_epoch"]) == (12, 4, 2)
    assert len(document["classes"]) == 50
    assert list(tmp_path.iterdir()) == []
    assert "50 parts" in call("finetune", *options(root), "--dry-run").out


def test_a_model_is_evaluated_on_a_folder_whose_labels_it_knows(trained, tmp_path):
    for place in range(2):
        folder = tmp_path / "Mug"
        folder.mkdir(exist_ok=True)
        np.savetxt(folder / f"{place}.txt", slabs(60, PARTS["Mug"], place))
    outcome = call("evaluate", trained[0], "--data", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    mug = outcome.document["categories"][11]
    assert (mug["name"], mug["clouds"], outcome.document["clouds"]) == ("Mug", 2, 2)
    np.savetxt(tmp_path / "Mug" / "other.txt", slabs(60, (0, 2), 5))
    outcome = call("evaluate", trained[0], "--data", tmp_path)
    assert outcome.code == 3
    assert "Mug/0" in outcome.err


def test_a_folder_of_one_s_own_trains(tmp_path):
    for place in range(6):
        (tmp_path / "chairs").mkdir(exist_ok=True)
        np.savetxt(tmp_path / "chairs" / f"{place}.txt", slabs(50, (7, 9), place))
    changes = (
        "data.source=segmentation-folder",
        "data.test_fraction=0.34",
        "train.batch_size=4",
        "train.epochs=1",
    )
    outcome = call("finetune", *options(tmp_path / "chairs", *changes), "-o", tmp_path / "runs", "--json")
    assert outcome.code == 0, outcome.err
    assert [category["name"] for category in outcome.document["test"]["categories"]] == ["object"]
    run = only_run(tmp_path / "runs")
    again = call("evaluate", run, "--data", tmp_path / "chairs", "--json")
    assert again.document["clouds"] == 6
    assert "clouds it has seen may be among these" in again.err
    assert (
        call("evaluate", run, "--json").document["instance_miou"] == outcome.document["test"]["instance_miou"]
    )


class TestRefusals:
    def test_voting_is_for_classification(self, trained):
        outcome = call("evaluate", trained[0], "--vote", "3")
        assert outcome.code == 2
        assert "--vote is for classification" in outcome.err

    def test_what_is_not_downloaded_is_named_with_the_command(self, tmp_path):
        outcome = call("finetune", "--preset", "shapenetpart", "-o", tmp_path)
        assert outcome.code == 3
        assert "pointlora download shapenetpart" in outcome.err
        assert "pointlora download point-mae" in outcome.err

    def test_a_task_that_does_not_belong_to_the_data(self, root):
        outcome = call("finetune", *options(root, "task=classification"))
        assert outcome.code == 2
        assert "part-segmentation" in outcome.err

    def test_a_damaged_shape_is_named(self, tmp_path):
        write_tree(tmp_path, SHAPES)
        shape_file(tmp_path / TREE, "Mug", "train0000").write_text("0 0 0 0 0 1 36\n0 0 zero 0 0 1 36\n")
        outcome = call("finetune", *options(tmp_path), "-o", tmp_path / "runs")
        assert outcome.code == 3
        assert "train0000.txt" in outcome.err
        assert not (tmp_path / "runs").exists()

    def test_a_test_set_that_is_gone_is_named(self, trained, root):
        listed = list_file(root / TREE, "test")
        kept = listed.read_text()
        listed.unlink()
        outcome = call("evaluate", trained[0])
        listed.write_text(kept)
        assert outcome.code == 3
        assert listed.name in outcome.err
