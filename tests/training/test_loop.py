"""The training loop on small models."""

import time

import numpy as np
import pytest
import torch
from model_specs import METHODS, tiny_model, tiny_spec

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.errors import DivergedError
from pointlora_cli.specs.training import OptimizerSpec
from pointlora_cli.training.classification import ClassificationTask, evaluate
from pointlora_cli.training.events import EpochDone, StepDone, TrainingStarted
from pointlora_cli.training.loop import train, update
from pointlora_cli.training.task import Splits

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


def boxes(count, seed=0):
    """Two classes that anyone can tell apart: flat boxes and tall ones."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % 2
    shapes = np.where(labels[:, None] == 0, [[1.0, 0.1, 1.0]], [[0.2, 1.0, 0.2]])
    points = (random.uniform(-1, 1, (count, 64, 3)) * shapes[:, None]).astype(np.float32)
    return LabelledClouds(points, labels.astype(np.int64))


def run(model, spec, listen=lambda event: None, keep=lambda epoch: None, clouds=None, dtype=torch.float32):
    test = boxes(10, seed=1)
    splits = Splits(clouds or boxes(16), test, test)
    task = ClassificationTask(model, spec, splits, device=torch.device("cpu"), dtype=dtype)
    return train(task, spec, listen=listen, keep=keep)


def short(method="pointlora", **train_options):
    options = {"epochs": 4, "batch_size": 8, **train_options}
    return tiny_spec(method, train=options, optimizer={"lr": 5e-3}, schedule={"warmup_epochs": 0})


@pytest.mark.parametrize("method", METHODS)
def test_learns_and_leaves_frozen_weights_bit_identical(method):
    spec = short(method, epochs=15)
    model = tiny_model(method, classes=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = []
    run(model, spec, lambda event: losses.append(event.loss) if isinstance(event, EpochDone) else None)
    assert losses[-1] < losses[0]
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert torch.equal(parameter, before[name]), name
    for name in ("first", "second"):  # also frozen batch norms track what they see
        mean = f"backbone.patch_encoder.{name}.norm.running_mean"
        assert not torch.equal(model.state_dict()[mean], before[mean])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    states = []
    for seed in (0, 0, 1):
        spec, model = short(seed=seed), tiny_model(classes=2)
        run(model, spec)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["head.layers.0.weight"], states[2]["head.layers.0.weight"])


def test_events_come_in_order_and_tell_the_rates():
    events = []
    run(tiny_model(classes=2), short(epochs=2), events.append)
    assert events[0] == TrainingStarted(epochs=2, steps_per_epoch=2, batch_size=8)
    ends = [event for event in events if isinstance(event, EpochDone)]
    assert [end.epoch for end in ends] == [0, 1]
    last_steps = [event.step for event in events if isinstance(event, StepDone) and event.step == 2]
    assert len(last_steps) == 2
    assert ends[0].lr == pytest.approx(5e-3)


def test_last_keeps_every_epoch_and_best_only_better_ones():
    for selection in ("last", "best-test"):
        kept, seen = [], []
        result = run(
            tiny_model(classes=2),
            short(epochs=6, selection=selection),
            lambda event, seen=seen: seen.append(event) if isinstance(event, EpochDone) else None,
            kept.append,
        )
        accuracies = [event.evaluation.accuracy for event in seen]
        if selection == "last":
            assert [epoch.epoch for epoch in kept] == list(range(6))
            assert result.epoch == 5
        else:
            assert result.epoch == int(np.argmax(accuracies))  # the first of equals
            assert [event.epoch for event in seen if event.kept] == [epoch.epoch for epoch in kept]


def test_an_epoch_that_is_not_evaluated_is_not_kept():
    kept = []
    result = run(tiny_model(classes=2), short(epochs=5, eval_every=2), keep=kept.append)
    assert [epoch.epoch for epoch in kept] == [1, 3, 4]
    assert result.epoch == 4


def test_weights_that_broke_in_an_epoch_are_never_kept():
    spec = tiny_spec(
        train={"epochs": 4, "batch_size": 16, "eval_every": 2},
        optimizer={"lr": 1e30},
        schedule={"warmup_epochs": 0},
    )
    kept = []
    with pytest.raises(DivergedError):
        run(tiny_model(classes=2), spec, keep=kept.append)
    assert kept == []


def test_evaluation_is_of_the_kept_weights_and_counts_every_cloud():
    model, clouds = tiny_model("lora", classes=2), boxes(9)
    metrics = evaluate(model, clouds, batch_size=4, **CPU)
    assert metrics.count == 9
    assert metrics.class_counts.tolist() == [5, 4]
    again = evaluate(model, clouds, batch_size=9, **CPU)
    assert again.loss == pytest.approx(metrics.loss, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step():
    clouds = boxes(16)
    clouds.points[3, 5, 1] = np.nan
    with pytest.raises(DivergedError, match=r"the loss is nan in epoch 1, step \d"):
        run(tiny_model("mlp3", classes=2), short("mlp3"), clouds=clouds)


def test_sixteen_clouds_are_learned_by_heart():
    random = np.random.RandomState(0)
    clouds = LabelledClouds(
        random.standard_normal((16, 64, 3)).astype(np.float32), (np.arange(16) % 4).astype(np.int64)
    )
    plain = {"scale": None, "translate": 0}
    spec = tiny_spec(
        "full",
        train={"epochs": 80, "batch_size": 16},
        optimizer={"lr": 3e-3},
        schedule={"warmup_epochs": 0},
        augmentation=plain,
        backbone={"drop_path": 0},
    )
    model = tiny_model("full", classes=4)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    began = time.monotonic()
    run(model, spec, clouds=clouds)
    assert time.monotonic() - began < 60
    model.train()  # the batch's own statistics, as in training
    with torch.no_grad():
        predicted = model(torch.from_numpy(clouds.points)).logits.argmax(dim=1).numpy()
    assert (predicted == clouds.labels).all()


@pytest.mark.parametrize("method", METHODS)
def test_in_bfloat16_the_blocks_add_to_float32(method):
    model = tiny_model(method, classes=2).train()
    kinds = []
    for block in model.backbone.blocks:
        block.register_forward_hook(
            lambda module, inputs, output: kinds.extend([inputs[0].tokens.dtype, output.dtype])
        )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.rand(2, 64, 3))
    assert kinds == [torch.float32] * 4


def test_bfloat16_trains_where_it_is_asked_for():
    losses = []
    spec = short(epochs=8)
    model = tiny_model(classes=2)
    run(
        model,
        spec,
        lambda event: losses.append(event.loss) if isinstance(event, EpochDone) else None,
        dtype=torch.bfloat16,
    )
    assert losses[-1] < losses[0]
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


class TestUpdate:
    """One step of plain gradient descent at rate 1 moves a weight by its gradient."""

    def moved(self, gradient, **options):
        weight = torch.nn.Parameter(torch.zeros(2))
        weight.grad = torch.tensor(gradient)
        update(torch.optim.SGD([weight], lr=1.0), OptimizerSpec(**options))
        return (-weight.detach()).tolist()

    def test_steps_once_with_clipped_gradients(self):
        assert self.moved([30.0, 40.0], clip_norm=5) == pytest.approx([3.0, 4.0], rel=1e-5)
        assert self.moved([3.0, 4.0], clip_norm=10) == pytest.approx([3.0, 4.0], rel=1e-5)
        assert self.moved([30.0, 40.0], clip_norm=None) == [30.0, 40.0]

    def test_a_double_step_is_one_unclipped_and_one_clipped(self):
        moved = self.moved([30.0, 40.0], clip_norm=5, double_step=True)
        assert moved == pytest.approx([33.0, 44.0], rel=1e-5)
