"""`pointlora inspect`: the numbers that papers publish, without weights and without data."""

from __future__ import annotations

import re

import pytest
from command_line import call, sets

from pointlora_cli.specs.compatibility import BACKBONES, METHODS, refusal

TRAINED = {
    ("classification", "pointlora"): 772_752,
    ("classification", "dapt"): 1_087_771,
    ("classification", "idpt"): 1_696_783,
    ("classification", "ppt"): 1_042_191,
    ("classification", "pointgst"): 622_831,
    ("classification", "point-peft"): 773_017,
    ("classification", "vpt"): 360_463,
    ("classification", "bitfit"): 307_983,
    ("classification", "mlp3"): 268_303,
    ("classification", "linear"): 12_303,
    ("classification", "lora"): 415_759,
    ("classification", "adapter"): 863_503,
    ("classification", "full"): 22_093_327,
    ("part-segmentation", "full"): 27_063_730,
}
"""Trained parameters of the official models on Point-MAE."""


@pytest.fixture(scope="module")
def matrix():
    return call("inspect", "--matrix", "--json").document["matrix"]


def test_trained_parameters_of_the_official_models(matrix):
    found = {
        (cell["task"], cell["method"]): cell["trained"] for cell in matrix if cell["backbone"] == "point-mae"
    }
    assert {key: found[key] for key in TRAINED} == TRAINED


def test_the_backbone_s_percentage_is_left_out_where_the_head_is_larger(elsewhere):
    assert "of the backbone's" in call("inspect", "--preset", "shapenetpart").out.replace("\n", " ")
    small = call("inspect", "--preset", "segmentation-folder", "--classes", "4").out
    assert "of all" in small
    assert "the backbone's" not in small


def test_the_matrix_counts_or_refuses_every_cell(matrix):
    keys = {(cell["task"], cell["backbone"], cell["method"]) for cell in matrix}
    assert len(keys) == len(matrix) == 2 * len(BACKBONES) * len(METHODS)
    for cell in matrix:
        reason = refusal(cell["backbone"], cell["method"], cell["task"])
        assert (cell["trained"] is None) == (cell["refused"] is not None) == (reason is not None)
        assert cell["refused"] is None or cell["refused"] in reason
        assert cell["trained"] is None or 0 < cell["trained"] <= cell["total"]


def test_a_preset_is_counted_as_in_the_matrix(matrix, elsewhere):
    for preset, task in (("scanobjectnn", "classification"), ("shapenetpart", "part-segmentation")):
        (cell,) = [
            cell
            for cell in matrix
            if (cell["task"], cell["backbone"], cell["method"]) == (task, "point-mae", "pointlora")
        ]
        counts = call("inspect", "--preset", preset, "--json").document["parameters"]
        assert (counts["trained"], counts["total"]) == (cell["trained"], cell["total"])
        assert counts["total"] == counts["backbone"] + counts["added"] + counts["head"]


def test_the_tables_of_the_matrix_fit_and_tell_each_reason_once():
    outcome = call("inspect", "--matrix")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 100
    tables, reasons = outcome.out.split("\na  ")
    assert max(map(len, tables.splitlines())) <= 80
    assert re.search(r"pointlora +0\.77 +0\.77 +0\.77 +0\.97 +0\.77 +a +b", tables)
    assert len(set(reasons.splitlines())) == len(reasons.splitlines())
    marks = {word for line in tables.splitlines() for word in line.split()[1:] if re.fullmatch("[a-z]", word)}
    letters = [line.split()[0] for line in ("a  " + reasons).splitlines()]
    assert sorted(marks) == letters


def test_the_matrix_stands_alone():
    outcome = call("inspect", "--matrix", "--preset", "scanobjectnn")
    assert outcome.code == 2
    assert "--matrix" in outcome.err


def test_another_method_has_its_own_settings(elsewhere):
    outcome = call("inspect", "--preset", "scanobjectnn-only", "--method", "dapt", "--json")
    assert (
        outcome.document["parameters"]["trained"] == 989_467
    )  # without pooled patches, as released for OBJ_ONLY


def test_numbers_of_parts_and_categories_may_be_given(tmp_path):
    part = ("--preset", "shapenetpart", "--data", tmp_path / "clouds")
    outcome = call("inspect", *part)
    assert outcome.code == 3
    assert "number of parts" in outcome.err
    document = call("inspect", *part, "--classes", "50", "--categories", "16", "--json").document
    assert document["parameters"]["trained"] == 5_743_155
    assert (document["task"], document["classes"], document["categories"]) == ("part-segmentation", 50, 16)
    assert call("inspect", *part, "--categories", "16").code == 2
    assert "7 parts of 1 category" in call("inspect", *part, "--classes", "7").out


def test_published_percentage(elsewhere):
    outcome = call("inspect", "--preset", "scanobjectnn")
    assert outcome.code == 0
    assert outcome.err == ""
    assert "3.4323 %" in outcome.out
    assert re.search(r"total +22,513,960 +772,752", outcome.out)
    assert "…" not in outcome.out


def test_number_of_classes_may_be_given(elsewhere):
    document = call("inspect", "--preset", "scanobjectnn", "--classes", "40", "--json").document
    assert document["classes"] == 40
    assert document["parameters"]["trained"] == 779_177


def test_every_parameter_is_listed_on_request():
    parts = call("inspect", "--preset", "quickstart").out
    every = call("inspect", "--preset", "quickstart", "--all").out
    assert "backbone.blocks.*.attn.qkv" in parts
    assert "backbone.blocks.3.attn.qkv.weight" in every
    assert "360×120" in every
    layers = call("inspect", "--preset", "quickstart", "--json").document["layers"]
    assert all(layer["name"] in every for layer in layers)


def test_run_is_inspected_as_it_was_trained(trained_run):
    document = call("inspect", "--run", trained_run, "--json").document
    assert document["classes"] == 10
    assert document["parameters"]["head"] > 0
    assert (document["name"], document["method"]) == ("quickstart", "pointlora")
    spec = call("inspect", "--spec", trained_run / "spec.yaml", "--json").document
    assert spec["parameters"] == document["parameters"]


def test_run_and_spec_options_exclude_each_other(trained_run):
    for options in (["--preset", "quickstart"], ["--classes", "3"], sets("train.epochs=3")):
        outcome = call("inspect", "--run", trained_run, *options)
        assert outcome.code == 2
        assert "--run" in outcome.err


def test_folder_without_data_asks_for_the_number_of_classes(elsewhere):
    outcome = call("inspect", "--preset", "folder")
    assert outcome.code == 3
    assert "--classes N" in outcome.err
    assert call("inspect", "--preset", "folder", "--classes", "3").code == 0
