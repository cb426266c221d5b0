"""A run that is stopped after any step and goes on from its checkpoint comes to the same end, bit for bit."""

import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_specs import tiny_model, tiny_spec

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.errors import DataError, DivergedError, IntegrityError
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.checkpoints import Checkpoints, newest_checkpoint
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.events import EpochDone, Notice
from pointlora_cli.training.loop import train
from pointlora_cli.training.part_segmentation import PartSegmentationTask
from pointlora_cli.training.sealed_file import sealed, unsealed
from pointlora_cli.training.task import Splits

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
EPOCHS, STEPS = 4, 3


def clouds(count, seed):
    random = np.random.RandomState(seed)
    points = random.standard_normal((count, 64, 3)).astype(np.float32)
    return LabelledClouds(points, (np.arange(count) % 3).astype(np.int64))


def spec_of(method="dapt", **options):
    """DAPT drops at random in its adapters, and every method in the head."""
    options = {"epochs": EPOCHS, "batch_size": 6, "selection": "best-test", "device": "cpu", **options}
    rates = {"optimizer": {"lr": 5e-3}, "schedule": {"warmup_epochs": 1}}
    return tiny_spec(method, train=options, backbone={"drop_path": 0.1}, **rates)


def class_task(spec, method="dapt"):
    test = clouds(9, seed=1)
    splits = Splits(clouds(18, seed=0), test, test)
    return ClassificationTask(tiny_model(method, classes=3), spec, splits, **CPU)


def part_spec():
    values = spec_of("pointlora", epochs=2).model_dump(mode="json")
    values["task"] = "part-segmentation"
    values["data"] = {"source": "shapenetpart", "points": 32}
    values["backbone"] |= {"depth": 3}
    return RunSpec.model_validate(values)


def part_task(spec):
    random = np.random.default_rng(0)
    category = np.arange(18) % 2
    offsets = np.arange(19) * 40
    points = random.uniform(-1, 1, (18 * 40, 3)).astype(np.float32)
    parts = (2 * np.repeat(category, 40) + (points[:, 2] > 0)).astype(np.uint8)
    data = PartClouds(points, parts, offsets, category)
    model = build_initialized_model(spec, Outputs(4, 2))
    ranges = (range(2), range(2, 4))
    return PartSegmentationTask(model, spec, spec.data, Splits(data, data, data), ranges, **CPU)


class Run:
    """Trains a task with checkpoints in a folder, and remembers what it is told."""

    def __init__(self, folder, spec, task):
        self.folder, self.spec, self.task = folder, spec, task
        self.done, self.notices, self.kept = [], [], []
        self.checkpoints = Checkpoints(folder, spec.train, {"spec": "of a test"})

    def __call__(self, start=None):
        return train(
            self.task,
            self.spec,
            listen=self.listen,
            keep=lambda epoch: self.kept.append(epoch.epoch),
            checkpoints=self.checkpoints,
            start=start,
        )

    def listen(self, event):
        if isinstance(event, EpochDone):
            row = (event.epoch, event.lr, event.loss, event.accuracy, event.evaluation.loss, event.kept)
            self.done.append((*row, event.evaluation.score))

    def resume(self):
        return self(newest_checkpoint(self.folder, self.spec.train, self.told))

    def told(self, event):
        assert isinstance(event, Notice)
        self.notices.append(event.message)


def interrupted(run, steps, start=None):
    """Train `steps` steps: Ctrl-C comes within the last of them, and waits for its end."""
    step, done = run.task.step, []

    def counted(*chosen):
        done.append(None)
        if len(done) == steps:
            signal.raise_signal(signal.SIGINT)
        return step(*chosen)

    run.task.step = counted
    with pytest.raises(KeyboardInterrupt):
        run(start)
    assert len(done) == steps


def assert_same_end(whole, cut, again):
    assert cut.done + again.done == whole.done
    after, expected = again.task.model.state_dict(), whole.task.model.state_dict()
    assert all(value.equal(after[name]) for name, value in expected.items())
    first, _ = unsealed(whole.folder / "last.safetensors")
    second, _ = unsealed(again.folder / "last.safetensors")
    assert first.keys() == second.keys()  # the optimiser and every generator too
    assert [name for name in first if not first[name].equal(second[name])] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("whole"), spec_of(), class_task(spec_of()))
    run.kept_epoch = run().epoch
    return run


@pytest.mark.parametrize("steps", sorted(np.random.default_rng(0).permutation(EPOCHS * STEPS)[:5] + 1))
def test_a_run_cut_after_any_step_goes_on_bit_for_bit(tmp_path, whole, steps):
    cut = Run(tmp_path, spec_of(), class_task(spec_of()))
    interrupted(cut, steps)
    torch.rand(7)  # what else was drawn meanwhile does not matter
    again = Run(tmp_path, spec_of(), class_task(spec_of()))
    assert again.resume().epoch == whole.kept_epoch
    assert_same_end(whole, cut, again)
    assert again.notices == []


def test_a_run_that_is_cut_again_and_again_goes_on_bit_for_bit(tmp_path, whole):
    done = []
    for steps in (1, 2, 4, 1):
        run = Run(tmp_path, spec_of(), class_task(spec_of()))
        interrupted(run, steps, newest_checkpoint(tmp_path, run.spec.train, run.told))
        done += run.done
    last = Run(tmp_path, spec_of(), class_task(spec_of()))
    last.resume()
    run.done = done
    assert_same_end(whole, run, last)


def test_ctrl_c_in_an_evaluation_stops_it_at_once_and_no_step_is_repeated(tmp_path, whole):
    cut = Run(tmp_path, spec_of(), class_task(spec_of()))
    cut.task.evaluate = lambda *shared: signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        cut()
    assert cut.checkpoints.saved == (0, STEPS)
    again, steps = Run(tmp_path, spec_of(), class_task(spec_of())), []
    step = again.task.step
    again.task.step = lambda *chosen: steps.append(None) or step(*chosen)
    again.resume()
    assert len(steps) == (EPOCHS - 1) * STEPS
    assert_same_end(whole, cut, again)


def test_an_adapter_that_was_not_written_any_more_is_written_where_the_run_goes_on(tmp_path, whole):
    cut = Run(tmp_path, spec_of(), class_task(spec_of()))

    def die(epoch):
        raise KeyboardInterrupt  # between the checkpoint of a kept epoch and its adapter

    cut.kept = SimpleNamespace(append=die)
    with pytest.raises(KeyboardInterrupt):
        cut()
    assert cut.checkpoints.saved == (1, 0)
    again = Run(tmp_path, spec_of(), class_task(spec_of()))
    again.resume()
    assert again.kept == whole.kept
    assert_same_end(whole, cut, again)


def test_what_stays_does_not_change_where_a_run_goes_on(tmp_path, whole):
    run = Run(tmp_path, spec_of(), class_task(spec_of()))
    interrupted(run, 7)
    Run(tmp_path, spec_of(), class_task(spec_of())).resume()
    expected = {path.name: unsealed(path)[1]["state"]["epoch"] for path in whole.folder.iterdir()}
    assert {path.name: unsealed(path)[1]["state"]["epoch"] for path in tmp_path.iterdir()} == expected
    assert expected.keys() == {"last.safetensors", "last-1.safetensors", "best.safetensors"}


def test_part_segmentation_goes_on_bit_for_bit(tmp_path):
    spec = part_spec()
    reference = Run(tmp_path / "whole", spec, part_task(spec))
    reference()
    cut = Run(tmp_path / "cut", spec, part_task(spec))
    interrupted(cut, 4)
    again = Run(tmp_path / "cut", spec, part_task(spec))
    again.resume()
    assert_same_end(reference, cut, again)


def test_a_step_that_was_not_finished_is_not_saved(tmp_path):
    run = Run(tmp_path, spec_of(), class_task(spec_of()))
    step, count = run.task.step, []

    def broken(*chosen):
        count.append(None)
        output = step(*chosen)
        if len(count) == STEPS + 2:
            raise KeyboardInterrupt  # as a handler that nobody holds back would
        return output

    run.task.step = broken
    with pytest.raises(KeyboardInterrupt):
        run()
    assert run.checkpoints.saved == (1, 0)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"keep_checkpoints": 1}, {"last", "best"}),
        ({}, {"last", "last-1", "best"}),
        ({"keep_checkpoints": 3, "keep_best": False}, {"last", "last-1", "last-2"}),
        ({"keep_checkpoints": 9, "selection": "last"}, {"last", "last-1", "last-2", "last-3"}),
    ],
)
def test_just_the_newest_and_the_best_checkpoint_stay(tmp_path, options, names):
    spec = spec_of("linear", **options)
    run = Run(tmp_path, spec, class_task(spec, "linear"))
    kept = run()
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.safetensors" for name in names}
    epochs = {path.stem: unsealed(path)[1]["state"]["epoch"] for path in tmp_path.iterdir()}
    assert epochs.pop("best", kept.epoch + 1) == kept.epoch + 1
    assert [epochs[name] for name in sorted(epochs)] == list(range(EPOCHS, EPOCHS - len(epochs), -1))


def test_checkpoints_within_an_epoch_come_as_often_as_asked(tmp_path):
    for options, expected in (
        ({"checkpoint_steps": 2}, [(0, 2), (1, 0)]),
        ({"checkpoint_minutes": 1e-9}, [(0, 1), (0, 2), (0, 3), (1, 0)]),
        ({}, [(1, 0)]),
    ):
        spec = spec_of("linear", epochs=1, keep_checkpoints=9, selection="last", **options)
        folder = tmp_path / str(len(expected))
        Run(folder, spec, class_task(spec, "linear"))()
        states = [unsealed(path)[1]["state"] for path in folder.iterdir()]
        assert sorted((state["epoch"], state["step"]) for state in states) == expected


@pytest.fixture
def stopped(tmp_path):
    """A run with two checkpoints: after five steps, and after the first epoch."""
    run = Run(tmp_path, spec_of(), class_task(spec_of()))
    interrupted(run, 5)
    return run


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.unlink()  # the file may have a second name
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["header", "middle", "end", "cut", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(stopped, whole, damage):
    path = stopped.folder / "last.safetensors"
    size = path.stat().st_size
    if damage in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: size // 2 if damage == "cut" else 0])
    else:
        flip(path, {"header": 60, "middle": size // 2, "end": size - 1}[damage])
    again = Run(stopped.folder, spec_of(), class_task(spec_of()))
    again.resume()
    assert len(again.notices) == 1
    assert str(path) in again.notices[0]
    assert "damaged" in again.notices[0]
    assert_same_end(whole, stopped, again)


def test_checkpoints_that_are_all_damaged_are_refused(stopped):
    for path in stopped.folder.iterdir():
        path.write_bytes(b"\x80\x04cos\nsystem\n.")  # a pickle, too
    with pytest.raises(IntegrityError, match=r"no checkpoint .*last\.safetensors: damaged.*last-1"):
        newest_checkpoint(stopped.folder, stopped.spec.train, stopped.told)


def test_what_a_killed_process_left_half_written_is_removed(stopped):
    half = stopped.folder / ".0123456789abcdef.part"
    half.write_bytes(b"half")
    assert newest_checkpoint(stopped.folder, stopped.spec.train, stopped.told).state.step == 2
    assert not half.exists()


def test_a_checkpoint_of_another_model_is_refused_with_what_differs(stopped):
    other = spec_of("linear")
    run = Run(stopped.folder, other, class_task(other, "linear"))
    with pytest.raises(DataError, match=r"last\.safetensors: .* does not fit the run: .* is unknown"):
        run.resume()


def test_a_checkpoint_with_a_right_hash_and_wrong_content_is_refused(stopped):
    path = stopped.folder / "last.safetensors"
    tensors, record = unsealed(path)
    size = len(tensors["epoch/order"])
    for name, value in (
        ("epoch/order", torch.full((size,), 10**9)),
        ("generator/default", torch.zeros_like(tensors["generator/default"])),
        ("generator/order", torch.zeros(3, dtype=torch.uint8)),
        ("epoch/loss_sum", torch.zeros((), dtype=torch.float64)),
    ):
        path.write_bytes(sealed({**tensors, name: value}, record))
        with pytest.raises(DataError, match="does not fit the run"):
            Run(stopped.folder, spec_of(), class_task(spec_of())).resume()
    places = ({"step": 4}, {"epoch": 99}, {"epoch": EPOCHS}, {"kept": None, "epoch": EPOCHS}, {"epoch": 0})
    for change in (*places, {"epoch": 10**30}, {"step": 10**30}):
        path.write_bytes(sealed(tensors, {**record, "state": record["state"] | change}))
        with pytest.raises(DataError, match="a place that the run does not have"):
            Run(stopped.folder, spec_of(), class_task(spec_of())).resume()


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    spec = spec_of("linear", eval_every=4)
    run = Run(tmp_path, spec, class_task(spec, "linear"))
    step, count = run.task.step, []

    def broken(*chosen):
        count.append(None)
        output = step(*chosen)
        if len(count) == 2 * STEPS:  # the last step of the second epoch, which is not evaluated
            next(run.task.model.head.parameters()).grad.fill_(float("nan"))
        return output

    run.task.step = broken
    with pytest.raises(DivergedError, match="not finite after epoch 2"):
        train(run.task, spec, listen=lambda event: None, keep=run.kept.append, checkpoints=run.checkpoints)
    assert newest_checkpoint(tmp_path, spec.train, run.told).state.epoch == 1
