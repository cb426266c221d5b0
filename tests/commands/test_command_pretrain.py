"""`pointlora pretrain`: it learns without labels, goes on after a kill, and what it leaves is fine-tuned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import SCALES, TINY_BACKBONE, call, metrics_rows, only_run, sets

from pointlora_cli.clouds.reading import read
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.models.base_weights import load_base, require_weights
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.services import pretraining_data
from pointlora_cli.services.pretrain import pretrain as pretrain_spec
from pointlora_cli.services.products import OFFICIAL
from pointlora_cli.specs.data import ShapesData
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.events import EpochDone

NETWORK = (*TINY_BACKBONE, "data.points=64", "masking.decoder_depth=1", "masking.decoder_heads=2")
TRAINING = ("train.batch_size=16", "train.device=cpu", "train.eval_every=2", "schedule.warmup_epochs=0")
SHAPES = ("data.collection=objects", "data.clouds_per_class=8", "data.test_clouds_per_class=3")
EPOCHS = 6
WHOLE = (
    *NETWORK,
    *TRAINING,
    *SHAPES,
    f"train.epochs={EPOCHS}",
    "optimizer.lr=0.01",
    "train.selection=best-test",
)
KEPT = ("metrics.jsonl", "pretrained.safetensors", OFFICIAL)


def pretrain(*arguments):
    return call("pretrain", "--preset", "pretrain-quickstart", *arguments)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    runs = tmp_path_factory.mktemp("pretrained") / "runs"
    outcome = pretrain(*sets(*WHOLE), "-o", runs, "--json")
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(scope="module")
def run(outcome):
    return Path(outcome.document["run"])


def test_the_loss_falls_and_a_probe_is_reported(outcome, run):
    rows = metrics_rows(run)
    losses = [row["chamfer_l2"] for row in rows if "chamfer_l2" in row]
    assert [row["epoch"] for row in rows if "linear_probe" in row] == [2, 4, 6]
    assert losses[-1] < losses[0]
    assert rows[-1]["loss"] < rows[0]["loss"] / 2
    assert "train_accuracy" not in rows[0]
    test = outcome.document["test"]
    assert test["chamfer_l2"] == min(losses)
    assert 0.1 < test["linear_probe"] <= 1
    assert test["clouds"] == 30
    assert "loss×1000" in outcome.err
    assert "probe" in outcome.err
    assert "80 training clouds of 128 points each are kept in memory" in outcome.err


def test_the_result_is_told_on_the_screen_too(tmp_path):
    outcome = pretrain(*sets(*WHOLE, "train.epochs=1", "masking.probe=false"), "-o", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "chamfer-l2 × 1000" in outcome.out
    assert "probe" not in outcome.out + outcome.err
    assert f"pointlora finetune --base {only_run(tmp_path)}" in outcome.out


def test_a_killed_run_goes_on_bit_for_bit(tmp_path, run):
    spec = load_run_spec(spec_file=run / "spec.yaml", overrides=[f"output.dir={tmp_path / 'runs'}"])
    killed = tmp_path / "killed"

    def listen(event):  # what a kill leaves on the disk
        if isinstance(event, EpochDone) and event.epoch == 3:
            shutil.copytree(only_run(tmp_path / "runs"), killed)

    pretrain_spec(spec, listen)
    assert [row["epoch"] for row in metrics_rows(killed)] == [1, 2, 3, 4]
    assert not (killed / "result.json").exists()
    outcome = call("pretrain", "--resume", killed)
    assert outcome.code == 0, outcome.err
    assert "the run goes on after epoch" in outcome.err
    for name in KEPT:
        assert (killed / name).read_bytes() == (run / name).read_bytes(), name
    finished = call("pretrain", "--resume", killed)
    assert finished.code == 2
    assert f"pointlora finetune --base {killed}" in finished.err


def test_the_backbone_is_fine_tuned(tmp_path, run):
    options = sets("data.clouds_per_class=3", "data.test_clouds_per_class=2", "data.occlusion=0", SCALES)
    training = sets("train.epochs=1", "train.batch_size=16", "train.device=cpu")
    outcome = call(
        "finetune", "--preset", "quickstart", "--base", run, *options, *training, "-o", tmp_path, "--json"
    )
    assert outcome.code == 0, outcome.err
    spec = load_run_spec(spec_file=only_run(tmp_path) / "spec.yaml")
    assert (spec.data.points, spec.backbone.width, spec.tokenizer.centers) == (64, 24, 8)
    random = build_initialized_model(spec, Outputs(10))
    pretrained = build_initialized_model(spec, Outputs(10))
    base = load_base(pretrained, spec.backbone, 0)
    assert base.layout == "pre-training"
    weight = "patch_encoder.second.linear2.weight"
    found = [model.backbone.state_dict()[weight] for model in (random, pretrained)]
    assert not torch.equal(*found)
    official = torch.load(run / OFFICIAL, weights_only=True)
    assert torch.equal(
        official["base_model"]["MAE_encoder.encoder.second_conv.3.weight"].squeeze(-1), found[1]
    )
    assert official["provenance"]["result"]["kept"]
    assert require_weights(spec.backbone) == run / "pretrained.safetensors"


def test_a_folder_without_labels(tmp_path):
    folder, rng = tmp_path / "clouds", np.random.default_rng(0)
    for index in range(11):
        place = folder / ("deep/er" if index % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        write_ply(place / f"{index}.ply", rng.uniform(-1, 1, (90 + index, 3)) * [1, 2, 0.3])
    (folder / "deep" / "broken.ply").write_bytes((folder / "0.ply").read_bytes()[:200])
    (folder / "notes.md").write_text("no cloud")
    (folder / ".hidden.ply").write_text("hidden")
    look = tmp_path / "look"
    small = sets(*NETWORK, "train.batch_size=4", "train.device=cpu", "masking.probe=false")
    chosen = sets(
        "train.epochs=2", "train.eval_every=1", "train.selection=best-val", "data.test_fraction=0.2"
    )
    outcome = call(
        "pretrain", "--data", folder, *small, *chosen, "-o", tmp_path / "runs", "--reconstructions", look
    )
    assert outcome.code == 0, outcome.err
    assert "broken.ply" in outcome.err
    assert "2 of 11 clouds are held out" in outcome.err
    assert only_run(tmp_path / "runs").name.startswith("clouds-")
    names = {path.name.partition("-")[2] for path in look.glob("*.ply")}
    assert names == {"input.ply", "visible.ply", "predicted.ply"}
    assert read(look / "0-input.ply").points.shape == (64, 3)
    assert len(read(look / "0-predicted.ply").points) == 8 * 8
    assert (look / "reconstructions.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_dry_run_writes_nothing(elsewhere):
    outcome = pretrain(*sets(*WHOLE, "masking.probe=false"), "--dry-run", "--json")
    assert outcome.code == 0, outcome.err
    assert (outcome.document["train_clouds"], outcome.document["task"]) == (80, "pretraining")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["finetune", "--preset", "pretrain-quickstart"], "Use pointlora pretrain"),
        (["pretrain", "--preset", "quickstart"], "its task is classification, not pretraining"),
        (["pretrain"], "Try --preset pretrain-quickstart"),
        (
            ["compare", "--preset", "pretrain-quickstart", "--methods", "full", "--seeds", "1"],
            "Use pointlora pretrain",
        ),
        (["bench", "--preset", "pretrain-quickstart"], "a pre-training is not measured here"),
        (
            ["finetune", "--preset", "quickstart", *sets("masking.ratio=0.3")],
            "masking does not belong to the task",
        ),
    ],
)
def test_other_commands_and_tasks_are_refused(elsewhere, command, words):
    outcome = call(*command)
    assert outcome.code == 2
    assert words in outcome.err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["method.name=pointlora"], "a pre-training trains every weight, as method full does"),
        (["backbone.name=recon"], "backbone recon does not run for pretraining"),
        (["masking.decoder_heads=7"], "masking.decoder_heads (7) must divide backbone.width (120)"),
        (["masking.ratio=0.01"], "masking.ratio (0.01) hides none"),
        (["masking.stored_points=100"], "masking.stored_points (100) is less than data.points (512)"),
        (["data.source=modelnet40-fewshot"], "set task to 'classification'"),
        (["masking.ration=0.5"], "did you mean"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(changes, words):
    outcome = pretrain(*sets(*changes))
    assert outcome.code == 2
    assert words in outcome.err


@pytest.mark.parametrize("name", ["no folder", "empty", "bare"])
def test_folders_without_clouds_are_refused(elsewhere, name):
    if name != "no folder":
        (elsewhere / name / "inner").mkdir(parents=True)
    if name == "bare":
        for index in range(4):
            (elsewhere / name / "inner" / f"{index}.ply").write_text("ply\nnone")
    outcome = call("pretrain", "--data", name, *sets("masking.probe=false"))
    assert outcome.code == 3
    assert name in outcome.err
    assert "Traceback" not in outcome.err


def test_a_base_that_is_none_is_refused(tmp_path):
    outcome = call("finetune", "--preset", "quickstart", "--base", tmp_path)
    assert outcome.code == 3
    assert "a folder without pretrained.safetensors" in outcome.err
    strange = tmp_path / "pretrained.safetensors"
    header = json.dumps({"__metadata__": {"provenance": "[1"}}).encode()
    strange.write_bytes(len(header).to_bytes(8, "little") + header)
    outcome = call("finetune", "--preset", "quickstart", "--base", tmp_path)
    assert outcome.code == 3
    assert "does not say how it was pre-trained" in outcome.err


def test_clouds_without_classes_are_probed_on_built_in_ones(tmp_path, monkeypatch):
    few = ShapesData(clouds_per_class=4, test_clouds_per_class=2)
    monkeypatch.setattr(pretraining_data, "_PROBED", few)
    changes = (
        "train.epochs=1",
        "data.collection=pretraining",
        "data.clouds_per_class=1",
        "data.test_clouds_per_class=1",
    )
    outcome = pretrain(*sets(*WHOLE, *changes), "-o", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    assert "10 classes of built-in shapes apart that are not trained on: 40 clouds to fit it" in outcome.err
    assert 0 <= outcome.document["test"]["linear_probe"] <= 1
