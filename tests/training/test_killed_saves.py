"""A process that is killed while it saves, again and again: what it saved last is always there, and whole."""

from __future__ import annotations

import multiprocessing
import random
import time
from itertools import count
from pathlib import Path

import numpy as np
import torch
from model_specs import tiny_model, tiny_spec

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.training.checkpoints import Checkpoints, newest_checkpoint
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.events import EpochDone
from pointlora_cli.training.metrics import Metrics
from pointlora_cli.training.sealed_file import unsealed
from pointlora_cli.training.state import TrainingState
from pointlora_cli.training.task import Splits, StepOutput

KILLS, STEPS = 50, 3  # steps of an epoch
NAMES = {"last", "last-1", "last-2", "best"}
LOADED = (
    "pointlora_cli.adaptation.point_peft",
    "pointlora_cli.models.build",
    "pointlora_cli.training.checkpoints",
    "pointlora_cli.training.classification",
    "pytest",
    "torch._dynamo",  # of the first optimiser
)


def spec():
    train = {"epochs": 100_000, "selection": "best-test", "keep_checkpoints": 3, "device": "cpu"}
    return tiny_spec("linear", train=train)


def trained(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def save_for_ever(folder, saved):
    """Go on from what is in `folder` and save after each step; tell the place of each finished save."""
    random_points = np.random.default_rng(0).normal(size=(6, 64, 3)).astype(np.float32)
    clouds = LabelledClouds(random_points, np.arange(6) % 3)
    task = ClassificationTask(
        tiny_model("linear", classes=3),
        spec(),
        Splits(clouds, clouds, clouds),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    state, checkpoints = TrainingState(task, spec(), STEPS), Checkpoints(folder, spec().train, {})
    if (start := newest_checkpoint(folder, spec().train, print)) is not None:
        checkpoints.continue_from(start, state)
    evaluation = Metrics(np.eye(3, dtype=np.int64) * 2, 0.5)
    done = torch.tensor(1.0)
    saved.send(None)
    for _ in count():
        state.begin_epoch()
        with torch.no_grad(), state.changing():
            state.count_step(StepOutput(done, done))
            for parameter in trained(task.model):
                parameter.fill_(STEPS * state.progress.epoch + state.progress.step)
        if state.progress.step == STEPS:
            state.close_epoch(EpochDone(state.progress.epoch, 0.1, 0.5, 0.5, evaluation, kept=True))
        checkpoints.save(state)
        saved.send((state.progress.epoch, state.progress.step))


def life_of_a_process(context, folder, saves, moment):
    """Let a process finish so many saves, kill it that much later, and give the place of its last finished one."""
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=save_for_ever, args=(folder, there))
    process.start()
    there.close()
    assert here.poll(60)
    for _ in range(1 + saves):  # first, that it is about to begin
        place = here.recv()
    time.sleep(moment)
    process.kill()
    process.join()
    assert process.exitcode == -9
    try:
        while True:
            place = here.recv()
    except (EOFError, OSError):
        return place


def assert_whole(path: Path, names: list[str]) -> tuple[int, int]:
    """The place of a checkpoint, whose tensors of these names hold what was done until then, and nothing else."""
    tensors, record = unsealed(path)
    epoch, step = record["state"]["epoch"], record["state"]["step"]
    assert all((tensors[name] == STEPS * epoch + step).all() for name in names)
    return epoch, step


def test_killed_fifty_times_while_it_saves_the_last_checkpoint_is_always_whole(tmp_path):
    # Forked from a process that has loaded all there is: a life takes no longer than its saves.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED])
    model = tiny_model("linear", classes=3)
    changed = [f"model/{name}" for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert changed
    chance, reached, seen = random.Random(0), (0, 0), set()
    for index in range(KILLS):
        told = life_of_a_process(context, tmp_path, index % 3, chance.uniform(0, 0.02))
        names = {path.stem for path in tmp_path.glob("*.safetensors")}
        assert names <= NAMES
        places = {name: assert_whole(tmp_path / f"{name}.safetensors", changed) for name in names}
        newest = places.get("last", (0, 0))
        assert newest >= max(reached, told or (0, 0))
        assert places.get("best", (0, 0)) <= newest
        reached, seen = newest, seen | names
    assert seen == NAMES  # not all at each moment: between two renames one is missing
    assert reached >= (KILLS // STEPS - 1, 0)
    assert newest_checkpoint(tmp_path, spec().train, print).path.stem == "last"
    assert {path.name for path in tmp_path.iterdir()} <= {f"{name}.safetensors" for name in NAMES}
