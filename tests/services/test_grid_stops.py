"""Cells of a grid that were stopped in any way go on in their own run, and what is recorded counts."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal

import pytest
from grid_cells import Watch, cell_in, spec_in

from pointlora_cli.errors import ExitCode, InterruptedRunError
from pointlora_cli.services.grid import GridError, run_grid
from pointlora_cli.services.grid_records import examine_record, read_record
from pointlora_cli.training.events import EpochDone, TrainingStarted

EPOCHS = 5
SAME = ("score", "best", "last", "kept_epoch", "clouds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The record of a cell that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    cell = cell_in(folder, spec=spec_in(folder, epochs=EPOCHS))
    return run_grid([cell], 1, Watch()).records[0]


@pytest.fixture
def cell(tmp_path):
    return cell_in(tmp_path, "cut", spec_in(tmp_path / "runs", epochs=EPOCHS))


def gone_on(cell):
    """Run the cell again: its record, and the epochs that were trained, from 0."""
    epochs = []
    watch = Watch(lambda _, event: epochs.append(event.epoch) if isinstance(event, EpochDone) else None)
    return run_grid([cell], 1, watch).records[0], epochs


def assert_as_whole(cell, record, whole):
    """The end of a run that was never stopped, in one run directory, and nothing else of it is left."""
    assert [getattr(record, name) for name in SAME] == [getattr(whole, name) for name in SAME]
    (run,) = (cell.record.parent.parent / "runs").iterdir()
    assert run.name == record.run
    assert not (run / "checkpoints").exists()
    assert [path.name for path in cell.record.parent.iterdir()] == [cell.record.name]


def stop_at(is_time):
    def stop(_, event):
        if is_time(event):
            raise KeyboardInterrupt

    return Watch(stop)


@pytest.mark.parametrize(
    ("is_time", "left"),
    [
        (lambda event: isinstance(event, TrainingStarted), [0, 1, 2, 3, 4]),
        (lambda event: isinstance(event, EpochDone) and event.epoch == 1, [2, 3, 4]),
    ],
    ids=["before the first step", "after two epochs"],
)
def test_a_cell_that_was_interrupted_goes_on_where_it_was(cell, whole, is_time, left):
    with pytest.raises(InterruptedRunError):
        run_grid([cell], 1, stop_at(is_time))
    record, epochs = gone_on(cell)
    assert epochs == left
    assert_as_whole(cell, record, whole)


def test_a_cell_whose_process_was_killed_goes_on_where_it_was(cell, whole):
    others = multiprocessing.active_children()  # of other tests

    def kill(_, event):
        if isinstance(event, EpochDone) and event.epoch == 1:
            (process,) = set(multiprocessing.active_children()) - set(others)
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(GridError, match="killed by the system") as raised:
        run_grid([cell], 2, Watch(kill))
    assert raised.value.exit_code == ExitCode.USAGE
    record, epochs = gone_on(cell)
    assert epochs == list(range(EPOCHS))[-len(epochs) :]
    assert len(epochs) < EPOCHS  # the first epoch had its checkpoint before the second was told
    assert_as_whole(cell, record, whole)


def test_a_cell_that_was_finished_but_not_recorded_is_recorded_and_not_trained_again(cell, whole):
    cell.record.mkdir(parents=True)  # so it cannot be written
    with pytest.raises(GridError, match=r"a finished run cannot be recorded: .* it stands in"):
        run_grid([cell], 1, Watch())
    assert not isinstance(examine_record(cell), type(whole))
    cell.record.rmdir()
    record, epochs = gone_on(cell)
    assert epochs == []
    assert_as_whole(cell, record, whole)


def test_a_cell_whose_checkpoints_are_damaged_starts_anew_and_says_so(cell, whole):
    with pytest.raises(InterruptedRunError):
        run_grid([cell], 1, stop_at(lambda event: isinstance(event, EpochDone) and event.epoch == 1))
    (run,) = (cell.record.parent.parent / "runs").iterdir()
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"")
    told = []
    run_grid([cell], 1, Watch(lambda _, event: told.append(getattr(event, "message", ""))))
    assert any("cut starts anew: no checkpoint of the run is whole" in message for message in told)
    assert [getattr(read_record(cell), name) for name in SAME] == [getattr(whole, name) for name in SAME]


def test_a_recorded_cell_counts_after_its_run_was_removed_and_that_is_said(cell):
    record, _ = gone_on(cell)
    shutil.rmtree(cell.record.parent.parent / "runs" / record.run)
    watch = Watch()
    again = run_grid([cell], 1, watch)
    assert again.records == (record,)
    assert again.trained == frozenset()
    assert watch.messages == [f"cut is finished already: {record.run}, and was removed"]
