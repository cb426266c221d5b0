"""`pointlora compare`: one table over methods and seeds, and no finished run twice."""

from __future__ import annotations

import json
import re
import shutil
import signal
import statistics
import threading
import time
from pathlib import Path

import pytest
import yaml
from command_line import call, metrics_rows, start, tiny

from pointlora_cli.commands.compare_result import compared_table, comparison_document
from pointlora_cli.console.compare_tables import comparison_markdown
from pointlora_cli.services.compare import Standing, plan_comparison
from pointlora_cli.services.grid_records import CellRecord
from pointlora_cli.specs.loading import load_run_spec

SMALL = tiny(scales=False)


def arguments(runs, *more, methods="lora,linear", seeds="2"):
    return ["compare", "--methods", methods, "--seeds", seeds, *SMALL, "-o", runs, *more]


def records_in(runs):
    (folder,) = Path(runs).glob("compare-*")
    return folder


def lines_until(process, *wanted):
    """Read stderr until each of these has been seen."""
    seen = ""
    while not all(words in seen for words in wanted):
        line = process.stderr.readline()
        assert line, seen
        seen += line
    return seen


def children(process):
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in found.split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_soon(holds):
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder of runs, and the outcome of the comparison in it."""
    runs = tmp_path_factory.mktemp("compared")
    outcome = call(*arguments(runs, "--json"))
    assert outcome.code == 0, outcome.err
    return runs, outcome


def test_the_figures_are_those_of_the_runs_own_files(finished):
    runs, outcome = finished
    document = outcome.document
    assert (document["complete"], document["seeds"], document["score"]) == (True, [0, 1], "accuracy")
    for row in document["methods"]:
        scores = []
        for cell in row["cells"]:
            run = Path(cell["run"])
            spec = yaml.safe_load((run / "spec.yaml").read_text())
            assert (spec["method"]["name"], spec["train"]["seed"]) == (row["method"], cell["seed"])
            assert spec["method"] == row["settings"]
            assert metrics_rows(run)[cell["kept_epoch"] - 1]["accuracy"] == cell["score"]
            assert f"seed-{cell['seed']}" in run.name
            scores.append(cell["score"])
        assert row["mean"] == pytest.approx(statistics.fmean(scores))
        assert row["std_sample"] == pytest.approx(statistics.stdev(scores))
        assert row["mean_seconds"] == pytest.approx(statistics.fmean(c["seconds"] for c in row["cells"]))
        assert row["peak_memory_bytes"] == max(cell["peak_memory"] for cell in row["cells"])
        inspected = call("inspect", "--spec", run / "spec.yaml", "--json").document["parameters"]
        assert (row["trained"], row["total"]) == (inspected["trained"], inspected["total"])
    assert json.loads((records_in(runs) / "results.json").read_text()) == document


def test_the_table_holds_them_too_and_no_run_is_repeated(finished):
    runs, first = finished
    before = sorted(runs.iterdir())
    again = call(*arguments(runs))
    assert again.code == 0, again.err
    assert sorted(runs.iterdir()) == before
    assert again.err.count("is finished already") == 4
    table = (records_in(runs) / "table.md").read_text()
    for row in first.document["methods"]:
        mean, deviation = 100 * row["mean"], 100 * row["std_sample"]
        for text in (again.out, table):
            (line,) = (one for one in text.splitlines() if re.match(rf"[ |*]*{row['method']}\b", one))
            assert f"{mean:.2f} ± {deviation:.2f}" in line
            assert f"{row['trained'] / 1e6:.3f}" in line
    assert "std of a sample over the seeds 0, 1" in again.out
    assert "epoch kept: the last epoch" in again.out
    assert "the process, with PyTorch, data and what earlier runs in it left" in table
    assert max(len(line.rstrip()) for line in again.out.splitlines() if "─" in line) <= 80


def test_a_run_that_was_removed_counts_but_is_not_named(finished, tmp_path):
    runs, first = finished
    copied = shutil.copytree(runs, tmp_path / "runs")
    shutil.rmtree(copied / Path(first.document["methods"][1]["cells"][0]["run"]).name)
    again = call(*arguments(copied, "--json"))
    assert again.code == 0, again.err
    assert again.err.count(", and was removed") == 1
    for row, before in zip(again.document["methods"], first.document["methods"], strict=True):
        assert (row["mean"], row["peak_memory_bytes"]) == (before["mean"], before["peak_memory_bytes"])
    named = [[cell["run"] is not None for cell in row["cells"]] for row in again.document["methods"]]
    assert named == [[True, True], [False, True]]


def test_more_methods_and_seeds_add_to_what_is_there(finished):
    runs, _ = finished
    outcome = call(*arguments(runs, methods="linear,bitfit", seeds="1,"))
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("is finished already") == 1
    assert "bitfit seed 1 is finished" in outcome.err
    assert records_in(runs)  # one folder


def test_each_method_has_its_own_settings_and_none_of_the_preset_s(tmp_path):
    outcome = call(*arguments(tmp_path, "--dry-run", "--json", methods="pointlora,lora,vpt,scratch"))
    assert outcome.code == 0, outcome.err
    specs = {row["method"]: row["spec"] for row in outcome.document["methods"]}
    assert specs["lora"]["method"] == {"name": "lora", "rank": 8, "alpha": 8.0, "sites": ["qkv"]}
    assert specs["pointlora"]["method"]["scales"][0]["keep"] == 8  # the preset's own
    assert specs["scratch"]["method"]["name"] == "full"
    assert specs["scratch"]["backbone"]["init"] == "random"
    assert {json.dumps(spec["optimizer"]) for spec in specs.values()} == {
        json.dumps(specs["vpt"]["optimizer"])
    }
    for row in outcome.document["methods"]:
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump(row["spec"]))
        inspected = call("inspect", "--spec", path, "--json").document["parameters"]
        assert inspected == row["parameters"]
        path.unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_spec_file_of_one_method_serves_for_all(finished, tmp_path):
    _, outcome = finished
    run = Path(outcome.document["methods"][0]["cells"][0]["run"])
    compared = call(
        "compare", "-m", "lora,vpt,dapt", "--spec", run / "spec.yaml", "-o", tmp_path, "--dry-run", "--json"
    )
    assert compared.code == 0, compared.err
    assert [row["spec"]["method"]["name"] for row in compared.document["methods"]] == ["lora", "vpt", "dapt"]
    rates = {row["spec"]["optimizer"]["lr"] for row in compared.document["methods"]}
    assert rates == {4e-3}  # the quickstart's


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to see a process's children")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stop_between_runs_ends_all_processes_and_loses_no_finished_run(tmp_path, number, code):
    command = arguments(tmp_path, "--set", "train.epochs=25", methods="linear,bitfit,full", seeds="0,")
    process = start(*command, "--jobs", "2")
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    seen = lines_until(process, " is finished: ")
    workers = children(process)
    assert len(workers) >= 2
    process.send_signal(number)
    out, err = process.communicate()
    watchdog.cancel()
    assert process.returncode == code
    assert "Traceback" not in err
    assert_soon(lambda: not any(map(is_running, workers)))
    kept = {path: path.read_bytes() for path in records_in(tmp_path).glob("*-seed-*.json")}
    assert 1 <= len(kept) <= 2
    if number == signal.SIGINT:
        assert f"error: interrupted; {len(kept)} of 3 runs are finished and stand" in err
        assert "Go on with: pointlora compare --methods linear,bitfit,full" in err
        (done,) = re.findall(r"note: (\w+) seed 0 is finished", seen)
        assert re.search(rf"^  {done} +0\.0\d\d .* s  $", out, re.MULTILINE)
        assert "–" in out
        assert (records_in(tmp_path) / "table.md").exists()
    again = call(*command, "--json")
    assert again.code == 0, again.err
    assert again.document["complete"]
    assert again.err.count("is finished already") == len(kept)
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_failing_run_ends_with_its_code_after_the_others(tmp_path):
    wild = ("--set", "optimizer.lr=1e30", "--set", "train.epochs=2")
    outcome = call(*arguments(tmp_path, *wild, methods="full", seeds="2"))
    assert outcome.code == 6
    assert "2 runs failed; 0 of 2 runs are finished and stand" in outcome.err
    assert "full seed 1: " in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["-m", "lora,fll,scrach"], "there is no method 'fll' or 'scrach'; did you mean 'full'?"),
        (["-m", "lora,pointgst", "--set", "tokenizer.centers=7"], "pointgst: 1 problem in the run spec"),
        (["-m", "full,scratch"], "are the same here"),
        (["-m", "lora,full", "--set", "method.rank=4"], "method.rank=4 is an option of one method"),
        (["-m", "lora", "--set", "method.rnk=4"], "did you mean 'rank'?"),
        (["-m", "lora", "--set", "train.seed=4"], "Use --seeds"),
        (["-m", "lora", "--set", "method.name=full"], "Use --methods"),
        (["-m", "lora", "--seeds", "0"], "--seeds must be how many"),
        (["-m", ","], "names no method"),
        (["-m", "lora", "--backbone", "point-mea"], "did you mean 'point-mae'?"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_starts(tmp_path, more, words):
    outcome = call("compare", *SMALL, "-o", tmp_path, *more)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_every_refusal_of_a_backbone_is_told_at_once(tmp_path):
    outcome = call("compare", "-p", "scanobjectnn", "-b", "point-m2ae", "-m", "lora,dapt,vpt", "-o", tmp_path)
    assert outcome.code == 2
    assert "method dapt does not run on backbone point-m2ae" in outcome.err
    assert "method vpt does not run on backbone point-m2ae" in outcome.err


def standing_of(contender, *scores):
    """A method with made-up results."""
    values = {"run": "r", "score_name": "accuracy", "best": None, "last": None, "clouds": 9, "kept_epoch": 1}
    values |= {"epochs": 1, "trained": 772_752, "total": 22_513_960, "device": "cuda:0", "together": 1}
    values |= {"peak_memory": 3 * 10**9, "seconds": 7200.0}
    return Standing(contender, tuple(CellRecord(score=score, **values) for score in scores))


@pytest.mark.parametrize(
    ("change", "is_shown"),
    [
        ((), True),
        (("train.selection=last",), False),
        (("augmentation.rotate=y",), False),
        (("train.epochs=100",), False),
        (("backbone.init=random",), False),
    ],
)
def test_published_figures_stand_beside_ours_only_under_their_protocol(change, is_shown):
    def load(method, changes):
        return load_run_spec(preset="scanobjectnn", method=method, overrides=[*change, *changes])

    comparison = plan_comparison(["pointlora", "full"], [0, 1], load)
    found = [standing_of(one, 0.85, 0.86) for one in comparison.contenders]
    text = comparison_markdown(compared_table(comparison, found))
    assert ("85.53 [1]" in text) is is_shown
    assert ("85.18 [2]" in text) is is_shown
    assert ("[2] published: README of Point-MAE" in text) is is_shown
    assert ("published" in text) is is_shown
    assert "| **pointlora** | **0.773** | **3.43** | **85.50 ± 0.71** | **3.0 GB** | **2.0 h** |" in text
    published = [row["published"] for row in comparison_document(comparison, found)["methods"]]
    assert all(bool(results) is is_shown for results in published)


def test_a_figure_that_nothing_confirms_carries_its_mark():
    comparison = plan_comparison(
        ["bitfit"], [0], lambda method, _: load_run_spec(preset="scanobjectnn", method=method)
    )
    text = comparison_markdown(compared_table(comparison, [standing_of(comparison.contenders[0], 0.8)]))
    assert "82.62? [1]" in text
    assert re.search(r"\[1\] published: .*unverified", text)
