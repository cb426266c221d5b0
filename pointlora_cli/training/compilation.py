"""Having PyTorch compile a model's pass as one graph."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from pointlora_cli.errors import UsageError
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.specs.training import Compilation, TrainSpec

_WITHOUT = "Use train.compile=off."


def compiler_fault(device: torch.device) -> str | None:
    """What a compiled network lacks on a device of this kind; None: nothing that can be seen."""
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    variable, names = ("CC", ("gcc", "clang")) if device.type == "cuda" else ("CXX", ("g++", "clang++"))
    named = os.environ.get(variable)
    if any(shutil.which(name) for name in ((named,) if named else names)):
        return None
    return f"there is no compiler {named} ({variable})" if named else f"there is no {' or '.join(names)}"


def require_compiler(mode: Compilation, device: torch.device) -> None:
    """Raise where a network is to be compiled and cannot be.

    Raises:
        UsageError: what is missing.
    """
    fault = None if mode == "off" else compiler_fault(device)
    if fault is not None:
        raise UsageError(f"train.compile is '{mode}', but {fault}", remedy=_WITHOUT)


def prepare_passes(model: AdaptedModel, train: TrainSpec) -> None:
    """Have a model's passes go as the spec says: compiled or as they are, activations kept or computed again."""
    if train.recompute:
        model.recompute_activations()
    if train.compile != "off":
        compile_passes(model, {train.batch_size, train.eval_batch_size}, mode=train.compile)


def compile_passes(model: AdaptedModel, sizes: Collection[int], **options: Any) -> None:
    """Compile a model's pass for batches of some sizes; others go as they are. Names of weights stay.

    It happens at the first pass of each size and the first one back, in training and in evaluation; what they
    raise where it fails, `compiler_failure` knows.

    Args:
        model: changed in place.
        sizes: clouds in a batch.
        options: of `torch.compile`: mode, or backend.
    """
    plain = model.forward
    compiled = torch.compile(plain, dynamic=False, fullgraph=True, **options)

    def forward(points: Tensor, *others: Tensor) -> Any:
        if len(points) not in sizes:
            return plain(points, *others)
        # What a block notes for the method (DAPT's prompt) is noted in the forward pass alone.
        with torch._dynamo.config.patch(skip_fwd_side_effects_in_bwd_under_checkpoint=True):
            return compiled(points, *others)

    model.forward = forward


def compiler_failure(error: BaseException) -> UsageError | None:
    """What to say of an error, where it is a compiler's."""
    known = sys.modules.get("torch._dynamo.exc")  # imported where anything is compiled, and slowly
    if known is None or not isinstance(error, known.TorchDynamoException):
        return None
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UsageError(f"the network cannot be compiled: {lines[0][:200]}", remedy=_WITHOUT)
