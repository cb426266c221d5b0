"""`pointlora finetune --resume` after faults of every kind: it goes on, or says in one line why it does not."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import yaml
from command_line import call, metrics_rows, only_run, tiny

from pointlora_cli.errors import InterruptedRunError
from pointlora_cli.services.finetune import finetune, resume
from pointlora_cli.services.runs import RunDirectory
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.events import EpochDone, Notice, TrainingStarted
from pointlora_cli.training.sealed_file import sealed, unsealed

EPOCHS = 3
NEVER_THERE = "/dev/null/runs"


def stopped_at(spec, is_time):
    """Start a run, and let Ctrl-C come with the first event for which it is time."""

    def listen(event):
        if is_time(event):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError) as stop:
        finetune(spec, listen)
    return stop.value


def spec_in(folder, *changes):
    changes = [change for change in tiny(f"train.epochs={EPOCHS}", *changes) if "=" in change]
    return load_run_spec(preset="quickstart", overrides=[*changes, f"output.dir={folder}"])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run that was stopped after two of its three epochs; its spec names a folder that cannot be written."""
    folder = tmp_path_factory.mktemp("original")
    stopped_at(spec_in(folder), lambda event: isinstance(event, EpochDone) and event.epoch == 1)
    run = only_run(folder)
    spec = yaml.safe_load((run / "spec.yaml").read_text())
    spec["output"]["dir"] = NEVER_THERE
    (run / "spec.yaml").write_text(yaml.safe_dump(spec))
    return run


@pytest.fixture
def stopped(original, tmp_path):
    """The same run, moved."""
    return shutil.copytree(original, tmp_path / "moved here" / "run")


@pytest.fixture
def signal_handlers():
    """Those of before are there again afterwards: a command that was interrupted leaves the process to die."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(run, code, *words, path=None):
    """One clear line, and nothing that counts is changed."""
    before = content(run)
    outcome = call("finetune", "--resume", run)
    assert outcome.code == code, outcome.err
    assert outcome.err.count("error:") == 1
    assert "bug" not in outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert str(word) in outcome.err
    before.pop(run / "log.txt"), (after := content(run)).pop(run / "log.txt")
    assert after == before


def test_a_run_that_was_moved_goes_on_where_it_is(stopped):
    outcome = call("finetune", "--resume", stopped, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["run"] == str(stopped)
    assert [row["epoch"] for row in metrics_rows(stopped)] == [1, 2, 3]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_that_an_interruption_prints_goes_on(tmp_path, signal_handlers, number, code):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runs, sent = tmp_path / "Ctrl-C's runs", []

    def send():
        while not list(runs.glob("*/metrics.jsonl")):
            time.sleep(0.005)
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    stop = call("finetune", *tiny("train.epochs=16"), "-o", runs)
    assert time.monotonic() - sent[0] < 5
    assert stop.code == code, stop.err
    (remedy,) = (line for line in stop.err.splitlines() if "Go on with: " in line)
    command = remedy.partition("Go on with: ")[2].partition("; or use")[0]
    done = len(metrics_rows(only_run(runs)))
    name, *arguments = shlex.split(command)
    assert name == "pointlora"
    again = call(*arguments, "--json")
    assert again.code == 0, again.err
    assert "the run goes on after epoch" in again.err
    assert [row["epoch"] for row in metrics_rows(only_run(runs))] == list(range(1, 17))
    assert 0 < done < 16


def test_ctrl_c_before_the_first_step_leaves_a_run_that_can_be_gone_on_with(tmp_path):
    stop = stopped_at(spec_in(tmp_path), lambda event: isinstance(event, TrainingStarted))
    assert "no epoch was done" in stop.message
    assert f"pointlora finetune --resume {only_run(tmp_path)}" in stop.remedy
    outcome = call("finetune", "--resume", only_run(tmp_path))
    assert outcome.code == 0, outcome.err
    assert "there is no checkpoint yet: the run starts from its beginning" in outcome.err


def test_ctrl_c_before_the_run_goes_on_leaves_it_as_it_was(stopped):
    before = content(stopped)

    def listen(event):
        assert isinstance(event, Notice)
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="interrupted before the run went on") as stop:
        resume(stopped, listen)
    assert f"pointlora finetune --resume '{stopped}'" in stop.value.remedy
    assert content(stopped) == before


def test_what_a_kill_left_half_written_goes_and_is_never_counted(stopped):
    for folder in (stopped, stopped / "adapter", stopped / "checkpoints"):
        (folder / ".0123456789abcdef.part").write_bytes(bytes(1000))
    outcome = call("finetune", "--resume", stopped, "--json")
    assert outcome.code == 0, outcome.err
    assert list(stopped.rglob("*.part")) == []
    sizes = [path.stat().st_size for path in (stopped / "adapter").glob("adapter.*")]
    assert (len(sizes), outcome.document["adapter_bytes"]) == (2, sum(sizes))


def test_a_full_disk_is_one_line_and_afterwards_the_run_goes_on(stopped):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # stands for a disk of 8 KiB
    try:
        outcome = call("finetune", "--resume", stopped)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("error:") == 1
    assert "cannot be written" in outcome.err
    assert "the adapter of epoch 2 is kept" in outcome.err
    assert f"Make room and go on with: pointlora finetune --resume '{stopped}'" in outcome.err
    assert call("finetune", "--resume", stopped).code == 0
    assert [row["epoch"] for row in metrics_rows(stopped)] == [1, 2, 3]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_one_line(stopped):
    stopped.chmod(0o555)
    try:
        assert_refused(stopped, 2, stopped, "cannot be written", "Make it writable")
    finally:
        stopped.chmod(0o755)


def test_too_little_memory_says_how_to_go_on(tmp_path):
    resource = pytest.importorskip("resource")
    large = spec_in(tmp_path, "backbone.width=2048", "backbone.depth=16")
    run = RunDirectory.create(large, {}).path
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, hard))
    try:
        outcome = call("finetune", "--resume", run)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert (outcome.code, outcome.err.count("error:")) == (2, 1), outcome.err
    assert "out of memory" in outcome.err
    assert "Close other programs and go on again; or start another run with a smaller batch" in outcome.err
    assert "train.batch_size=8" in outcome.err


def test_a_run_that_diverged_keeps_its_last_good_state_and_diverges_there_again(tmp_path):
    wild = ("optimizer.lr=1e30", "optimizer.clip_norm=null", "schedule.warmup_epochs=1")
    outcome = call("finetune", *tiny("train.epochs=4", "schedule.warmup_lr=1e-6", *wild), "-o", tmp_path)
    run = only_run(tmp_path)
    assert (outcome.code, "epoch 2, step" in outcome.err) == (6, True)
    good = unsealed(run / "checkpoints" / "last.safetensors")
    assert (good[1]["state"]["epoch"], good[1]["state"]["step"]) == (1, 0)
    assert all(value.isfinite().all() for value in good[0].values() if value.is_floating_point())
    assert_refused(run, 6, "epoch 2, step", "the adapter of epoch 1 is kept", "Lower optimizer.lr")
    assert call("evaluate", run).code == 0


def test_a_run_whose_checkpoints_are_gone_is_not_run_over(stopped):
    shutil.rmtree(stopped / "checkpoints")
    assert_refused(stopped, 3, "there is no checkpoint to go on from", "pointlora finetune --spec")


def test_metrics_that_were_changed_are_refused(stopped):
    whole = (stopped / "metrics.jsonl").read_bytes()
    second = whole.splitlines(keepends=True)[1]
    for damaged, done in ((b"", 0), (second + second, 0), (b"{\n" + second, 0), (whole[:-1], 1)):
        (stopped / "metrics.jsonl").write_bytes(damaged)
        assert_refused(stopped, 3, f"holds {done} epochs, and the checkpoint was saved after 2")


def rewritten(run, /, **changes):
    """Change the record of the newest checkpoint, with a right seal."""
    path = run / "checkpoints" / "last.safetensors"
    tensors, record = unsealed(path)
    path.unlink()
    path.write_bytes(sealed(tensors, {**record, **changes}))
    return path


def test_a_checkpoint_of_another_pointlora_is_refused_and_not_passed_over(stopped):
    path = rewritten(stopped, format="pointlora-checkpoint-99")
    assert_refused(stopped, 3, path, "in the format '99'", "Go on with the pointlora that saved it")
    assert (stopped / "checkpoints" / "last-1.safetensors").exists()


def test_an_evaluation_of_other_clouds_is_refused(stopped):
    path = stopped / "checkpoints" / "last.safetensors"
    state = unsealed(path)[1]["state"]
    fewer = {"kind": "classes", "confusion": [[1]], "loss": 0.5}
    parts = {
        "kind": "parts",
        "shape_iou": [],
        "category": [],
        "categories": 1,
        "point_accuracy": 0.5,
        "loss": 1.0,
    }
    for evaluation in (fewer, parts):
        rewritten(stopped, state={**state, "kept": {**state["kept"], "evaluation": evaluation}})
        assert_refused(stopped, 3, path, "the evaluation it tells of is of other clouds")


@pytest.mark.parametrize(
    "changes",
    [{"run": None}, {"format": ["pointlora-checkpoint-1"]}, {"state": {"epoch": -1}}],
)
def test_a_sealed_file_that_is_no_checkpoint_costs_what_came_after_the_one_before(stopped, changes):
    path = rewritten(stopped, **changes)
    outcome = call("finetune", "--resume", stopped)
    assert outcome.code == 0, outcome.err
    assert f"{path}: not a checkpoint" in outcome.err
    assert [row["epoch"] for row in metrics_rows(stopped)] == [1, 2, 3]


@pytest.mark.parametrize("split", ["train", "test"])
def test_clouds_that_were_changed_meanwhile_are_refused(tmp_path, split):
    random = np.random.default_rng(0)
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(4):
            np.save(tmp_path / "data" / name / f"{index}.npy", random.normal(size=(64, 3)))
    small = [change for change in tiny(f"train.epochs={EPOCHS}") if "=" in change and "data." not in change]
    folder = {"data_root": tmp_path / "data", "overrides": [*small, "data.points=64", "backbone.init=random"]}
    spec = load_run_spec(**folder).model_copy(update={"output": spec_in(tmp_path / "runs").output})
    stopped_at(spec, lambda event: isinstance(event, EpochDone))
    run = only_run(tmp_path / "runs")
    np.save(tmp_path / "data" / split / "a" / "2.npy", random.normal(size=(64, 3)))
    assert_refused(run, 3, "SHA-256 of the clouds is ", "the run began with")


def test_a_finished_run_is_refused_and_its_result_stands(stopped):
    assert call("finetune", "--resume", stopped).code == 0
    result = json.loads((stopped / "result.json").read_text())
    assert_refused(stopped, 2, f"the run is finished: all {EPOCHS} epochs are done")
    assert json.loads((stopped / "result.json").read_text()) == result
