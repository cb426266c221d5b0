"""AdamW over what trains, in groups with their own weight decay and learning rate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypedDict

import torch
from torch import nn

from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.specs.training import OptimizerSpec
from pointlora_cli.training.schedule import CosineSchedule


class Group(TypedDict):
    """Parameters that train alike."""

    params: list[nn.Parameter]
    weight_decay: float
    lr_scale: float  # what their base rate is a multiple of


def decay_groups(model: AdaptedModel) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """The trained parameters by name: decayed, and not decayed (1-D, biases, learned tokens)."""
    spared = model.undecayed()
    decayed: dict[str, nn.Parameter] = {}
    undecayed: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        group = undecayed if parameter.dim() <= 1 or parameter in spared else decayed
        group[name] = parameter
    return decayed, undecayed


def head_parameters(model: AdaptedModel) -> set[nn.Parameter]:
    """What a new head starts anew with it: in classification the class token and its position too.

    ReCon finds them by their names: those with `cls`, and in part segmentation those with `conv` outside the
    patch encoder. The latter leave out the batch norms of the head but the first, which are among them here.
    """
    tokens = model.backbone.class_tokens if model.task == "classification" else []
    return {*model.head.parameters(), *tokens}


def parameter_groups(model: AdaptedModel, spec: OptimizerSpec) -> list[Group]:
    """The trained parameters of `model`, each in one group; no group is empty, no two are alike."""
    head = head_parameters(model)
    decayed, undecayed = decay_groups(model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameters, decay in ((decayed, spec.weight_decay), (undecayed, 0.0)):
        for parameter in parameters.values():
            kind = (decay, 1.0)
            if parameter in head:
                kind = (spec.weight_decay if spec.decay_head_biases else decay, spec.head_lr_scale)
            groups.setdefault(kind, []).append(parameter)
    return [
        Group(params=params, weight_decay=decay, lr_scale=scale) for (decay, scale), params in groups.items()
    ]


def build_optimizer(model: AdaptedModel, spec: OptimizerSpec) -> torch.optim.AdamW:
    """AdamW over the trained parameters of `model`."""
    groups: list[dict[str, Any]] = [
        {**group, "lr": spec.lr * group["lr_scale"]} for group in parameter_groups(model, spec)
    ]
    return torch.optim.AdamW(groups, lr=spec.lr, betas=spec.betas, eps=spec.eps, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, schedule: CosineSchedule, epoch: int) -> float:
    """Give each group the rate of `epoch` on its own curve, and return that of the base.

    Only the base rates differ by group: all curves share the start of the warm-up and the minimum.
    """
    for group in optimizer.param_groups:
        own = replace(schedule, base_lr=schedule.base_lr * group["lr_scale"])
        group["lr"] = own.in_epoch(epoch)
    return schedule.in_epoch(epoch)
