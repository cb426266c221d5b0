"""`--json`: stdout is one JSON document with a schema version, whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import call, sets, tiny

CUBE = "\n".join(f"{x} {y} {z}" for x in range(3) for y in range(3) for z in range(3))


def keys(document: dict[str, object]) -> set[str]:
    assert document["schema_version"] == 1
    return set(document) - {"schema_version", "command"}


def test_presets(elsewhere):
    listed = call("presets", "list", "--json")
    assert listed.document == call("presets", "--json").document
    assert listed.document == call("presets", "--json", "list").document
    assert keys(listed.document) == {"presets"}
    assert keys(call("presets", "show", "quickstart", "--json").document) == {"name", "text"}
    assert call("presets", "copy", "quickstart", "mine.yaml", "--json").document["path"] == "mine.yaml"


def test_validate_and_its_schema():
    assert keys(call("validate", "--preset", "quickstart", "--json").document) == {"valid", "spec"}
    document = call("validate", "--schema", "--json").document
    assert keys(document) == {"schema"}
    assert document["schema"]["properties"]["method"]


def test_doctor():
    outcome = call("doctor", "--json")
    assert outcome.code == 0
    assert keys(outcome.document) == {"healthy", "checks"}
    assert {check["name"] for check in outcome.document["checks"]} >= {"torch", "open3d", "presets"}


def test_inspect():
    outcome = call("inspect", "--preset", "quickstart", "--json")
    described = {"name", "task", "backbone", "method", "classes", "categories"}
    assert keys(outcome.document) == described | {"parameters", "layers"}
    layers, counts = outcome.document["layers"], outcome.document["parameters"]
    assert sum(layer["parameters"] for layer in layers) == counts["total"]
    assert sum(layer["parameters"] for layer in layers if layer["trained"]) == counts["trained"]


def test_finetune(tmp_path):
    outcome = call("finetune", *tiny(), "-o", tmp_path, "--json")
    assert outcome.code == 0
    assert keys(outcome.document) == {
        "run",
        "adapter",
        "adapter_bytes",
        "task",
        "method",
        "selection",
        "kept_epoch",
        "epochs",
        "seconds",
        "device",
        "precision",
        "parameters",
        "test",
    }
    assert np.array(outcome.document["test"]["confusion"]).sum() == outcome.document["test"]["clouds"] == 20
    assert "epoch 1/1" in outcome.err
    assert "random weights" in outcome.err


def test_dry_run(elsewhere):
    document = call("finetune", *tiny(), "--dry-run", "--json").document
    assert document["dry_run"] is True
    assert document["steps_per_epoch"] == 2
    assert keys(document) > {"parameters", "loss", "step_seconds", "spec", "classes"}


def test_evaluate(trained_run):
    document = call("evaluate", trained_run, "--json").document
    assert keys(document) >= {
        "task",
        "adapter",
        "data",
        "method",
        "selection",
        "kept_epoch",
        "accuracy",
        "confusion",
    }
    assert [row["name"] for row in document["classes"]][:2] == ["airplane", "bed"]


def test_predict(trained_run, tmp_path):
    (tmp_path / "cube.xyz").write_text(CUBE)
    document = call("predict", tmp_path / "cube.xyz", "--adapter", trained_run, "--json").document
    (prediction,) = document["predictions"]
    assert prediction["points"] == 27
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    assert prediction["probabilities"][prediction["class"]] == prediction["probability"]
    assert prediction["notices"] == ["repeated from 27 to the model's 64 points"]


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["nosuch"], 2, "usage"),
        (["finetune", "--nosuch"], 2, "usage"),
        (["finetune", "stray"], 2, "usage"),
        (["predict"], 2, "usage"),
        (["predict", "a.ply", "--top", "0"], 2, "usage"),
        (["inspect", "--preset", "quickstart", "--classes", "x"], 2, "usage"),
        (["inspect", "--run", "runs/a", "--preset", "quickstart"], 2, "usage"),
        (["finetune"], 2, "usage"),
        (["finetune", "--preset", "quikstart"], 2, "usage"),
        (["finetune", "--preset", "quickstart", "--device", "tpu"], 2, "usage"),
        (["evaluate", "runs/a", "--device", "cpu:1"], 2, "usage"),
        (["finetune", "--spec", "nosuch.yaml"], 2, "usage"),
        (["finetune", "--data", "nosuch"], 3, "data"),
        (["evaluate", "nosuch"], 3, "data"),
        (["predict", "nosuch.ply"], 3, "data"),
        (["presets", "show", "nosuch"], 2, "usage"),
        (["inspect", "--run", "nosuch"], 3, "data"),
        (["inspect", "--preset", "folder"], 3, "data"),
        (["validate", "--preset", "scanobjectnn"], 3, "data"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_error_is_the_document(elsewhere, arguments, code, kind):
    outcome = call(*arguments, "--json")
    assert outcome.code == code
    assert outcome.err == ""
    error = outcome.document["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert error["message"]
    assert outcome.document["schema_version"] == 1
    assert list(elsewhere.iterdir()) == []


def test_all_problems_of_a_spec_are_listed_at_once():
    changes = sets("train.epochs=x", "method.nam=lora", "data.points=4", "nosuch=1")
    error = call("finetune", "--preset", "quickstart", *changes, "--json").document["error"]
    assert {problem["key"] for problem in error["problems"]} == {
        "train.epochs",
        "method.nam",
        "data.points",
        "nosuch",
    }


def test_unreadable_cloud(trained_run, tmp_path):
    (tmp_path / "broken.ply").write_text("ply\n")
    outcome = call("predict", tmp_path / "broken.ply", "--adapter", trained_run, "--json")
    assert outcome.code == 3
    assert outcome.document["error"]["kind"] == "cloud"
    assert outcome.document["error"]["message"].startswith(str(tmp_path / "broken.ply"))


def test_a_file_name_with_escape_and_broken_unicode_stays_one_document(trained_run, tmp_path):
    name = tmp_path / "red\x1b[31m\udcff.xyz"
    name.write_text(CUBE)
    outcome = call("predict", name, "--adapter", trained_run, "--json")
    assert outcome.code == 0
    assert outcome.document["predictions"][0]["path"] == str(name)
    for shown in (call("predict", name, "--adapter", trained_run), call("predict", f"{name}x")):
        assert "\x1b" not in shown.out + shown.err
    assert "\\x1b[31m\\udcff.xyz" in call("predict", name, "--adapter", trained_run).out
