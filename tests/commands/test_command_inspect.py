"""`pointlora inspect`: the numbers that papers publish, without weights and without data."""

from __future__ import annotations

import re

import pytest
from command_line import call, sets

PUBLISHED = {
    "pointlora": (772_752, 22_513_960),
    "full": (22_093_327, 22_093_327),
    "linear": (12_303, None),
    "mlp3": (268_303, None),
    "lora": (415_759, None),
    "bitfit": (307_983, 22_093_327),
    "vpt": (360_463, None),
    "adapter": (863_503, None),
}


@pytest.mark.parametrize("method", PUBLISHED)
def test_trained_parameters_of_the_official_model(elsewhere, method):
    changes = sets(f"method.name={method}") if method != "pointlora" else []
    counts = call("inspect", "--preset", "scanobjectnn", *changes, "--json").document["parameters"]
    trained, total = PUBLISHED[method]
    assert counts["trained"] == trained
    assert total in (None, counts["total"])
    assert counts["total"] == counts["backbone"] + counts["added"] + counts["head"]


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
    assert "288×96" in every
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
