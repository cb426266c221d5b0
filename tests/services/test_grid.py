"""A grid of runs: records that are trusted only whole, failures that stop nothing else, and several at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from grid_cells import Watch, cell_in, spec_in

from pointlora_cli.errors import DataError, DivergedError, ExitCode, SeveralErrors
from pointlora_cli.services.compare import plan_comparison
from pointlora_cli.services.grid import GridError, run_grid
from pointlora_cli.services.grid_inputs import Inputs
from pointlora_cli.services.grid_records import examine_record, read_record
from pointlora_cli.services.grid_workers import how_many_fit
from pointlora_cli.specs.data import FolderData
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.events import EpochDone

GIB = 2**30


def diverging(folder):
    spec = spec_in(folder)
    return cell_in(
        folder, "wild", spec.model_copy(update={"optimizer": spec.optimizer.model_copy(update={"lr": 1e30})})
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Two cells run in this process, one of which diverges: folder, cells, watch, error."""
    folder = tmp_path_factory.mktemp("alone")
    cells, watch = [diverging(folder), cell_in(folder)], Watch()
    with pytest.raises(GridError) as raised:
        run_grid(cells, 1, watch)
    return folder, cells, watch, raised.value


def test_a_failing_cell_is_named_with_its_exit_code_and_the_others_are_run(alone):
    _, (wild, good), watch, error = alone
    assert error.exit_code == ExitCode.DIVERGED == DivergedError.exit_code
    assert error.message.startswith("wild failed: ")
    assert "1 of 2 runs are finished and stand" in error.message
    assert watch.begun == [("wild", 1, 2), ("good", 2, 2)]
    assert read_record(wild) is None
    assert watch.done == {"good": read_record(good).score}


def test_a_record_tells_what_the_run_s_own_files_say(alone):
    folder, (_, good), _, _ = alone
    record = read_record(good)
    rows = [json.loads(line) for line in (folder / record.run / "metrics.jsonl").read_text().splitlines()]
    assert record.score == record.last == rows[-1]["accuracy"]
    assert record.best == max(row["accuracy"] for row in rows)
    assert (record.kept_epoch, record.epochs, record.clouds) == (2, 2, 20)
    assert 100 * 2**20 < record.peak_memory < 64 * GIB
    assert 0 < record.trained < record.total


def test_only_a_whole_record_of_the_same_spec_is_trusted(alone, tmp_path):
    folder, (_, good), _, _ = alone
    text = good.record.read_text()
    whole = json.loads(text)
    forged = {**whole, "record": {**whole["record"], "seconds": whole["record"]["seconds"] + 1}}
    for damaged in (
        "",
        "null",
        "[]",
        text[:-20],
        json.dumps(forged),
        json.dumps({**whole, "more": 1}),
        "[" * 10**5,
    ):
        copy = tmp_path / "copy.json"
        copy.write_text(damaged)
        assert read_record(replace(good, record=copy)) is None
    assert read_record(replace(good, spec=spec_in(folder, seed=1))) is None
    assert read_record(replace(good, spec=spec_in(tmp_path))) is not None  # another folder of runs


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (Inputs(data="b", base="random"), "of other data"),
        (Inputs(data="generated", base="b"), "of other base weights"),
        (Inputs(data="b", base="b"), "of other data and base weights"),
    ],
)
def test_a_record_of_other_data_or_base_weights_does_not_count(alone, now, why):
    _, (_, good), _, _ = alone
    assert examine_record(replace(good, inputs=now)) == why
    assert read_record(replace(good, inputs=Inputs(data=None, base=None))) is not None  # gone, not changed


def test_the_same_comparison_of_a_changed_folder_is_run_again(tmp_path):
    data = tmp_path / "data"
    for name in "ab":
        (data / name).mkdir(parents=True)
        for index in range(5):
            np.save(data / name / f"{index}.npy", np.random.default_rng(index).normal(size=(64, 3)))

    def compared():
        values = spec_in(tmp_path, "linear").model_dump()
        folder = {"source": "folder", "root": str(data), "points": 64}
        spec = RunSpec.model_validate({**values, "data": folder})
        watch = Watch()
        result = run_grid(plan_comparison(["linear"], [0], lambda method, changes: spec).cells, 1, watch)
        return result, watch.messages

    first, _ = compared()
    again, told = compared()
    assert (len(first.trained), len(again.trained)) == (1, 0)
    assert "is finished already" in told[0]
    np.save(data / "a" / "more.npy", np.random.default_rng(9).normal(size=(64, 3)))
    changed, told = compared()
    assert len(changed.trained) == 1
    assert "is of other data: the run is repeated" in told[0]
    assert changed.records[0].run != first.records[0].run


def test_what_is_finished_is_not_repeated_and_what_is_damaged_is(alone, tmp_path):
    folder, (_, good), _, _ = alone
    damaged = cell_in(folder, "damaged")
    damaged.record.write_text("{")
    watch = Watch()
    result = run_grid([good, damaged], 1, watch)
    assert result.trained == {1}
    assert watch.begun == [("damaged", 2, 2)]
    assert any("good is finished already" in message for message in watch.messages)
    assert any(f"{damaged.record} is damaged" in message for message in watch.messages)
    assert result.records[0].score == result.records[1].score


def test_nothing_starts_where_one_cell_cannot(tmp_path):
    spec = spec_in(tmp_path)
    backbone = spec.backbone.model_copy(update={"init": "checkpoint", "weights": "nowhere.pth"})
    watch = Watch()
    with pytest.raises(DataError, match="nowhere"):
        run_grid(
            [cell_in(tmp_path), cell_in(tmp_path, "bare", spec.model_copy(update={"backbone": backbone}))],
            1,
            watch,
        )
    assert (watch.begun, list(tmp_path.iterdir())) == ([], [])


def test_many_things_of_one_remedy_are_one_line(tmp_path):
    cells = []
    for index in range(9):
        data = FolderData(root=str(tmp_path / f"nowhere-{index}"))
        cells.append(cell_in(tmp_path, f"{index}", spec_in(tmp_path).model_copy(update={"data": data})))
    with pytest.raises(DataError, match=r"9 alike, the first: .*nowhere-0: no such folder") as caught:
        run_grid(cells, 1, Watch())
    assert "--data DIR" in caught.value.remedy
    with pytest.raises(SeveralErrors, match="2 things are missing or wrong") as several:
        run_grid(cells[:2], 1, Watch())
    assert len(several.value.errors) == 2


def test_several_at_once_give_the_same_and_a_killed_one_is_named(alone, tmp_path):
    _, (_, good), _, _ = alone
    others = multiprocessing.active_children()  # of other tests
    victim = cell_in(tmp_path, "victim", spec_in(tmp_path, epochs=100_000))

    def kill(cell, event):
        if cell == "victim" and isinstance(event, EpochDone) and watch.done and watch.lost:
            (process,) = set(multiprocessing.active_children()) - set(others)  # the other workers have ended
            os.kill(process.pid, signal.SIGKILL)

    watch = Watch(kill)
    cells = [diverging(tmp_path), cell_in(tmp_path), victim]
    with pytest.raises(GridError) as raised:
        run_grid(cells, 2, watch)
    failures = {failure.cell: failure for failure in raised.value.failures}
    assert (failures["victim"].exit_code, failures["wild"].exit_code) == (ExitCode.USAGE, ExitCode.DIVERGED)
    assert "killed by the system (SIGKILL), most likely for lack of memory" in failures["victim"].message
    assert raised.value.exit_code == ExitCode.DIVERGED  # of the first
    assert read_record(cells[1]).score == read_record(good).score
    assert read_record(cells[1]).together == 2
    assert set(multiprocessing.active_children()) <= set(others)


def test_as_many_fit_as_memory_holds_with_half_as_much_again(monkeypatch):
    monkeypatch.setattr("pointlora_cli.services.grid_workers.cores", lambda: 6)
    assert how_many_fit(10 * GIB, [GIB, 2 * GIB, None]) == 3
    assert how_many_fit(10 * GIB, [2 * GIB], beside=GIB) == 2
    assert how_many_fit(2 * GIB, [2 * GIB]) == 1
    assert how_many_fit(100 * GIB, [GIB]) == 6
    assert how_many_fit(None, [GIB]) == how_many_fit(10 * GIB, [None]) == how_many_fit(10 * GIB, []) == 1
