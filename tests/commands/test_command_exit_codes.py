"""The table of exit codes, and one clear message with each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import call, launch, metrics_rows, only_run, sets, tiny
from official_checkpoint import write_checkpoint

DIVERGING = ("optimizer.lr=1e30", "optimizer.clip_norm=null", "schedule.warmup_epochs=0")


def assert_clear(outcome, code, *words):
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err
    assert "bug" not in outcome.err
    assert outcome.err.count("error:") == 1
    assert outcome.out == ""
    for word in words:
        assert str(word) in outcome.err


def test_entry_point_gives_the_code_to_the_shell():
    assert launch("presets").code == 0
    assert_clear(launch("finetune", "--preset", "nosuch"), 2, "'nosuch'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["finetune", "--nosuch"], ["--nosuch", "pointlora finetune --help"]),
        (["finetun"], ["finetun"]),
        (["finetune", "--preset", "quikstart"], ["quikstart", "did you mean 'quickstart'"]),
        (
            ["finetune", "--preset", "quickstart", "--set", "train.epoch=3"],
            ["train.epoch", "did you mean 'epochs'"],
        ),
        (["finetune", "--preset", "quickstart", "--set", "train.epochs"], ["train.epochs"]),
        (["finetune", "--preset", "quickstart", "--device", "cuda:99"], ["cuda:99"]),
        (["finetune"], ["--preset", "--spec", "--data"]),
        (["finetune", "--spec", "nosuch.yaml"], ["nosuch.yaml"]),
        (["predict"], ["clouds"]),
        (["presets", "copy", "quickstart", "no/such/folder.yaml"], ["no/such"]),
    ],
)
def test_wrong_usage_is_2(elsewhere, arguments, words):
    assert_clear(call(*arguments), 2, *words)
    assert list(elsewhere.iterdir()) == []


def test_unwritable_output_is_2(elsewhere):
    (elsewhere / "taken").write_text("a file")
    for output in ("taken", "taken/inside"):
        assert_clear(call("finetune", *tiny(), "-o", output), 2, "taken", "cannot be written", "--output")
    assert [path.name for path in elsewhere.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["finetune", "--data", "nosuch"], ["nosuch", "no such folder"]),
        (
            ["finetune", "--preset", "scanobjectnn"],
            ["ScanObjectNN", "pointlora download scanobjectnn", "weights", "pointlora download point-mae"],
        ),
        (["evaluate"], ["no run", "runs"]),
        (["predict", "cloud.ply"], ["no run", "runs"]),
        (["evaluate", "nosuch"], ["nosuch"]),
        (["evaluate", "."], ["holds no adapter"]),
        (["inspect", "--run", "nosuch"], ["nosuch"]),
        (["predict", "x" * 300], ["file name too long"]),
        (["finetune", "--data", "x" * 300], ["file name too long"]),
    ],
)
def test_missing_input_is_3_and_leaves_nothing(elsewhere, arguments, words):
    assert_clear(call(*arguments), 3, *words)
    assert list(elsewhere.iterdir()) == []


def test_missing_weights_are_3_and_all_that_is_missing_is_said_at_once(elsewhere):
    outcome = call("finetune", *tiny("backbone.init=checkpoint", "backbone.weights=nosuch.pth"))
    assert_clear(outcome, 3, "nosuch.pth", "no such file", "backbone.weights")
    outcome = call("finetune", "--preset", "scanobjectnn", *sets("backbone.weights=nosuch.pth"))
    assert_clear(outcome, 3, "2 things", "nosuch.pth", "main_split")
    assert list(elsewhere.iterdir()) == []


def test_all_clouds_unreadable_is_3(elsewhere, trained_run):
    for name in ("chair", "table"):
        (elsewhere / "clouds" / name).mkdir(parents=True)
        (elsewhere / "clouds" / name / "empty.ply").touch()
    assert_clear(call("finetune", "--data", "clouds"), 3, "none of 2 files could be read", "empty.ply")
    assert_clear(
        call("predict", "clouds", "-a", trained_run), 3, "none of 2 files could be read", "chair/empty.ply"
    )
    assert [path.name for path in elsewhere.iterdir()] == ["clouds"]


def test_wrong_base_is_3_and_both_are_named(tmp_path, trained_run, checkpoint):
    outcome = call("evaluate", trained_run, "--base", checkpoint)
    assert_clear(outcome, 3, "wrong base", "random weights of seed 0", checkpoint, "SHA-256")
    run = call(
        "finetune", *tiny("backbone.init=checkpoint", f"backbone.weights={checkpoint}"), "-o", tmp_path
    )
    assert run.code == 0
    other = write_checkpoint(tmp_path / "other.pth", seed=2)
    run_directory = next(path for path in tmp_path.iterdir() if path.is_dir())
    assert_clear(call("evaluate", run_directory, "--base", other), 3, "wrong base", checkpoint, other)


def test_adapter_that_does_not_fit_its_spec_is_3(tmp_path, trained_run):
    shutil.copytree(trained_run, tmp_path / "run")
    record = tmp_path / "run" / "adapter" / "adapter.json"
    document = json.loads(record.read_text())
    document["spec"]["method"]["rank"] = 8
    record.write_text(json.dumps(document))
    assert_clear(call("evaluate", tmp_path / "run"), 3, "does not fit", "low_rank", "(8, 24)", "(4, 24)")
    document["spec"]["method"] = {"name": "nosuch"}
    record.write_text(json.dumps(document))
    assert_clear(call("evaluate", tmp_path / "run"), 3, "adapter.json", "not an adapter record")
    record.unlink()
    assert_clear(call("evaluate", tmp_path / "run"), 3, "adapter.json is missing")


def test_one_flipped_bit_is_5(tmp_path, trained_run):
    shutil.copytree(trained_run, tmp_path / "run")
    weights = tmp_path / "run" / "adapter" / "adapter.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    for command in (["evaluate", tmp_path / "run"], ["inspect", "--run", tmp_path / "run"]):
        assert_clear(call(*command), 5, weights, "SHA-256")
    weights.write_bytes(content[:100])
    assert_clear(call("predict", "a.ply", "-a", tmp_path / "run"), 5, weights)


def test_divergence_is_6_before_the_first_epoch_is_done(tmp_path):
    outcome = call("finetune", *tiny(*DIVERGING), "-o", tmp_path)
    assert_clear(outcome, 6, "epoch 1", "step 2", "nothing is kept", only_run(tmp_path))
    assert {path.name for path in only_run(tmp_path).iterdir()} == {
        "spec.yaml",
        "environment.json",
        "log.txt",
    }
    assert "diverged" in (only_run(tmp_path) / "log.txt").read_text()


def test_divergence_is_6_and_the_last_good_epoch_is_kept(tmp_path):
    warming = ("schedule.warmup_epochs=1", "schedule.warmup_lr=1e-6", "train.epochs=4")
    outcome = call("finetune", *tiny(*DIVERGING, *warming), "-o", tmp_path)
    run_directory = only_run(tmp_path)
    assert_clear(outcome, 6, "epoch 2", "the adapter of epoch 1 is kept", run_directory)
    assert [row["epoch"] for row in metrics_rows(run_directory)] == [1]
    assert call("evaluate", run_directory).code == 0


def test_divergence_in_the_last_step_is_6_too(tmp_path):
    outcome = call("finetune", *tiny(*DIVERGING, "train.batch_size=64"), "-o", tmp_path, "--json")
    assert outcome.code == 6
    assert outcome.document["error"]["kind"] == "diverged"
    assert not (only_run(tmp_path) / "adapter").exists()


def test_a_full_disk_is_2_with_what_was_kept(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # stands for a disk of 4 KiB
    try:
        outcome = call("finetune", *tiny(), "-o", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_clear(outcome, 2, "cannot be written", "nothing is kept", only_run(tmp_path))
    assert not (only_run(tmp_path) / "adapter" / "adapter.safetensors").exists()


def test_too_little_memory_is_2_and_names_a_smaller_batch(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, hard))
    try:
        outcome = call("finetune", *tiny("backbone.width=2048", "backbone.depth=16"), "-o", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert_clear(outcome, 2, "out of memory", "train.batch_size=8")


def test_normalization_that_a_data_set_does_not_have_is_2():
    outcome = call("validate", "--preset", "quickstart", "--set", "data.normalize=none")
    assert_clear(outcome, 2, "data.normalize", "unit-sphere")
