"""`pointlora presets`, `validate` and `doctor`."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from command_line import call, sets, tiny

from pointlora_cli.services import doctor

PRESETS = [preset["name"] for preset in call("presets", "--json").document["presets"]]


def test_the_published_protocols_ship():
    assert {
        "quickstart",
        "folder",
        "scanobjectnn",
        "scanobjectnn-bg",
        "scanobjectnn-only",
        "modelnet40",
        "modelnet40-8k",
        "modelnet40-fewshot",
        "shapenetpart",
        "segmentation-folder",
        "pretrain-quickstart",
        "pretrain-shapenet55",
    } == set(PRESETS)


def test_list_shows_names_aliases_and_descriptions():
    out = call("presets", "list").out
    for preset in call("presets", "--json").document["presets"]:
        assert preset["description"]
        for text in (preset["name"], preset["description"], *preset["aliases"]):
            assert text in out


@pytest.mark.parametrize("name", PRESETS)
def test_show_prints_the_file_as_it_is(name):
    text = call("presets", "show", name).out
    assert text == call("presets", "show", name, "--json").document["text"]
    assert yaml.safe_load(text)["description"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_counted_and_its_copy_is_the_same_spec(elsewhere, name):
    assert call("presets", "copy", name, "mine.yaml").out == "mine.yaml\n"
    counted = call("inspect", "--preset", name, "--classes", "5", "--json").document
    copied = call("inspect", "--spec", "mine.yaml", "--classes", "5", "--json").document
    assert copied.pop("name") == "mine"
    assert counted.pop("name") == name
    assert copied == counted


def test_copy_into_a_folder_keeps_the_name(elsewhere):
    (elsewhere / "specs").mkdir()
    assert call("presets", "copy", "quickstart", "specs").out == "specs/quickstart.yaml\n"


def test_copy_never_overwrites(elsewhere):
    (elsewhere / "mine.yaml").write_text("mine")
    outcome = call("presets", "copy", "quickstart", "mine.yaml")
    assert outcome.code == 2
    assert "mine.yaml" in outcome.err
    assert "exists" in outcome.err
    assert (elsewhere / "mine.yaml").read_text() == "mine"
    assert [path.name for path in elsewhere.iterdir()] == ["mine.yaml"]


def test_alias_names_the_same_preset():
    assert call("presets", "show", "scanobjectnn-pb").out == call("presets", "show", "scanobjectnn").out


def test_validate_shows_the_resolved_spec(elsewhere):
    outcome = call("validate", *tiny(), "--show")
    spec = yaml.safe_load(outcome.out)
    assert spec == call("validate", *tiny(), "--json").document["spec"]
    (elsewhere / "shown.yaml").write_text(outcome.out)
    assert call("validate", "--spec", "shown.yaml", "--json").document["spec"] == spec


def test_validate_prints_a_json_schema():
    schema = json.loads(call("validate", "--schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"data", "backbone", "method", "train"} <= schema["properties"].keys()


@pytest.mark.parametrize(
    ("preset", "changes", "commands"),
    [
        ("scanobjectnn", [], ["scanobjectnn", "point-mae"]),
        ("scanobjectnn-bg", [], ["scanobjectnn", "point-mae"]),
        ("modelnet40", [], ["modelnet40", "point-mae"]),
        ("modelnet40-8k", ["data.files=raw"], ["modelnet40-raw", "point-mae"]),
        ("modelnet40-fewshot", [], ["modelnet40-fewshot", "point-mae"]),
        ("modelnet40-fewshot", ["data.episodes=generated"], ["modelnet40", "point-mae"]),
        ("scanobjectnn", ["backbone.weights=point-mae/scan_objbg"], ["scanobjectnn", "point-mae/scan_objbg"]),
    ],
)
@pytest.mark.parametrize("command", ["validate", "finetune"])
def test_a_preset_names_the_downloads_that_are_missing(elsewhere, command, preset, changes, commands):
    outcome = call(command, "--preset", preset, *sets(*changes))
    assert outcome.code == 3
    assert "--set backbone.weights=PATH" in outcome.err
    assert "https://hkust-vgd.github.io" in outcome.err or not preset.startswith("scanobjectnn")
    for name in commands:
        assert re.search(rf"pointlora download {re.escape(name)}(?![\w/-])", outcome.err), outcome.err
    assert list(elsewhere.iterdir()) == []


def test_validate_lists_every_problem_of_a_spec():
    outcome = call("validate", "--preset", "quickstart", *sets("train.epochs=0", "backbone.heads=7", "x=1"))
    assert outcome.code == 2
    for word in ("3 problems", "train.epochs", "heads", "x: there is no such key"):
        assert word in outcome.err


def test_doctor_finds_this_machine_healthy():
    outcome = call("doctor")
    assert outcome.code == 0
    for word in ("python", "torch", "open3d", "presets", "quickstart"):
        assert word in outcome.out
    checks = call("doctor", "--json").document["checks"]
    assert all(check["status"] == "ok" for check in checks if check["required"])
    assert all(check["remedy"] for check in checks if check["status"] != "ok")


def test_doctor_tells_a_damaged_embedded_backbone_and_a_missing_one(tmp_path, monkeypatch):
    file = tmp_path / "damaged.safetensors"
    monkeypatch.setattr(doctor, "EMBEDDED_FILE", file)
    for status in ("missing", "broken"):
        (check,) = (
            check
            for check in call("doctor", "--json").document["checks"]
            if check["name"] == "embedded backbone"
        )
        assert (check["status"], check["remedy"]) == (status, "Install pointlora again.")
        file.write_bytes(b"something else")
