"""Initial weights that depend on a seed and a name, and on nothing else.

Each tensor has a generator of its own, seeded by its name, so the same seed gives the same backbone
whatever method and head stand beside it, on any machine: numpy keeps the stream of `RandomState`
frozen, and torch does not promise as much for its own.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor, nn

from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.normalization import RowBatchNorm

STD = 0.02
"""Standard deviation of the generic initialisation of all these backbones."""


class WeightSource:
    """Writes initial values into tensors, in place."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _generator(self, name: str) -> np.random.RandomState:
        return np.random.RandomState([self._seed, zlib.crc32(name.encode())])

    @torch.no_grad()
    def normal(self, tensor: Tensor, name: str, std: float = STD, mean: float = 0.0) -> None:
        """Normal. (The official truncation, at +-2 absolute, is 50 deviations away or more.)"""
        values = mean + std * self._generator(name).standard_normal(tuple(tensor.shape))
        tensor.copy_(torch.from_numpy(values))

    @torch.no_grad()
    def uniform(self, tensor: Tensor, name: str, bound: float) -> None:
        """Uniform in [-bound, bound)."""
        values = self._generator(name).uniform(-bound, bound, tuple(tensor.shape))
        tensor.copy_(torch.from_numpy(values))

    def linear_normal(self, layer: nn.Linear, name: str) -> None:
        """Weights normal with std 0.02, bias 0: the generic rule."""
        self.normal(layer.weight, f"{name}.weight")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def linear_uniform(self, layer: nn.Linear, name: str) -> None:
        """PyTorch's default for a linear layer: both uniform within 1 / sqrt(inputs)."""
        bound = 1 / math.sqrt(layer.in_features)
        self.uniform(layer.weight, f"{name}.weight", bound)
        if layer.bias is not None:
            self.uniform(layer.bias, f"{name}.bias", bound)


def initialize(model: AdaptedModel, seed: int) -> None:
    """Set every parameter and buffer of `model`.

    Backbone: the generic rule. Head: PyTorch's default, which the official fine-tuning keeps, or the
    generic rule, as the method's `head_start` says. The adaptation sets its own.
    """
    source = WeightSource(seed)
    for name, module in model.backbone.named_modules(prefix="backbone"):
        if isinstance(module, nn.Linear):
            source.linear_normal(module, name)
        elif isinstance(module, nn.LayerNorm | RowBatchNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for name, parameter in model.backbone.named_parameters(prefix="backbone", recurse=False):
        source.normal(parameter, name)
    starts = {"uniform": source.linear_uniform, "normal": source.linear_normal}
    for name, module in model.head.named_modules(prefix="head"):
        if isinstance(module, nn.Linear):
            starts[model.adaptation.head_start](module, name)
    model.adaptation.initialize(source)
