"""Ctrl-C and SIGTERM while a run trains: a code of its own, one message, and what was learned is kept."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from command_line import call, metrics_rows, only_run, start, tiny

from pointlora_cli.training.sealed_file import unsealed


def interrupted(tmp_path, *signals, pause=0.0):
    """Start a long run, wait for its second epoch, send the signals; give code, stderr, seconds it took."""
    process = start("finetune", *tiny("train.epochs=5000"), "-o", tmp_path)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    assert process.stderr is not None
    assert process.stdout is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("epoch 2/"):
            break
    sent = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(pause)
    rest = process.stderr.read()
    out = process.stdout.read()
    code = process.wait()
    watchdog.cancel()
    process.stderr.close()
    process.stdout.close()
    assert out == ""
    assert "Traceback" not in rest
    assert "Exception ignored" not in rest
    return code, "".join(seen) + rest, time.monotonic() - sent


def wait_until_heeded(process, number):
    """Wait until the process has a handler of its own for a signal."""
    deadline = time.monotonic() + 60
    status = Path(f"/proc/{process.pid}/status")
    while time.monotonic() < deadline:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) >> (number - 1) & 1:
            return
        time.sleep(0.005)
    raise AssertionError("the signal is not heeded")


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signal_stops_the_run_and_keeps_the_last_epoch(tmp_path, number, code, word):
    found, err, seconds = interrupted(tmp_path, number)
    run_directory = only_run(tmp_path)
    assert found == code
    assert seconds < 5
    rows = metrics_rows(run_directory)
    assert len(rows) >= 2
    assert f"error: {word} in epoch" in err
    assert f"the adapter of epoch {rows[-1]['epoch']} is kept in {run_directory}" in err
    assert f"pointlora evaluate {run_directory}" in err
    assert f"Go on with: pointlora finetune --resume {run_directory}" in err
    assert (
        unsealed(run_directory / "checkpoints" / "last.safetensors")[1]["state"]["epoch"] == rows[-1]["epoch"]
    )
    assert word in (run_directory / "log.txt").read_text()
    evaluated = call("evaluate", run_directory, "--json").document
    assert evaluated["kept_epoch"] == rows[-1]["epoch"]
    assert evaluated["accuracy"] == rows[-1]["accuracy"]


@pytest.mark.parametrize("pause", [0.003, 0.1])
def test_second_ctrl_c_stops_at_once_and_leaves_no_half_file(tmp_path, pause):
    code, _, seconds = interrupted(tmp_path, signal.SIGINT, signal.SIGINT, pause=pause)
    assert code in (130, -signal.SIGINT)  # a shell shows both as 130
    assert seconds < 5
    assert {path.name for path in (only_run(tmp_path) / "adapter").iterdir()} >= {
        "adapter.json",
        "adapter.safetensors",
    }
    assert call("evaluate", only_run(tmp_path)).code == 0


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux to see when a signal is heeded"
)
@pytest.mark.parametrize("delay", [0.0, 0.5])
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signal_before_training_says_so_too(tmp_path, number, code, word, delay):
    process = start("finetune", *tiny("train.epochs=5000"), "-o", tmp_path)
    wait_until_heeded(process, signal.SIGTERM)  # both come together; Python itself heeds SIGINT earlier
    time.sleep(delay)  # parsing the options, importing torch
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert err.count("error:") == 1
    assert word in err
    assert "Traceback" not in err
