"""SSF (NeurIPS 2022, arXiv 2210.08823): a scale and a shift for each channel after every frozen layer.

gamma x + beta follows the patch encoder, both norms of a block, its four projections (fc1 before GELU) and
the last norm. Class token and head train with them, as with the other generic methods. On a backbone of
several levels the patch encoder meant is the finest level's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.adaptation.scale_shift import UNFOLDED, ScaleShiftStack
from pointlora_cli.models.tokens import Patches, TokenSequence
from pointlora_cli.specs.method import SSFMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource


class SSF(Adaptation):
    """Scale and shift everywhere; class token and head train with them."""

    unfolded = UNFOLDED

    def __init__(self, shape: Shape, method: SSFMethod) -> None:
        super().__init__(shape, method)
        self.scale_shift = ScaleShiftStack(shape.widths)

    def initialize(self, source: WeightSource) -> None:
        """Each starts close to the identity."""
        self.scale_shift.initialize(source, "adaptation.scale_shift")

    def trained(self, model: AdaptedModel) -> Trained:
        """All of them, the class token and its position, and the head."""
        return [self, *model.backbone.class_tokens, model.head]

    def enter(self, sequence: TokenSequence, patches: Sequence[Patches]) -> TokenSequence:
        """Scale and shift what the patch encoder gave."""
        return self.scale_shift.enter(sequence)

    def normalized(self, layer: int, place: Literal["norm1", "norm2"], tokens: Tensor) -> Tensor:
        """Scale and shift what a norm gives."""
        changed: Tensor = self.scale_shift(layer, place, tokens)
        return changed

    def projection(self, layer: int, site: str, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Scale and shift what a projection gives."""
        changed: Tensor = self.scale_shift(layer, site, outputs)
        return changed

    def leave(self, sequence: TokenSequence) -> TokenSequence:
        """Scale and shift what the last norm gives."""
        return self.scale_shift.leave(sequence)
