"""`pointlora evaluate`: which model, which clouds, and that the numbers are those of the run."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
from command_line import call, metrics_rows

from pointlora_cli.datasets.shapes.generator import SHAPE_CLASSES, ShapeOptions, generate_shapes


@pytest.fixture(scope="module")
def shapes_folder(tmp_path_factory):
    """Two clouds of each of the built-in classes: root/<class>/<file>."""
    root = tmp_path_factory.mktemp("shapes")
    points, labels = generate_shapes(2, 5, "test", ShapeOptions(points=100))
    for index, (cloud, label) in enumerate(zip(points, labels, strict=True)):
        folder = root / SHAPE_CLASSES[label]
        folder.mkdir(exist_ok=True)
        np.savetxt(folder / f"{index}.xyz", cloud)
    return root


def test_numbers_are_those_of_the_run(trained_run):
    document = call("evaluate", trained_run, "--json").document
    last = metrics_rows(trained_run)[-1]
    assert document["accuracy"] == last["accuracy"]
    assert document["loss"] == last["evaluation_loss"]
    assert document["mean_class_accuracy"] == last["mean_class_accuracy"]
    assert document["kept_epoch"] == last["epoch"]
    confusion = np.array(document["confusion"])
    assert confusion.trace() / confusion.sum() == document["accuracy"]
    assert [row["clouds"] for row in document["classes"]] == confusion.sum(axis=1).tolist()


@pytest.mark.parametrize("inside", ["", "adapter", "adapter/adapter.safetensors", "adapter/adapter.json"])
def test_run_directory_adapter_folder_and_file_are_the_same(trained_run, inside):
    expected = call("evaluate", trained_run, "--json").document
    assert call("evaluate", trained_run / inside, "--json").document == expected


def test_a_file_that_is_no_adapter_is_not_replaced_by_its_neighbour(trained_run):
    outcome = call("evaluate", trained_run / "adapter" / "other.safetensors")
    assert outcome.code == 3
    outcome = call("evaluate", trained_run / "spec.yaml")
    assert (outcome.code, outcome.out) == (3, "")
    assert "spec.yaml: holds no adapter" in outcome.err


def test_newest_run_is_the_default(elsewhere, trained_run):
    for index, name in enumerate(["z-old", "a-new", "m-old"]):
        shutil.copytree(trained_run, elsewhere / "runs" / name)
        for file in (elsewhere / "runs" / name / "adapter").iterdir():
            os.utime(file, (1000 + (index == 1) * 500, 1000 + (index == 1) * 500))
    (elsewhere / "runs" / "newer-without-adapter").mkdir()
    outcome = call("evaluate")
    assert outcome.code == 0
    assert "evaluating the newest run, runs/a-new/adapter" in outcome.err
    assert call("evaluate", "--runs", "runs", "--json").document["adapter"] == "runs/a-new/adapter"


def test_table_says_what_was_evaluated(trained_run):
    out = call("evaluate", trained_run).out
    assert re.search(r"accuracy +\d+\.\d\d % of 20 clouds", out)
    assert "shapes test set" in out
    assert "epoch kept" in out
    assert "the last epoch" in out
    for name in SHAPE_CLASSES:
        assert out.count(f" {name} ") == 2  # by class, and in the confusion matrix


def test_folder_without_test_part_is_evaluated_whole(trained_run, shapes_folder):
    document = call("evaluate", trained_run, "--data", shapes_folder, "--json").document
    assert document["clouds"] == 20
    assert document["data"] == str(shapes_folder)


def test_folder_with_test_part_is_evaluated_on_it(trained_run, shapes_folder, tmp_path):
    shutil.copytree(shapes_folder / "mug", tmp_path / "test" / "mug")
    shutil.copytree(shapes_folder / "bed", tmp_path / "train" / "bed")
    document = call("evaluate", trained_run, "--data", tmp_path, "--json").document
    assert document["clouds"] == 2
    assert {row["name"]: row["clouds"] for row in document["classes"] if row["clouds"]} == {"mug": 2}
    assert [row["accuracy"] for row in document["classes"] if not row["clouds"]] == [None] * 9
    assert np.array(document["confusion"]).sum() == 2


def test_class_that_the_model_does_not_know_is_refused(trained_run, shapes_folder, tmp_path):
    shutil.copytree(shapes_folder / "mug", tmp_path / "spoon")
    outcome = call("evaluate", trained_run, "--data", tmp_path)
    assert (outcome.code, outcome.out) == (3, "")
    assert "does not know: spoon" in outcome.err
    assert "airplane" in outcome.err


@pytest.mark.parametrize("content", ["nothing", "a file at the root", "an unreadable cloud"])
def test_folder_with_nothing_to_evaluate_is_refused(trained_run, tmp_path, content):
    if content == "a file at the root":
        (tmp_path / "mug.xyz").write_text("0 0 0\n1 1 1\n")
    if content == "an unreadable cloud":
        (tmp_path / "mug").mkdir()
        (tmp_path / "mug" / "1.ply").write_text("ply\n")
    outcome = call("evaluate", trained_run, "--data", tmp_path)
    assert (outcome.code, outcome.out) == (3, "")
    assert str(tmp_path) in outcome.err


def test_unreadable_cloud_is_left_out_with_a_note(trained_run, shapes_folder, tmp_path):
    shutil.copytree(shapes_folder / "mug", tmp_path / "mug")
    (tmp_path / "mug" / "broken.ply").write_text("ply\n")
    outcome = call("evaluate", trained_run, "--data", tmp_path, "--json")
    assert outcome.document["clouds"] == 2
    assert "left out" in outcome.err
    assert "broken.ply" in outcome.err


def test_votes_are_averaged_with_fixed_seeds(trained_run, shapes_folder):
    plain = call("evaluate", trained_run, "--json").document
    document = call("evaluate", trained_run, "--vote", "3", "--json").document
    assert (document["votes"], document["vote_seed"], plain["votes"]) == (3, 0, None)
    assert document["clouds"] == plain["clouds"]
    assert call("evaluate", trained_run, "--vote", "3", "--vote-seed", "0", "--json").document == document
    other = call("evaluate", trained_run, "--vote", "3", "--vote-seed", "1", "--json").document
    assert len({plain["loss"], document["loss"], other["loss"]}) == 3
    assert "3 votes" in call("evaluate", trained_run, "--vote", "3").out
    assert call("evaluate", trained_run, "--vote", "2", "--data", shapes_folder).code == 0


@pytest.mark.parametrize("arguments", [["--vote", "1"], ["--vote-seed", "3"]])
def test_a_vote_of_one_and_a_seed_of_no_vote_are_refused(trained_run, arguments):
    outcome = call("evaluate", trained_run, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "--vote" in outcome.err
