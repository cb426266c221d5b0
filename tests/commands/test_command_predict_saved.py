"""`pointlora predict --save`: thousands of files, whatever is broken among them and whatever kills it."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import call, start

from pointlora_cli.console import predict_progress
from pointlora_cli.errors import Terminated
from pointlora_cli.services.predict import ClassPredictor


def fill(folder, count, *, broken=()):
    random = np.random.RandomState(0)
    folder.mkdir(exist_ok=True)
    for index in range(count):
        path = folder / f"{index:03}.npy"
        if index in broken:
            path.write_bytes(b"\x93NUMPY")
        else:
            np.save(path, random.standard_normal((30, 3)).astype(np.float32) * [1, 2, 1 + index % 7])
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def clouds(elsewhere):
    return fill(elsewhere / "clouds", 12, broken=(3, 7))


def predict(trained_run, *arguments):
    return call("predict", *arguments, "-a", trained_run, "--workers", "1")


def test_saved_rows_are_those_of_json(trained_run, clouds):
    outcome = predict(trained_run, clouds, "--save", "new/results.jsonl")
    assert outcome.code == 3
    assert outcome.err.count("left out") == 2
    assert outcome.err.endswith("error: 2 of 12 files could not be read\n")
    assert "12 files; 2 could not be read" in outcome.out
    shown = predict(trained_run, clouds, "--json").document["predictions"]
    saved = rows(Path("new/results.jsonl"))
    settings = [row.pop("settings") for row in saved]
    assert {row.pop("folder") for row in saved} == {".."}
    assert saved == shown
    assert all(each == settings[0] for each in settings)
    assert settings[0]["precision"] == "float32"


def test_the_same_command_goes_on_and_ends_as_if_it_had_not_been_stopped(trained_run, clouds):
    predict(trained_run, clouds, "--save", "whole.jsonl")
    whole = Path("whole.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    Path("cut.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:40])
    outcome = predict(trained_run, clouds, "--save", "cut.jsonl", "--json")
    assert outcome.code == 3
    assert Path("cut.jsonl").read_bytes() == whole
    assert outcome.document["earlier"] == 5
    assert (outcome.document["files"], outcome.document["unreadable"]) == (12, 2)
    assert sum(outcome.document["answers"].values()) == outcome.document["predicted"] == 10
    again = predict(trained_run, clouds, "--save", "cut.jsonl", "--json")
    assert again.document == outcome.document | {"earlier": 12}
    assert Path("cut.jsonl").read_bytes() == whole
    fill(clouds, 14, broken=(3, 7))
    more = predict(trained_run, clouds, "--save", "cut.jsonl")
    assert "holds 12 of 14 files already" in more.err
    assert "14 files, 12 of them by earlier calls" in more.out
    assert [row["path"] for row in rows(Path("cut.jsonl"))][12:] == [
        str(clouds / "012.npy"),
        str(clouds / "013.npy"),
    ]


def test_a_file_named_twice_is_recorded_once(trained_run, clouds):
    Path("list").write_text(f"{clouds}/000.npy\n{clouds}/001.npy\n")
    outcome = predict(
        trained_run, clouds / "000.npy", "--list", "list", f"{clouds}/00[01].npy", "--save", "r"
    )
    assert outcome.code == 0, outcome.err
    assert [row["path"] for row in rows(Path("r"))] == [str(clouds / "000.npy"), str(clouds / "001.npy")]


def test_another_model_is_refused_by_name(trained_run, clouds, tmp_path):
    assert predict(trained_run, clouds / "000.npy", "--save", "r").code == 0
    kept = Path("r").read_bytes()
    Path("r").write_bytes(kept.replace(b'"settings": {"model": "', b'"settings": {"model": "0'))
    outcome = predict(trained_run, clouds, "--save", "r")
    assert outcome.code == 2
    assert "r: line 1 is of another model 0" in outcome.err
    assert len(rows(Path("r"))) == 1


def test_files_that_could_not_be_read_are_asked_for_again_with_retry(trained_run, clouds):
    predict(trained_run, clouds, "--save", "r")
    np.save(clouds / "003.npy", np.random.RandomState(0).rand(9, 3))
    assert predict(trained_run, clouds, "--save", "r", "--json").document["unreadable"] == 2
    outcome = predict(trained_run, clouds, "--save", "r", "--retry", "--json")
    assert outcome.code == 3
    assert (outcome.document["earlier"], outcome.document["unreadable"]) == (10, 1)
    paths = [row["path"] for row in rows(Path("r"))]
    assert sorted(paths) == sorted(map(str, clouds.iterdir()))
    assert paths[-2:] == [str(clouds / name) for name in ("003.npy", "007.npy")]


@pytest.mark.parametrize("options", [("--save", "-"), ("--retry",)])
def test_where_there_is_no_file_to_record_in(trained_run, clouds, options):
    outcome = predict(trained_run, clouds, *options)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {options[0]} ")
    assert sorted(path.name for path in Path().iterdir()) == ["clouds"]


@pytest.mark.parametrize("option", [("--selection", "views"), ("--top", "2")])
def test_what_a_file_of_results_cannot_hold_is_refused(trained_run, clouds, option):
    outcome = predict(trained_run, clouds, "--save", "r", *option)
    assert outcome.code == 2
    assert f"--save and {option[0]} do not go together" in outcome.err
    assert not Path("r").exists()


def test_a_list_on_standard_input(trained_run, clouds, monkeypatch):
    with Path("list").open("w+") as stream:
        stream.write(f"{clouds}/000.npy\nnosuch.ply\n")
        stream.seek(0)
        monkeypatch.setattr("sys.stdin", stream)
        outcome = predict(trained_run, "--list", "-", "--json")
    assert outcome.code == 3
    assert ["error" in row for row in outcome.document["predictions"]] == [False, True]


def test_progress_is_told_on_stderr(trained_run, clouds, monkeypatch):
    monkeypatch.setattr(predict_progress, "_LINE_EVERY", 0.0)
    for options in ((), ("--save", "r")):
        outcome = predict(trained_run, clouds, *options)
        assert re.search(r"note: 12 of 12 files  [\d,.]+/s  0:00 left  2 unreadable", outcome.err)
        assert "of 12 files  " not in outcome.out


def test_an_interruption_without_a_file_of_results_says_what_would_keep_them(
    trained_run, clouds, monkeypatch
):
    finish = ClassPredictor.finish
    taken = []

    def finish_three(self, prepared):
        if len(taken) == 3:
            raise Terminated
        taken.append(prepared)
        return finish(self, prepared)

    monkeypatch.setattr(ClassPredictor, "finish", finish_three)
    outcome = predict(trained_run, clouds)
    assert (outcome.code, outcome.out) == (143, "")
    assert "error: terminated; 4 of 12 files were predicted, and are not recorded\n" in outcome.err
    assert "hint:  --save FILE records each" in outcome.err


def workers_of(process):
    """The processes that predict: all children but for a helper of Python's own."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def stopped(command, results, *, after, number):
    """Start, and send a signal to all processes after so many rows (SIGKILL: to the first alone)."""
    process = start(*command)
    deadline = time.monotonic() + 60
    while not (results.exists() and results.read_bytes().count(b"\n") >= after):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    workers = workers_of(process)
    assert len(workers) == 2
    sent = time.monotonic()
    for target in [*([] if number == signal.SIGKILL else workers), process.pid]:
        os.kill(target, number)
    _, err = process.communicate()
    assert time.monotonic() - sent < 5
    while any(Path(f"/proc/{worker}").exists() for worker in workers):  # after a kill they end by themselves
        assert time.monotonic() - sent < 5
        time.sleep(0.05)
    return process.returncode, err


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs a list of a process's children")
def test_two_processes_survive_broken_files_a_kill_and_ctrl_c(trained_run, elsewhere):
    clouds = fill(elsewhere / "clouds", 200, broken=range(5, 200, 10))
    for name in ("0600.xyz", "1200.xyz"):  # so that there is time to stop it
        np.savetxt(clouds / name, np.random.RandomState(1).rand(100_000, 3), fmt="%.4f")
    results = elsewhere / "r.jsonl"
    command = ("predict", "clouds", "-a", trained_run, "--save", "r.jsonl", "--workers", "2")
    kept = b""
    for after, number, code in ((20, signal.SIGKILL, -signal.SIGKILL), (70, signal.SIGINT, 130)):
        found, err = stopped(command, results, after=after, number=number)
        assert found == code, err
        assert results.read_bytes().startswith(kept)
        kept = results.read_bytes()
        kept = kept[: kept.rfind(b"\n") + 1]
        recorded = kept.count(b"\n")
        assert after <= recorded < 202
        assert "Traceback" not in err
    assert f"error: interrupted; {recorded} of 202 files are in r.jsonl\n" in err
    assert "hint:  The same command goes on with the others.\n" in err
    outcome = predict(trained_run, "clouds", "--save", "r.jsonl", "--json")
    assert outcome.code == 3
    assert outcome.err.endswith("error: 20 of 202 files could not be read\n")
    assert (outcome.document["files"], outcome.document["unreadable"]) == (202, 20)
    assert outcome.document["earlier"] == recorded
    assert results.read_bytes().startswith(kept)
    assert [Path(row["path"]).name for row in rows(results)] == sorted(path.name for path in clouds.iterdir())
