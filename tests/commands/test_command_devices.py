"""`finetune` in several processes: by `--devices`, by torchrun, and what becomes of them when one is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from command_line import call, environment, metrics_rows, only_run, tiny
from process_pairs import together

from pointlora_cli.services.finetune import finetune
from pointlora_cli.services.taking_part import take_part
from pointlora_cli.specs.loading import load_run_spec

CHANGES = (
    "train.epochs=24",
    "train.batch_size=8",
    "train.drop_last=false",
    "train.checkpoint_steps=1",
    "train.selection=best-val",
    "train.val_fraction=0.3",
)
PYTHON = (sys.executable, "-m")
LIMIT = 30  # seconds in which all processes are gone


def whole_run(distribution, folder):
    """As processes do it that are started one by one."""
    overrides = [part for part in tiny(*CHANGES)[2:] if part != "--set"]
    spec = load_run_spec(preset="quickstart", overrides=[*overrides, f"output.dir={folder}"])
    if distribution.leads:
        finetune(spec, lambda event: None, distribution=distribution)
    else:
        take_part(spec, distribution)


class Started:
    """A command in a process group of its own."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [*PYTHON, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment(OMP_NUM_THREADS="1"),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )

    def workers(self):
        """The processes that train, in the order of their ranks."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "spawn_main"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(number) for number in found.stdout.split()]

    def wait_for(self, is_so):
        deadline = time.monotonic() + 60
        while not is_so():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self, code):
        out, err = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == code, err
        assert "Traceback" not in err
        return out, err


def stamp(run):
    return max((path.stat().st_mtime_ns for path in run.glob("checkpoints/last.safetensors")), default=0)


def are_gone(numbers):
    return not any(os.path.exists(f"/proc/{number}") for number in numbers)  # noqa: PTH110


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")  # noqa: PTH112
def test_a_run_of_two_processes_is_stopped_killed_and_ended_by_torchrun_as_if_it_had_not_been(tmp_path):
    assert together(2, whole_run, tmp_path / "whole") == [None, None]
    whole, folder = only_run(tmp_path / "whole"), tmp_path / "runs"

    stopped = Started("pointlora_cli", "finetune", *tiny(*CHANGES), "-o", folder, "--devices", 2)
    stopped.wait_for(lambda: list(folder.glob("*/checkpoints/last.safetensors")))
    workers = stopped.workers()
    assert len(workers) == 2
    os.killpg(stopped.process.pid, signal.SIGINT)
    out, err = stopped.end(130)
    run = only_run(folder)  # one, of both processes
    assert out == ""
    assert err.count("error:") == 1
    assert f"Go on with: pointlora finetune --resume {run} --devices 2" in err
    assert are_gone(workers)

    alone = call("finetune", "--resume", run)
    assert alone.code == 3
    assert "processes is 1, the run began with 2" in alone.err

    before = stamp(run)
    killed = Started("pointlora_cli", "finetune", "--resume", run, "--devices", 2)
    killed.wait_for(lambda: stamp(run) > before)
    workers, began = killed.workers(), time.monotonic()
    os.kill(workers[1], signal.SIGKILL)
    out, err = killed.end(2)
    assert time.monotonic() - began < LIMIT
    assert are_gone(workers)
    assert out == ""
    assert err.count("error:") == 1
    assert "process 1 (of 2, counted from 0) ended without a word" in err

    ended = Started(
        *("torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "pointlora_cli"),
        *("finetune", "--resume", run, "--json"),
    )
    out, err = ended.end(0)
    assert out.count('"schema_version"') == 1
    assert err.count("the run goes on after") == 1
    assert only_run(folder) == run
    assert len(metrics_rows(run)) == 24
    for name in ("metrics.jsonl", "adapter/adapter.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--devices", "1000"), "--devices 1000: there are"),
        (("--devices", "0"), "--devices"),
    ],
)
def test_more_processes_than_there_are_devices_are_refused_before_anything_starts(tmp_path, arguments, words):
    outcome = call("finetune", *tiny(), "-o", tmp_path / "runs", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (tmp_path / "runs").exists()


def test_a_spec_that_is_wrong_is_told_before_anything_starts(tmp_path):
    outcome = call("finetune", *tiny("train.epoch=3"), "--devices", "2")
    assert outcome.code == 2
    assert "train.epoch" in outcome.err


def test_another_number_than_torchrun_started_is_refused(monkeypatch):
    place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    outcome = call("finetune", *tiny(), "--devices", "3")
    assert outcome.code == 2
    assert "--devices 3, but 2 processes were started" in outcome.err
