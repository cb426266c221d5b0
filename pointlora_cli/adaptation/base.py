"""The one interface between a backbone and a method.

A backbone knows no method by name. It calls the attached `Adaptation` at a few places, in the order
in which the methods stand below; the base class does nothing at any of them. A method overrides what
it needs, lists what trains, and gives its own regularisation loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from pointlora_cli.models.tokens import Patches, Scale, TokenLayout, TokenSequence

if TYPE_CHECKING:
    from pointlora_cli.models.classifier import Classifier
    from pointlora_cli.models.initialization import WeightSource

Trained = Iterable[nn.Module | nn.Parameter]


class Adaptation(nn.Module, ABC):
    """The base of every method. It must say what trains; whatever else it leaves, stays as it is."""

    head: ClassVar[Literal["mlp3", "linear"]] = "mlp3"

    def initialize(self, source: WeightSource) -> None:
        """Set the method's own weights, each from its name and the run's seed."""

    @abstractmethod
    def trained(self, model: Classifier) -> Trained:
        """Every module and parameter of `model` that trains; all others are frozen."""

    def undecayed(self) -> Iterable[nn.Parameter]:
        """Own parameters of more than one dimension that weight decay must leave alone."""
        return ()

    def official_names(self, depth: int) -> dict[str, str]:
        """Own names -> official names, and backbone names that the official method renames."""
        return {}

    def scales(self, own: Scale) -> Sequence[Scale]:
        """The groupings that `enter` wants, where the backbone's own is `own`."""
        return ()

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Tokens are about to enter the transformer; `patches` holds the scales asked for, in order."""
        return sequence

    def block_input(self, layer: int, tokens: Tensor, layout: TokenLayout) -> Tensor:
        """The input (B, T, C) of a block, its positions already added."""
        return tokens

    def projection(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        """A linear projection of a block: qkv, proj, fc1 or fc2; (B, T, I) -> (B, T, O)."""
        return outputs

    def feed_forward(self, layer: int, inputs: Tensor, outputs: Tensor) -> Tensor:
        """The feed-forward network of a block, from its normalised input; (B, T, C) -> (B, T, C)."""
        return outputs

    def block_output(self, layer: int, tokens: Tensor, layout: TokenLayout) -> Tensor:
        """The output (B, T, C) of a block."""
        return tokens

    def pool(self, tokens: Tensor, layout: TokenLayout) -> Tensor:
        """The feature (B, F) of the normalised tokens (B, T, C): the class token beside the maximum of the rest."""
        return torch.cat([tokens[:, 0], tokens[:, 1:].amax(dim=1)], dim=-1)

    def feature_width(self, width: int) -> int:
        """F of `pool` for tokens of `width` channels."""
        return 2 * width

    def regularization(self, sequence: TokenSequence) -> Tensor | None:
        """The method's own loss term (a scalar), added to the task's."""
        return None
