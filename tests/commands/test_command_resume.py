"""`pointlora finetune --resume`: a run that was stopped in any way comes to the end of one that was not."""

from __future__ import annotations

import json
import multiprocessing
import random
import subprocess
import sys
import time

import pytest
import yaml
from command_line import call, environment, metrics_rows, only_run, tiny

from pointlora_cli.services.finetune import finetune
from pointlora_cli.services.runs import RunDirectory
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.events import EpochDone
from pointlora_cli.training.sealed_file import sealed, unsealed

EPOCHS, KILLS = 5, 6
LOADED = (
    "filelock",
    "pointlora_cli.app",
    "pointlora_cli.console.progress",
    "pointlora_cli.services.finetune",
    "pytest",
    "torch._dynamo",
)
CHANGES = (
    f"train.epochs={EPOCHS}",
    "train.selection=best-val",
    "train.val_fraction=0.25",
    "train.checkpoint_steps=1",
    "train.batch_size=8",
    "optimizer.lr=0.02",
)


def go_on(run):
    """In a process of its own."""
    call("finetune", "--resume", run)


def assert_same_end(run, whole):
    for name in ("metrics.jsonl", "adapter/adapter.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    records = [json.loads((path / "adapter" / "adapter.json").read_text()) for path in (run, whole)]
    assert records[0]["result"] == records[1]["result"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = call("finetune", *tiny(*CHANGES), "-o", folder, "--json")
    assert outcome.code == 0, outcome.err
    (folder / "result.json").write_text(outcome.out)
    return next(path for path in folder.iterdir() if path.is_dir())


@pytest.fixture
def stopped(tmp_path, whole):
    """A run of the same spec that Ctrl-C stopped after its second epoch."""
    spec = load_run_spec(spec_file=whole / "spec.yaml", overrides=[f"output.dir={tmp_path / 'runs'}"])

    def listen(event):
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(Exception, match="interrupted in epoch"):
        finetune(spec, listen)
    return only_run(tmp_path / "runs")


def place_of(run):
    """Epochs and steps of the newest checkpoint, which must be whole at any moment."""
    try:
        state = unsealed(run / "checkpoints" / "last.safetensors")[1]["state"]
    except FileNotFoundError:
        return (0, 0)
    return state["epoch"], state["step"]


def stamp_of(run):
    """Changes with each save."""
    try:
        return (run / "checkpoints" / "last.safetensors").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def test_a_run_killed_at_any_moment_always_goes_on_and_comes_to_the_same_end(tmp_path, whole):
    # Processes are forked from one that has loaded all there is, so that a life takes no longer than its training.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED])
    spec = load_run_spec(spec_file=whole / "spec.yaml", overrides=[f"output.dir={tmp_path}"])
    run = RunDirectory.create(spec, {}).path  # as one that was killed before its first step
    chance, reached, kills = random.Random(0), (0, 0), 0
    while not (run / "result.json").exists():
        life = context.Process(target=go_on, args=(run,))
        life.start()
        deadline = time.monotonic() + 60
        before = stamp_of(run)
        while kills < KILLS and life.is_alive() and stamp_of(run) == before:
            time.sleep(0.003)
            assert time.monotonic() < deadline
        if kills < KILLS and life.is_alive():
            time.sleep(chance.uniform(0, 0.02))
            life.kill()
            kills += 1
        life.join()
        assert place_of(run) >= reached
        reached = place_of(run)
    assert kills == KILLS
    assert_same_end(run, whole)
    assert (run / "log.txt").read_text().count("random weights") == 1


def test_a_stopped_run_goes_on_where_it_was(stopped, whole):
    assert len(metrics_rows(stopped)) == 3
    outcome = call("finetune", "--resume", stopped, "--json")
    assert outcome.code == 0, outcome.err
    assert "the run goes on after epoch 3" in outcome.err
    assert "epoch 3/" not in outcome.err
    assert_same_end(stopped, whole)
    expected = json.loads((whole.parent / "result.json").read_text())
    for key in ("test", "kept_epoch", "epochs", "selection"):
        assert outcome.document[key] == expected[key]
    log = (stopped / "log.txt").read_text()
    assert log.count("interrupted in epoch 4") == log.count("the run goes on after epoch 3") == 1
    assert log.count("random weights") == 1


def test_a_damaged_checkpoint_costs_what_came_after_the_one_before(stopped, whole):
    checkpoint = stopped / "checkpoints" / "last.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.unlink()
    checkpoint.write_bytes(content)
    outcome = call("finetune", "--resume", stopped)
    assert outcome.code == 0, outcome.err
    assert f"{checkpoint}: damaged" in outcome.err
    assert "the checkpoint before it is used" in outcome.err
    assert "the run goes on after epoch 3, step 3" in outcome.err  # it was saved before the evaluation
    assert_same_end(stopped, whole)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--set", "method.rank=8"], "method.rank is 8, the run has 4"),
        (
            ["--set", "train.epochs=99", "--set", "optimizer.lr=1"],
            f"train.epochs is 99, the run has {EPOCHS}",
        ),
        (["--set", "backbone.width=48"], "backbone.width is 48, the run has 24"),
        (["--preset", "quickstart"], "data.points is 512, the run has 64"),
        (["--method", "lora"], "method.name is 'lora', the run has 'pointlora'"),
    ],
)
def test_another_spec_is_refused_with_what_differs(stopped, changes, words):
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    outcome = call("finetune", "--resume", stopped, *changes)
    assert outcome.code == 3
    assert "cannot go on as another one" in outcome.err
    assert words in outcome.err
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_a_spec_file_that_was_changed_meanwhile_is_refused(stopped):
    spec = yaml.safe_load((stopped / "spec.yaml").read_text())
    spec["train"]["seed"] = 7
    (stopped / "spec.yaml").write_text(yaml.safe_dump(spec))
    outcome = call("finetune", "--resume", stopped)
    assert outcome.code == 3
    assert "train.seed is 7, the run began with 0" in outcome.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SHA-256 of the base": "0" * 64}, "began with 000000000000…"),
        ({"classes": ["a", "b"]}, "classes is ["),
        ({"SHA-256 of the clouds": "1" * 64}, "SHA-256 of the clouds is "),
        ({"device": "cuda"}, "device is 'cpu', the run began with 'cuda'"),
    ],
)
def test_other_data_or_another_base_is_refused(stopped, change, words):
    path = stopped / "checkpoints" / "last.safetensors"
    tensors, record = unsealed(path)
    path.write_bytes(sealed(tensors, {**record, "run": record["run"] | change}))
    outcome = call("finetune", "--resume", stopped)
    assert outcome.code == 3
    assert words in outcome.err
    assert outcome.err.count("error:") == 1


def test_what_cannot_be_gone_on_with_is_refused(whole, stopped, tmp_path):
    finished = call("finetune", "--resume", whole)
    assert finished.code == 2
    assert f"the run is finished: all {EPOCHS} epochs are done" in finished.err
    assert f"pointlora evaluate {whole}" in finished.err
    for path, words in ((tmp_path / "nosuch", "no such run directory"), (tmp_path, "no spec.yaml")):
        outcome = call("finetune", "--resume", path)
        assert (outcome.code, words in outcome.err) == (3, True)
    for option in (["-o", tmp_path], ["--dry-run"]):
        outcome = call("finetune", "--resume", stopped, *option)
        assert (outcome.code, "does not go with --resume" in outcome.err) == (2, True)


def test_a_run_that_another_process_is_at_is_left_alone(stopped):
    holding = "import sys, pathlib; from pointlora_cli.services.runs import RunDirectory\n"
    holding += "with RunDirectory(pathlib.Path(sys.argv[1])).held(): print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", holding, stopped], env=environment(), **pipes) as process:
        process.stdout.readline()
        outcome = call("finetune", "--resume", stopped)
        process.stdin.close()
    assert (outcome.code, outcome.err.count("error:")) == (2, 1)
    assert "another process is at work on this run" in outcome.err
    assert not (stopped / ".lock").exists()
    assert call("finetune", "--resume", stopped).code == 0


def test_a_run_whose_metrics_are_lost_is_refused(stopped):
    (stopped / "metrics.jsonl").write_text("")
    outcome = call("finetune", "--resume", stopped)
    assert outcome.code == 3
    assert "holds 0 epochs, and the checkpoint was saved after 3" in outcome.err
