"""`pointlora predict` with a model of part segmentation: every point of a file gets its label."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from command_line import TINY_BACKBONE, TINY_TRAINING, call, only_run, sets
from labelled_folder import fill, layered

from pointlora_cli.clouds.labelled import read_labelled
from pointlora_cli.clouds.reading import read
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.datasets.resampling import draw_in_frame
from pointlora_cli.services import predict_parts
from pointlora_cli.services.trained_model import load_trained_model


def train(root, runs, *changes):
    """A run of a tiny segmenter on a folder."""
    data = json.dumps({"source": "segmentation-folder", "root": str(root), "points": 64})
    options = (
        *TINY_BACKBONE,
        *TINY_TRAINING,
        "method.name=full",
        "optimizer.lr=0.01",
        "augmentation.rotate=none",
        *changes,
    )
    outcome = call(
        "finetune",
        "--preset",
        "quickstart",
        *sets("task=part-segmentation", f"data={data}", *options),
        "-o",
        runs,
    )
    assert outcome.code == 0, outcome.err
    return only_run(runs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model of two categories: chairs of the labels 7 and 40 by height, and beds of three."""
    folder = tmp_path_factory.mktemp("parts")
    fill(folder / "clouds" / "Chair", 6, [7, 40])
    fill(folder / "clouds" / "Bed", 4, [7, -1, 3])
    return train(folder / "clouds", folder / "runs", "train.epochs=5", "train.batch_size=4")


@pytest.fixture(scope="module")
def run_of_one(tmp_path_factory):
    """A model of one category."""
    folder = tmp_path_factory.mktemp("part")
    fill(folder / "clouds", 3, [1, 2])
    return train(folder / "clouds", folder / "runs")


def a_cloud(path, count=300, shift=0.0):
    points = layered(count, [7, 40], seed=11)[0].astype(np.float64) + shift
    write_ply(path, points if shift else points.astype(np.float32))
    return path


def test_every_point_gets_the_label_that_it_was_trained_with(run, tmp_path):
    cloud = a_cloud(tmp_path / "my chair.ply", count=1500)
    outcome = call("predict", cloud, "-a", run, "--category", "Chair", "-o", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    (prediction,) = outcome.document["predictions"]
    assert prediction["written"] == str(tmp_path / "out" / "my chair.ply")
    assert prediction["category"] == "Chair"
    assert prediction["points"] == 1500
    written, labels = read_labelled(prediction["written"])
    np.testing.assert_array_equal(written.points, read(cloud).points)
    truth = layered(1500, [7, 40], seed=11)[1]
    assert (labels == truth).mean() > 0.65  # after a few steps; by chance it would be 0.5
    counts = {part["label"]: part["points"] for part in prediction["parts"]}
    assert counts == {label: int((labels == label).sum()) for label in (7, 40)}
    assert [part["name"] for part in prediction["parts"]] == ["Chair/7", "Chair/40"]


def test_labels_are_the_models_own_at_each_point(run, tmp_path, monkeypatch):
    """However the points are cut into pieces: the frame is that of the cloud which the model sees."""
    monkeypatch.setitem(predict_parts._CHUNK, "cpu", 128)
    path = a_cloud(tmp_path / "a.ply", count=500)
    assert call("predict", path, "-a", run, "-c", "Bed", "-o", tmp_path / "out").code == 0
    trained = load_trained_model(run / "adapter")
    cloud = read(path)
    points, frame = draw_in_frame(cloud, 64, "unit-sphere")
    place = [category.name for category in trained.record.categories].index("Bed")
    category = trained.record.categories[place]
    with torch.inference_mode():
        logits = trained.segmenter(
            torch.from_numpy(points)[None],
            torch.tensor([place]),
            at=torch.from_numpy(frame.place(cloud.points))[None],
        ).logits[0, :, category.first : category.first + category.parts]
    expected = np.array([-1, 3, 7])[logits.argmax(dim=1).numpy()]
    np.testing.assert_array_equal(read_labelled(tmp_path / "out" / "a.ply")[1], expected)


def test_each_part_has_its_color(run, tmp_path):
    outcome = call("predict", a_cloud(tmp_path / "a.ply"), "-a", run, "-c", "Chair", "-o", tmp_path, "--json")
    parts = outcome.document["predictions"][0]["parts"]
    content = (tmp_path / "a-2.ply").read_bytes()
    header, _, body = content.partition(b"end_header\n")
    assert b"property uchar red" in header
    rows = np.frombuffer(body, [("xyz", "<f4", 3), ("color", "u1", 3), ("label", "<i4")])
    colors = {int(row["label"]): "#" + row["color"].tobytes().hex() for row in rows}
    assert colors == {part["label"]: part["color"] for part in parts if part["points"]}


def test_coordinates_are_the_files_own_far_from_the_origin_too(run, tmp_path):
    for name, shift in (("near.ply", 0.0), ("far.ply", 4_500_000.0)):
        a_cloud(tmp_path / name, shift=shift)
    clouds = (tmp_path / "near.ply", tmp_path / "far.ply")
    assert call("predict", *clouds, "-a", run, "-c", "Chair", "-o", tmp_path / "out").code == 0
    near, near_labels = read_labelled(tmp_path / "out" / "near.ply")
    far, far_labels = read_labelled(tmp_path / "out" / "far.ply")
    np.testing.assert_allclose(far.points + far.offset - 4_500_000, near.points, atol=1e-6)
    assert b"property double x" in (tmp_path / "out" / "far.ply").read_bytes()[:200]
    assert (near_labels == far_labels).mean() > 0.98  # the file's rounding may move a point over a border


def test_only_category_is_implied_and_parts_is_the_folder(run_of_one, elsewhere):
    a_cloud(elsewhere / "a.ply")
    outcome = call("predict", "a.ply", "-a", run_of_one)
    assert outcome.code == 0, outcome.err
    assert (elsewhere / "parts" / "a.ply").is_file()
    for word in ("a.ply", "object", "300", "%", "object/1", "#e69f00"):
        assert word in outcome.out
    assert call("predict", "a.ply", "-a", run_of_one).code == 0
    assert sorted(path.name for path in (elsewhere / "parts").iterdir()) == ["a-2.ply", "a.ply"]


def test_a_folder_is_searched_without_the_results_in_it(run_of_one, elsewhere):
    a_cloud(elsewhere / "a.ply")
    assert call("predict", ".", "-a", run_of_one).code == 0
    assert call("predict", ".", "-a", run_of_one).code == 0
    assert sorted(path.name for path in (elsewhere / "parts").iterdir()) == ["a-2.ply", "a.ply"]
    (elsewhere / "own").mkdir()
    np.savetxt(elsewhere / "own" / "b.xyz", layered(80, [1, 2], 3)[0])
    for _ in range(2):
        assert call("predict", "own", "-a", run_of_one, "-o", "own").code == 0
    assert sorted(path.name for path in (elsewhere / "own").iterdir()) == ["b-2.ply", "b.ply", "b.xyz"]
    again = call("predict", "parts/a.ply", "-a", run_of_one, "-o", "parts")
    assert again.code == 0, again.err  # named itself


def test_category_must_be_named_where_there_are_several(run, elsewhere):
    a_cloud(elsewhere / "a.ply")
    outcome = call("predict", "a.ply", "-a", run)
    assert outcome.code == 2
    assert "one of: Bed, Chair" in outcome.err
    outcome = call("predict", "a.ply", "-a", run, "-c", "cahir")
    assert outcome.code == 2
    assert "no category 'cahir'" in outcome.err
    assert "Did you mean 'Chair'?" in outcome.err
    assert not (elsewhere / "parts").exists()
    assert call("predict", "a.ply", "-a", run, "-c", "chair").code == 0


@pytest.mark.parametrize("option", [("--top", "2"), ("--selection", "views")])
def test_options_of_classification_are_refused(run, elsewhere, option):
    a_cloud(elsewhere / "a.ply")
    outcome = call("predict", "a.ply", "-a", run, "-c", "Chair", *option)
    assert outcome.code == 2
    assert f"is part-segmentation, for which there is no {option[0]}" in outcome.err
    assert [path.name for path in elsewhere.iterdir()] == ["a.ply"]


@pytest.mark.parametrize("option", [("--category", "Chair"), ("--output", "out"), ("--exact",)])
def test_options_of_part_segmentation_are_refused(trained_run, elsewhere, option):
    a_cloud(elsewhere / "a.ply")
    outcome = call("predict", "a.ply", "-a", trained_run, *option)
    assert outcome.code == 2
    assert f"is classification, for which there is no {option[0]}" in outcome.err
    assert [path.name for path in elsewhere.iterdir()] == ["a.ply"]


def test_mesh_is_written_as_the_points_drawn_from_it(run_of_one, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_parts, "MOST_PLACES", 500)
    (tmp_path / "t.off").write_text("OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n")
    outcome = call("predict", tmp_path / "t.off", "-a", run_of_one, "-o", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    written, labels = read_labelled(tmp_path / "t.ply")
    assert len(labels) == outcome.document["predictions"][0]["points"] == 16384
    np.testing.assert_array_equal(written.points, read(tmp_path / "t.off").points)


def test_a_very_large_cloud_is_labelled_by_its_cells(run_of_one, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_parts, "MOST_PLACES", 1000)
    cloud = a_cloud(tmp_path / "a.ply", count=3000)
    for folder, options in (("cells", ()), ("exact", ("--exact",))):
        outcome = call("predict", cloud, "-a", run_of_one, "-o", tmp_path / folder, "--json", *options)
        notices = outcome.document["predictions"][0]["notices"]
        assert any("labelled 3,000 points by" in notice for notice in notices) == (folder == "cells")
    cells, exact = (read_labelled(tmp_path / folder / "a.ply") for folder in ("cells", "exact"))
    np.testing.assert_array_equal(cells[0].points, exact[0].points)
    assert (cells[1] == exact[1]).mean() > 0.9
    assert len(cells[1]) == 3000


def test_repaired_and_broken_files_are_told_and_the_rest_goes_on(run_of_one, tmp_path):
    (tmp_path / "a.xyz").write_text("0 0 0\n1 0 1\nnan 1 1\n0 1 2\n")
    (tmp_path / "b.ply").write_text("ply\n")
    outcome = call(
        "predict", tmp_path / "a.xyz", tmp_path / "b.ply", "-a", run_of_one, "-o", tmp_path / "out"
    )
    assert outcome.code == 3
    assert "dropped 1 of 4 points" in outcome.err
    assert "repeated from 3 to the model's 64 points" in outcome.err
    assert "left out" in outcome.err
    assert len(read_labelled(tmp_path / "out" / "a.ply")[1]) == 3
    alone = call("predict", tmp_path / "b.ply", "-a", run_of_one, "-o", tmp_path / "out", "--json")
    assert alone.code == 3
    assert "b.ply" in alone.document["error"]["message"]


def test_a_folder_that_cannot_be_written_is_said(run_of_one, tmp_path):
    (tmp_path / "file").write_text("no folder")
    outcome = call("predict", a_cloud(tmp_path / "a.ply"), "-a", run_of_one, "-o", tmp_path / "file")
    assert outcome.code == 2
    assert "cannot be made" in outcome.err
