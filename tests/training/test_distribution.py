"""Several processes of one run: two equal one at twice the batch, and when one ends, all do."""

import os
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from model_specs import tiny_model, tiny_spec
from process_pairs import together

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.errors import DataError, InterruptedRunError, LostProcessError, ToldError, UsageError
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.normalization import RowBatchNorm
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.batches import epoch_batches, epoch_updates
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import EpochDone
from pointlora_cli.training.loop import gradients, train
from pointlora_cli.training.part_segmentation import PartSegmentationTask
from pointlora_cli.training.place import Place
from pointlora_cli.training.task import Splits

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
TRAINED, EVALUATED = 21, 7  # at a batch of 8: the last has 5 clouds, for shares of 2 and 3


def spec_of(method="lora", **options):
    """PointLoRA itself selects tokens, and a rounding error may make it select another."""
    options = {
        "epochs": 3,
        "batch_size": 4,
        "eval_batch_size": 2,
        "device": "cpu",
        "drop_last": False,
        **options,
    }
    # A bias before batch norm has no gradient but rounding errors, which AdamW would take for one.
    rates = {"optimizer": {"lr": 5e-3, "eps": 1e-3}, "schedule": {"warmup_epochs": 1}}
    return tiny_spec(method, train=options, backbone={"drop_path": 0}, **rates)


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def class_task(spec, method="lora"):
    def clouds(count, seed):
        random = np.random.RandomState(seed)
        points = random.standard_normal((count, 64, 3)).astype(np.float32)
        return LabelledClouds(points, (np.arange(count) % 3).astype(np.int64))

    test = clouds(EVALUATED, seed=1)
    model = without_dropout(tiny_model(method, classes=3, backbone={"drop_path": 0}))
    return ClassificationTask(model, spec, Splits(clouds(TRAINED, seed=0), test, test), **CPU)


def part_spec(method="lora", **options):
    """With a seed that brings both categories into each batch: else their batch norm divides by nearly nothing."""
    values = spec_of(method, **{"seed": 2} | options).model_dump(mode="json")
    values["task"] = "part-segmentation"
    values["data"] = {"source": "shapenetpart", "points": 32}
    values["backbone"] |= {"depth": 3}
    return RunSpec.model_validate(values)


def part_task(spec):
    random = np.random.default_rng(0)

    def clouds(count):
        category = np.arange(count) % 2
        offsets = np.arange(count + 1) * 40
        points = random.uniform(-1, 1, (count * 40, 3)).astype(np.float32)
        parts = (2 * np.repeat(category, 40) + (points[:, 2] > 0)).astype(np.uint8)
        return PartClouds(points, parts, offsets, category)

    model = without_dropout(build_initialized_model(spec, Outputs(4, 2)))
    train_clouds, test = clouds(TRAINED), clouds(EVALUATED)
    splits = Splits(train_clouds, test, test)
    return PartSegmentationTask(model, spec, spec.data, splits, (range(2), range(2, 4)), **CPU)


def figures(epoch):
    found = epoch.evaluation
    return [epoch.lr, epoch.loss, epoch.accuracy, found.loss, *found.row().values()]


def trained(distribution, kind, spec):
    """The figures of each epoch and the weights and buffers at the end."""
    torch.manual_seed(distribution.rank)
    task = class_task(spec) if kind == "classes" else part_task(spec)
    distribution.equalize(task.model)
    if spec.train.sync_batch_norm:
        distribution.synchronize_batch_norm(task.model)
    rows = []

    def listen(event):
        if isinstance(event, EpochDone):
            rows.append(figures(event))

    train(task, spec, listen=listen, keep=lambda epoch: None, distribution=distribution)
    return rows, {name: value.numpy() for name, value in task.model.state_dict().items()}


def of_each_kind(distribution, specs):
    return {name: trained(distribution, name.split()[0], spec) for name, spec in specs.items()}


@pytest.fixture(scope="module")
def single():
    """What one process comes to, at twice the batch."""
    specs = {"classes": spec_of(batch_size=8), "parts": part_spec(batch_size=8)}
    (outcome,) = together(1, of_each_kind, specs)
    return outcome


@pytest.fixture(scope="module")
def pair():
    """What two processes come to, each by itself."""
    specs = {
        "classes": spec_of(sync_batch_norm=True),
        "parts": part_spec(sync_batch_norm=True),
        "classes accumulated": spec_of(sync_batch_norm=True, batch_size=2, accumulate=2),
        "classes apart": spec_of(),
    }
    return together(2, of_each_kind, specs)


@pytest.mark.parametrize("kind", ["classes", "parts"])
def test_two_processes_equal_one_at_twice_the_batch(pair, single, kind):
    rows, state = single[kind]
    for found_rows, found_state in (outcome[kind] for outcome in pair):
        np.testing.assert_allclose(found_rows, rows, rtol=0, atol=1e-5)
        assert found_state.keys() == state.keys()
        for name, value in state.items():
            np.testing.assert_allclose(found_state[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("kind", ["classes", "classes accumulated", "classes apart"])
def test_processes_have_the_same_weights_and_statistics_to_the_last_bit(pair, kind):
    (rows, state), (other_rows, other_state) = (outcome[kind] for outcome in pair)
    assert rows == other_rows
    assert len({row[1] for row in rows}) == 3  # it learns
    for name, value in state.items():
        np.testing.assert_array_equal(value, other_state[name], err_msg=name)


def test_without_synchronisation_statistics_are_of_each_process_and_their_mean_is_tracked(pair):
    apart, together_ = pair[0]["classes apart"][1], pair[0]["classes"][1]
    name = "head.layers.1.running_var"
    assert not np.allclose(apart[name], together_[name], rtol=1e-2)
    name = "backbone.patch_encoder.first.norm.running_var"
    assert np.allclose(apart[name], together_[name], rtol=1e-2)


def summed(spec):
    """Gradients of an update of 21 clouds, with the batch norms of an evaluation."""
    task = class_task(spec, "full")
    task.model.eval()
    updates = epoch_updates(TRAINED, spec.train)
    gradients(task, epoch_batches(torch.arange(TRAINED), updates, ALONE)[0], None)
    return updates, {name: parameter.grad for name, parameter in task.model.named_parameters()}


def test_accumulated_gradients_are_those_of_the_whole_batch():
    fixed = {"augmentation": {"scale": None, "translate": 0, "shuffle": False}}
    found = []
    torch.manual_seed(0)
    for options in ({"batch_size": 21}, {"batch_size": 6, "accumulate": 4}):
        spec = RunSpec.model_validate(spec_of("full", **options).model_dump(mode="json") | fixed)
        found.append(summed(spec))
    assert found[0][0] == [[21]]
    assert found[1][0] == [[5, 5, 5, 6]]
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("count", "options", "processes", "updates"),
    [
        (20, {"batch_size": 4}, 1, [[4]] * 5),
        (21, {"batch_size": 4, "drop_last": False}, 1, [[4]] * 5),  # a single cloud is left out
        (21, {"batch_size": 4, "drop_last": False}, 2, [[8], [8], [5]]),
        (19, {"batch_size": 4, "drop_last": False}, 2, [[8], [8]]),  # shares of 1 and 2 are left out
        (19, {"batch_size": 4, "accumulate": 2, "drop_last": False}, 1, [[4, 4], [4, 4], [3]]),
        (21, {"batch_size": 4, "accumulate": 2, "drop_last": False}, 1, [[4, 4], [4, 4], [2, 3]]),
        (21, {"batch_size": 4, "accumulate": 2}, 1, [[4, 4], [4, 4]]),
        (5, {"batch_size": 4, "accumulate": 2}, 1, [[2, 3]]),  # smaller than one update: whole
        (5, {"batch_size": 2, "accumulate": 2}, 2, [[5]]),  # never a share of one
    ],
)
def test_an_epoch_is_divided_into_updates_and_these_into_batches(count, options, processes, updates):
    assert epoch_updates(count, spec_of(**{"drop_last": True} | options).train, processes) == updates


class Rank(Distribution):
    """One of several, as far as it need not talk to the others."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize(("count", "size"), [(5, 2), (7, 3), (8, 4), (2, 3), (64, 8)])
def test_shares_are_contiguous_whole_and_even_and_all_pause_as_often(count, size):
    pauses, seen, shares = [], [], []
    for rank in range(size):
        paused = []
        rounds = list(Rank(rank, size).rounds(count, 2, lambda paused=paused: paused.append(None)))
        seen += [index for part in rounds for index in range(count)[part]]
        pauses.append(len(paused))
        shares.append(len(range(count)[Rank(rank, size).share(count)]))
    assert seen == list(range(count))
    assert len(set(pauses)) == 1
    assert max(shares) - min(shares) <= 1


def test_too_few_clouds_for_the_processes_are_refused():
    with pytest.raises(DataError, match="7 training clouds are too few for 4 processes"):
        epoch_updates(7, spec_of().train, 4)


def spoken(distribution):
    rank = distribution.rank
    tensor = torch.arange(rank + 1, dtype=torch.float64)[:, None] + 10 * rank
    return {
        "gathered": distribution.gather(tensor).flatten().tolist(),
        "nothing from one": distribution.gather(torch.ones(rank, 2)).shape,
        "texts": distribution.texts(f"Köln {rank}"),
        "agreed": distribution.agreed([rank == 1, False]),
        "again": distribution.again("finetune"),
    }


def test_what_processes_tell_each_other_arrives_in_their_order():
    for outcome in together(3, spoken):
        assert outcome == {
            "gathered": [0.0, 10.0, 11.0, 20.0, 21.0, 22.0],
            "nothing from one": (3, 2),
            "texts": ["Köln 0", "Köln 1", "Köln 2"],
            "agreed": [True, False],
            "again": "pointlora finetune --devices 3",
        }


def failing(distribution, rank, how):
    if distribution.rank == rank:
        if how == "killed":
            os._exit(9)
        raise {"data": DataError("no such file", "Make one."), "ctrl-c": KeyboardInterrupt()}[how]
    distribution.texts("the others wait here")


@pytest.mark.parametrize(
    ("rank", "how", "kinds", "words"),
    [
        (1, "data", [DataError, ToldError, ToldError], "process 1: no such file"),
        (0, "data", [DataError, ToldError, ToldError], "no such file"),
        (
            2,
            "killed",
            [LostProcessError, ToldError, None],
            "process 2 (of 3, counted from 0) ended without a word",
        ),
        (
            0,
            "killed",
            [None, LostProcessError, ToldError],
            "process 0 (of 3, counted from 0) ended without a word",
        ),
        (1, "ctrl-c", [InterruptedRunError, ToldError, ToldError], "process 1: interrupted"),
    ],
)
def test_when_one_process_fails_all_end_soon_and_one_of_them_says_why(rank, how, kinds, words):
    began = time.monotonic()
    outcomes = together(3, failing, rank, how)
    assert time.monotonic() - began < 25
    assert [outcome and outcome.kind for outcome in outcomes] == kinds
    (told,) = [outcome for outcome in outcomes if outcome and outcome.kind is not ToldError]
    assert words in told.message
    assert len({outcome.exit_code for outcome in outcomes if outcome}) == 1


def test_batch_norm_over_processes_is_that_over_all_their_rows():
    rows = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
    norm = RowBatchNorm(4).double()
    whole = rows.clone().requires_grad_()
    normal, statistics = norm(whole)
    (normal * torch.arange(36).view(9, 4)).sum().backward()
    outcomes = together(2, normalized, rows.numpy())
    for name, expected in (("normal", normal.detach()), ("gradient", whole.grad)):
        np.testing.assert_allclose(np.concatenate([one[name] for one in outcomes]), expected, atol=1e-12)
    for name, expected in (("mean", statistics.mean), ("variance", statistics.variance)):
        assert all(np.allclose(one[name], expected, atol=1e-14) for one in outcomes)
    for name, expected in (("weight", norm.weight.grad), ("bias", norm.bias.grad)):
        np.testing.assert_allclose(sum(one[name] for one in outcomes), expected, atol=1e-12)


def normalized(distribution, rows):
    model = torch.nn.Sequential(RowBatchNorm(4).double())
    distribution.synchronize_batch_norm(model)
    mine = slice(0, 2) if distribution.rank == 0 else slice(2, 9)
    own = torch.from_numpy(rows[mine]).requires_grad_()
    normal, statistics = model[0](own)
    (normal * torch.arange(36).view(9, 4)[mine]).sum().backward()
    return {
        "normal": normal.detach().numpy(),
        "gradient": own.grad.numpy(),
        "mean": statistics.mean.numpy(),
        "variance": statistics.variance.numpy(),
        "weight": model[0].weight.grad.numpy(),
        "bias": model[0].bias.grad.numpy(),
    }


class TestPlace:
    """What torchrun puts into the environment."""

    WHOLE: ClassVar = {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "node0",
        "MASTER_PORT": "29500",
    }

    def test_is_read_and_a_single_process_has_none(self):
        assert Place.of(self.WHOLE) == Place(3, 4, 1, 2, "node0:29500")
        assert Place.of({}) is Place.of({"WORLD_SIZE": "1", "RANK": "0"}) is None

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"RANK": "4"}, "RANK=4, WORLD_SIZE=4"),
            ({"RANK": "-1"}, "RANK in the environment is not a number: '-1'"),
            ({"WORLD_SIZE": "٣"}, "WORLD_SIZE in the environment is not a number"),
            ({"LOCAL_RANK": "2"}, "no place in a run"),
            ({"MASTER_PORT": ""}, "MASTER_PORT is not set"),
        ],
    )
    def test_nonsense_is_refused(self, change, words):
        with pytest.raises(UsageError, match=words):
            Place.of(self.WHOLE | change)
