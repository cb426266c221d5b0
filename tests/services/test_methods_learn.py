"""Every method learns: twenty steps on the quickstart's data, on the CPU, and the loss falls."""

import json
from statistics import mean

import pytest
import torch
from command_line import TINY_BACKBONE
from model_specs import METHODS

from pointlora_cli.services.preparation import prepare
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.loop import update
from pointlora_cli.training.optimizer import build_optimizer

STEPS, BATCH = 20, 16
SIZES = ("data.clouds_per_class=8", "data.test_clouds_per_class=2", "data.points=64", "train.device=cpu")


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_within_twenty_steps(method):
    changes = (*SIZES, *TINY_BACKBONE, "optimizer.lr=0.01", f"method={json.dumps(METHODS[method])}")
    spec = load_run_spec(preset="quickstart", overrides=changes)
    task = prepare(spec, lambda event: None).task
    optimizer = build_optimizer(task.model, spec.optimizer)
    torch.manual_seed(0)  # of dropout and drop path
    order = torch.cat([torch.randperm(task.train_clouds) for _ in range(STEPS * BATCH // task.train_clouds)])
    task.model.train()
    losses = []
    for chosen in order.split(BATCH):
        optimizer.zero_grad(set_to_none=True)
        losses.append(task.step(chosen).loss.item() / BATCH)
        update(optimizer, spec.optimizer)
    assert len(losses) == STEPS
    assert mean(losses[-5:]) < mean(losses[:5]) - 0.05
