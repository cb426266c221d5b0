"""AdamW over what trains, with and without weight decay."""

from __future__ import annotations

import torch
from torch import nn

from pointlora_cli.models.classifier import Classifier
from pointlora_cli.specs.training import OptimizerSpec


def decay_groups(model: Classifier) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
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


def build_optimizer(model: Classifier, spec: OptimizerSpec) -> torch.optim.AdamW:
    """AdamW over the trained parameters of `model`."""
    decayed, undecayed = decay_groups(model)
    groups = [
        {"params": list(decayed.values()), "weight_decay": spec.weight_decay},
        {"params": list(undecayed.values()), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=spec.lr,
        betas=spec.betas,
        eps=spec.eps,
        fused=True,
    )
