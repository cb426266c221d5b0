"""`pointlora fewshot`: all folds, mean and deviation, and no finished fold twice."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest
from command_line import call, start
from fewshot_files import fewshot_options, write_episodes
from rich.console import Console

from pointlora_cli.commands.fewshot import _document, _draw
from pointlora_cli.services.fewshot import FewShotResult
from pointlora_cli.services.grid_records import CellRecord
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.drawing import PointDrawing


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_episodes(tmp_path_factory.mktemp("episodes"))


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory):
    """A folder of runs with two finished folds, and the outcome of the command."""
    runs = tmp_path_factory.mktemp("finished")
    return runs, call("fewshot", "--folds", "2", *fewshot_options(files), "-o", runs, "--json")


def records(runs):
    return sorted(runs.glob("fewshot-*/fold-*.json"))


def test_each_fold_is_the_run_of_its_own_that_finetune_makes(finished, files, tmp_path):
    _, outcome = finished
    assert outcome.code == 0, outcome.err
    (setting,) = outcome.document["settings"]
    for fold in setting["folds"]:
        options = fewshot_options(files, f"data.fold={fold['fold']}")
        alone = call("finetune", "-p", "modelnet40-fewshot", *options, "-o", tmp_path, "--json").document
        assert alone["test"]["accuracy"] == fold["accuracy"] == fold["best"]
        assert alone["kept_epoch"] == fold["kept_epoch"]
        assert call("evaluate", fold["run"], "--json").document["accuracy"] == fold["accuracy"]
    accuracies = [fold["accuracy"] for fold in setting["folds"]]
    assert max(accuracies) > 0
    assert setting["mean"] == pytest.approx(sum(accuracies) / 2)
    assert setting["std_population"] == pytest.approx(abs(accuracies[0] - accuracies[1]) / 2)


def test_finished_folds_are_not_repeated_and_the_table_says_what_was_kept(finished, files):
    runs, first = finished
    before = {path: path.stat().st_mtime_ns for path in runs.iterdir()}
    again = call("fewshot", "--way", "5", "--shot", "10", "--folds", "2", *fewshot_options(files), "-o", runs)
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in runs.iterdir()} == before
    assert again.err.count("is finished already") == 2
    assert "0 of 2" in again.out
    assert "the best epoch on the test set" in again.out
    assert re.search(rf"mean ± std +{re.escape(first.document['settings'][0]['text'])}", again.out)


def test_a_fold_counts_after_its_run_was_removed_but_no_run_is_named(finished, files, tmp_path):
    runs, first = finished
    copied = shutil.copytree(runs, tmp_path / "runs")
    folds = first.document["settings"][0]["folds"]
    shutil.rmtree(copied / Path(folds[1]["run"]).name)
    again = call("fewshot", "--folds", "2", *fewshot_options(files), "-o", copied, "--json")
    (setting,) = again.document["settings"]
    assert (setting["trained_now"], setting["mean"]) == ([], first.document["settings"][0]["mean"])
    assert [fold["run"] for fold in setting["folds"]] == [str(copied / Path(folds[0]["run"]).name), None]
    assert again.err.count(", and was removed") == 1


def made_up(folds, *changes, method="idpt"):
    """A result of the published protocol, nearly."""
    values = {"run": "r", "score": 0.97, "score_name": "accuracy", "best": None, "last": None, "clouds": 9}
    values |= {"kept_epoch": 1, "epochs": 1, "trained": 1, "total": 2, "device": "cpu", "together": 1}
    record = CellRecord(**values, peak_memory=None, seconds=1.0)
    spec = load_run_spec(preset="modelnet40-fewshot", method=method, overrides=changes)
    return FewShotResult(spec, Path("records"), (record,) * folds, frozenset())


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (made_up(10), ["97.3 ± 2.1"]),
        (made_up(9), []),
        (made_up(10, "data.episodes=generated"), []),
        (made_up(10, "train.epochs=20"), []),
        (made_up(10, method="dapt"), ["96.8 ± 1.8 (unverified)"]),
        (made_up(10, method="lora"), []),
    ],
)
def test_the_published_mean_stands_below_that_of_the_ten_published_folds(result, shown):
    console = Console(width=100, file=io.StringIO())
    _draw(console, [result])
    text = console.file.getvalue()
    assert [one["value"] for one in _document([result])["settings"][0]["published"]] == [
        float(one.split()[0]) for one in shown
    ]
    assert all(one in text for one in shown)
    assert ("published: " in text) is bool(shown)


def test_another_method_runs_in_its_own_settings(files, tmp_path):
    options = [*fewshot_options(files, "train.epochs=1", scales=False), "-o", tmp_path, "--json"]
    outcome = call("fewshot", "--method", "vpt", "--folds", "1", *options)
    assert outcome.code == 0, outcome.err
    assert outcome.document["method"] == "vpt"
    refused = call("fewshot", "--method", "vptt", "-o", tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert "did you mean 'vpt'?" in refused.err


def test_votes_draw_from_the_stored_points_of_an_episode(files, tmp_path, monkeypatch):
    options = fewshot_options(files, "data.candidates=96", "train.epochs=1")
    run = call("finetune", "-p", "modelnet40-fewshot", *options, "-o", tmp_path, "--json").document["run"]
    drawn = []

    def watched(self, points):
        drawn.append(points.shape[1])
        return original(self, points)

    original = PointDrawing.__call__
    monkeypatch.setattr(PointDrawing, "__call__", watched)
    outcome = call("evaluate", run, "--vote", "2", "--json")
    assert outcome.code == 0, outcome.err
    assert drawn == [96, 96]


def test_another_spec_and_a_damaged_record_are_run_again(finished, files, tmp_path):
    runs = tmp_path / "runs"
    arguments = ["fewshot", "--folds", "1", "-o", runs, "--json"]
    for change, trained in (("train.seed=0", [0]), ("train.seed=1", [0]), ("train.seed=1", [])):
        outcome = call(*arguments, *fewshot_options(files, change))
        assert outcome.document["settings"][0]["trained_now"] == trained
    (first, second) = records(runs)
    assert first.parent != second.parent
    whole = json.loads(second.read_text())
    for damaged in ("{", "[]", json.dumps({**whole, "record": {**whole["record"], "score": 0.987}})):
        for path in (first, second):
            path.write_text(damaged)
        outcome = call(*arguments, *fewshot_options(files, "train.seed=1"))
        assert outcome.document["settings"][0]["trained_now"] == [0]
        assert "is damaged" in outcome.err


def test_all_fills_the_four_columns(tmp_path):
    root = write_episodes(tmp_path, ((5, 10), (5, 20), (10, 10), (10, 20)), folds=1)
    options = [*fewshot_options(root, "train.epochs=1", "train.batch_size=64"), "-o", tmp_path / "runs"]
    outcome = call("fewshot", "--all", "--folds", "1", *options)
    assert outcome.code == 0, outcome.err
    assert re.search(r"fold +5w10s +5w20s +10w10s +10w20s", outcome.out)
    assert len(re.findall(r"\d ± 0\.0", outcome.out)) >= 8
    assert len(records(tmp_path / "runs")) == 4


def test_what_was_finished_stands_when_a_later_fold_is_killed(files, tmp_path):
    options = [*fewshot_options(files, "train.epochs=15"), "-o", tmp_path / "runs"]
    process = start("fewshot", "--folds", "2", *options)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    seen = ""
    while "fold 1 (2 of 2)" not in seen or "epoch 2/" not in seen.partition("fold 1 (2 of 2)")[2]:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    process.kill()
    out, _ = process.communicate()
    watchdog.cancel()
    assert (process.returncode, out) == (-signal.SIGKILL, "")
    (record,) = records(tmp_path / "runs")
    kept = json.loads(record.read_text())["record"]
    assert (record.name, kept["epochs"]) == ("fold-0.json", 15)
    outcome = call("fewshot", "--folds", "2", *options, "--json")
    assert "the run goes on after epoch" in outcome.err  # within the fold
    again = outcome.document["settings"][0]
    assert again["trained_now"] == [1]
    assert [fold["fold"] for fold in again["folds"]] == [0, 1]
    assert again["folds"][0]["run"].endswith(kept["run"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-p", "quickstart"], 2, "few-shot folds are of 'modelnet40-fewshot'"),
        (["--all", "--way", "5"], 2, "--all runs every way and shot"),
        (["--set", "data.fold=3"], 2, "--folds"),
        (["--folds", "11"], 2, "no published episodes of way 5, shot 10, fold 10"),
        (["--folds", "3"], 3, "5way_10shot/2.pkl"),
    ],
)
def test_what_cannot_run_is_refused_before_the_first_fold(files, tmp_path, arguments, code, words):
    options = fewshot_options(files) if code == 3 else []
    outcome = call("fewshot", *arguments, *options, "-o", tmp_path / "runs")
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err
    assert not (tmp_path / "runs").exists()
