"""`pointlora finetune`: what a run leaves behind, what it refuses, and that it repeats itself."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from command_line import call, metrics_rows, only_run, sets, tiny
from safetensors import safe_open
from safetensors.torch import load_file


def tensors(run_directory):
    return load_file(run_directory / "adapter" / "adapter.safetensors")


def test_run_directory_holds_all_of_a_run(trained_run):
    assert {str(path.relative_to(trained_run)) for path in trained_run.rglob("*") if path.is_file()} == {
        "spec.yaml",
        "environment.json",
        "metrics.jsonl",
        "log.txt",
        "result.json",
        "checkpoints/last.safetensors",
        "checkpoints/last-1.safetensors",
        "adapter/adapter.json",
        "adapter/adapter.safetensors",
    }
    assert re.fullmatch(r"quickstart-\d{8}-\d{6}", trained_run.name)
    environment = json.loads((trained_run / "environment.json").read_text())
    assert environment["device"] == "cpu"
    assert environment["precision"] == "float32"
    assert {"pointlora", "python", "torch", "numpy", "platform", "threads", "command"} <= set(environment)
    assert "done: 2 epochs" in (trained_run / "log.txt").read_text()
    assert "random weights" in (trained_run / "log.txt").read_text()


def test_metrics_have_an_object_for_each_epoch(trained_run):
    rows = metrics_rows(trained_run)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["lr"] < rows[0]["lr"] == 0.01
    assert all(row["evaluated"] == "test" and row["kept"] for row in rows)
    assert all(0 <= row["accuracy"] <= 1 and row["loss"] > 0 for row in rows)


def test_spec_of_a_run_gives_the_run_again(trained_run, tmp_path):
    outcome = call("finetune", "--spec", trained_run / "spec.yaml", "-o", tmp_path)
    assert outcome.code == 0
    again = only_run(tmp_path)
    assert (again / "metrics.jsonl").read_bytes() == (trained_run / "metrics.jsonl").read_bytes()
    first, second = tensors(trained_run), tensors(again)
    assert first.keys() == second.keys()
    assert all(first[name].equal(second[name]) for name in first)
    specs = [yaml.safe_load((run / "spec.yaml").read_text()) for run in (trained_run, again)]
    for spec in specs:
        spec.pop("output"), spec.pop("name")
    assert specs[0] == specs[1]


def test_another_seed_gives_another_run(trained_run, tmp_path):
    other = call("finetune", "--spec", trained_run / "spec.yaml", *sets("train.seed=1"), "-o", tmp_path)
    assert other.code == 0
    assert (only_run(tmp_path) / "metrics.jsonl").read_bytes() != (trained_run / "metrics.jsonl").read_bytes()
    first, second = tensors(trained_run), tensors(only_run(tmp_path))
    changed = [
        name for name in first if first[name].is_floating_point() and not first[name].equal(second[name])
    ]
    assert len(changed) > len(first) / 2


def test_runs_of_one_second_get_directories_of_their_own(tmp_path):
    from pointlora_cli.services.runs import RunDirectory
    from pointlora_cli.specs.loading import load_run_spec

    spec = load_run_spec(preset="quickstart", overrides=[f"output.dir={tmp_path}"])
    made = [RunDirectory.create(spec, {"number": number}).path for number in range(12)]
    assert len(set(made)) == 12
    assert [json.loads((path / "environment.json").read_text())["number"] for path in made] == list(range(12))


def test_dry_run_makes_a_step_and_writes_nothing(elsewhere):
    outcome = call("finetune", *tiny(), "--dry-run")
    assert outcome.code == 0
    assert list(elsewhere.iterdir()) == []
    assert re.search(r"one step +loss \d\.\d+", outcome.out)
    assert re.search(r"training clouds +40 in 10 classes", outcome.out)


def test_set_beats_spec_file_beats_preset(elsewhere):
    (elsewhere / "mine.yaml").write_text("train: {epochs: 7, batch_size: 9}\nname: mine\n")
    options = ["--preset", "quickstart", "--spec", "mine.yaml", *sets("train.epochs=3")]
    spec = call("validate", *options, "--json").document["spec"]
    assert (spec["train"]["epochs"], spec["train"]["batch_size"]) == (3, 9)
    assert spec["data"]["points"] == 512
    assert spec["name"] == "mine"


def test_output_folder_may_have_any_name(elsewhere):
    for name in ("2024", "null", "my: runs", "[a]", "Ünïcødé 🦜"):
        outcome = call("finetune", *tiny(), "-o", name, "--json")
        assert outcome.code == 0, outcome.document
        assert only_run(elsewhere / name).name == outcome.document["run"].removeprefix(f"{name}/")


def test_table_says_what_was_measured_and_what_comes_next(tmp_path):
    outcome = call("finetune", *tiny(), "-o", tmp_path)
    run_directory = only_run(tmp_path)
    assert re.search(r"test accuracy +\d+\.\d\d % of 20 clouds", outcome.out)
    assert re.search(r"trained parameters +[\d,]+ of [\d,]+ \(\d+\.\d\d %\)", outcome.out)
    assert f"Next: pointlora predict CLOUD --adapter {run_directory}" in outcome.out
    assert "airplane" in outcome.out
    assert "…" not in outcome.out


@pytest.mark.parametrize(
    ("selection", "evaluated", "words"),
    [
        ("last", "test", "the last epoch"),
        ("best-val", "validation", "validation split of the training set"),
        ("best-test", "test", "best epoch on the test set"),
    ],
)
def test_selection_decides_which_epoch_is_kept_and_is_said(tmp_path, selection, evaluated, words):
    changes = (
        f"train.selection={selection}",
        "train.epochs=4",
        "optimizer.lr=0.02",
        "train.val_fraction=0.25",
    )
    outcome = call("finetune", *tiny(*changes), "-o", tmp_path)
    assert outcome.code == 0, outcome.err
    assert words in outcome.out
    assert ("val " in outcome.err) == (selection == "best-val")
    rows = metrics_rows(only_run(tmp_path))
    assert {row["evaluated"] for row in rows} == {evaluated}
    best = max(row["accuracy"] for row in rows)
    expected = 4 if selection == "last" else next(row["epoch"] for row in rows if row["accuracy"] == best)
    document = call("evaluate", only_run(tmp_path), "--json").document
    assert (document["selection"], document["kept_epoch"]) == (selection, expected)
    assert f"{expected} of 4" in outcome.out
    assert f"{100 * document['accuracy']:.2f} % of 20 clouds" in outcome.out
    assert [row["epoch"] for row in rows if row["kept"]][-1] == expected


def test_best_val_that_cannot_hold_out_is_refused(elsewhere):
    outcome = call("finetune", *tiny("train.selection=best-val", "data.clouds_per_class=1"))
    assert outcome.code == 3
    assert "train.selection=last" in outcome.err
    assert list(elsewhere.iterdir()) == []


def test_adapter_does_not_hold_the_frozen_weights(tmp_path):
    assert call("finetune", *tiny("method.name=lora", scales=False), "-o", tmp_path).code == 0
    with safe_open(only_run(tmp_path) / "adapter" / "adapter.safetensors", "pt") as file:
        names = set(file.keys())
    assert "backbone.blocks.0.mlp.fc1.weight" not in names
    assert "backbone.patch_encoder.first.norm.running_mean" in names  # moves although its weights do not
    assert {name for name in names if name.startswith("head.")}


def test_quickstart_needs_nothing_but_the_package(elsewhere):
    assert (
        call("validate", "--preset", "quickstart").out
        == "quickstart: valid; data, weights and device are in place\n"
    )
    assert list(elsewhere.iterdir()) == []
