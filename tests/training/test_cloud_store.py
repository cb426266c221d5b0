"""Training clouds on the device and on the host: a step gets the same from both."""

import numpy as np
import pytest
import torch
from model_specs import CATEGORIES, PARTS, tiny_model, tiny_part_model, tiny_part_spec, tiny_spec

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training import cloud_store
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.cloud_store import CloudStore
from pointlora_cli.training.loop import update
from pointlora_cli.training.optimizer import build_optimizer
from pointlora_cli.training.part_segmentation import PartSegmentationTask
from pointlora_cli.training.task import Splits

CPU = torch.device("cpu")
OFFSETS = torch.tensor([0, 3, 10, 11, 15])
POINTS = torch.arange(45.0).view(15, 3)
PARTS_OF_POINTS = torch.arange(15, dtype=torch.uint8)


def store(residence):
    return CloudStore([POINTS, PARTS_OF_POINTS], OFFSETS, CPU, residence)


def clouds_of(taken):
    """The points and parts of each cloud asked for."""
    bounds = [(int(taken.offsets[place]), int(taken.offsets[place + 1])) for place in taken.at]
    return [(points[first:last].tolist()) for points in taken.rows for first, last in bounds]


@pytest.mark.parametrize("chosen", [[2, 0, 3], [1], [3, 3, 0]])
def test_the_same_clouds_come_from_the_host_and_from_the_device(chosen):
    chosen = torch.tensor(chosen)
    here, there = store("device").take(chosen), store("host").take(chosen)
    assert clouds_of(here) == clouds_of(there)
    assert clouds_of(here)[0] == POINTS[OFFSETS[chosen[0]] : OFFSETS[chosen[0] + 1]].tolist()
    assert here.chosen.tolist() == there.chosen.tolist() == chosen.tolist()


def test_what_is_expected_is_taken_and_what_comes_unexpectedly_too(monkeypatch):
    sent = []
    original = CloudStore._sent
    monkeypatch.setattr(
        CloudStore, "_sent", lambda self, chosen: sent.append(chosen.tolist()) or original(self, chosen)
    )
    host = store("host")
    host.expect(torch.tensor([1, 2]))
    assert sent == [[1, 2]]
    assert clouds_of(host.take(torch.tensor([1, 2]))) == clouds_of(store("device").take(torch.tensor([1, 2])))
    assert sent == [[1, 2]]  # ahead of its step, and not again
    host.expect(torch.tensor([0]))
    assert clouds_of(host.take(torch.tensor([3]))) == clouds_of(store("device").take(torch.tensor([3])))
    assert clouds_of(host.take(torch.tensor([0]))) == clouds_of(store("device").take(torch.tensor([0])))


def test_clouds_that_fill_half_of_a_gpu_stay_on_the_host(monkeypatch):
    size = POINTS.numel() * 4 + PARTS_OF_POINTS.numel()
    gpu = torch.device("cuda", 0)
    for free, fits in ((2 * size, True), (2 * size - 1, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10 * free))
        assert cloud_store._fits([POINTS, PARTS_OF_POINTS], gpu) == fits
    assert not store("auto").is_on_host
    assert store("host").numbers_on == store("device").numbers_on == CPU


def classification(residence):
    spec = tiny_spec(train={"batch_size": 4, "clouds_on": residence}, data={"source": "shapes", "points": 64})
    random = np.random.default_rng(0)
    clouds = LabelledClouds(random.random((8, 80, 3), dtype=np.float32), random.integers(5, size=8))
    return spec, ClassificationTask(
        tiny_model(), spec, Splits(clouds, clouds, clouds), device=CPU, dtype=torch.float32
    )


def segmentation(residence):
    spec = tiny_part_spec()
    spec = spec.model_copy(update={"train": spec.train.model_copy(update={"clouds_on": residence})})
    random = np.random.default_rng(0)
    offsets = np.cumsum([0, *random.integers(40, 90, size=8)])
    clouds = PartClouds(
        random.random((offsets[-1], 3), dtype=np.float32),
        random.integers(PARTS, size=offsets[-1], dtype=np.uint8),
        offsets,
        random.integers(CATEGORIES, size=8),
    )
    few = clouds.between(0, 2)
    ranges = [range(0, 2), range(2, 3), range(3, 5), range(5, PARTS)]
    task = PartSegmentationTask(
        tiny_part_model(), spec, spec.data, Splits(clouds, few, few), ranges, device=CPU, dtype=torch.float32
    )
    return spec, task


@pytest.mark.parametrize("prepared", [classification, segmentation])
def test_steps_are_the_same_bit_for_bit(prepared):
    trained = []
    for residence in ("device", "host"):
        spec, task = prepared(residence)
        assert task.clouds.is_on_host == (residence == "host")
        torch.manual_seed(0)
        optimizer = build_optimizer(task.model.train(), spec.optimizer)
        order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
        losses = []
        for chosen, following in ((order[:4], order[4:]), (order[4:], order[:4])):
            optimizer.zero_grad()
            losses.append(task.step(chosen, slice(1, 4)).loss.item())  # a share of a step
            task.clouds.expect(following[1:4])
            update(optimizer, spec.optimizer)
        trained.append((losses, task.model.state_dict()))
    (losses, weights), (other_losses, other_weights) = trained
    assert losses == other_losses
    assert all(torch.equal(value, other_weights[name]) for name, value in weights.items())


def test_the_key_is_known():
    spec = load_run_spec(preset="quickstart", overrides=["train.clouds_on=host"])
    assert spec.train.clouds_on == "host"
