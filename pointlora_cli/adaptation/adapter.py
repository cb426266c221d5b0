"""Bottleneck adapters (ICML 2019, arXiv 1902.00751) at every feed-forward network.

With A(z) = up(GELU(down z)), and x the tokens after attention, a block's second half becomes

    sequential (as in the paper):   x <- x + drop path(f + A(f)),  f = feed-forward(norm2 x),
    parallel (as in AdaptFormer):   x <- x + drop path(f + A(norm2 x)).

The paper also puts a second adapter behind the attention; the counts of point-cloud tables are those of
one adapter a block, and this file follows them. `up` starts at zero, so the network starts as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.adaptation.bottleneck import Bottleneck
from pointlora_cli.models.tokens import TokenSequence
from pointlora_cli.specs.method import AdapterMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource


class Adapter(Adaptation):
    """One bottleneck in each block; class token and head train with it."""

    def __init__(self, shape: Shape, method: AdapterMethod) -> None:
        super().__init__(shape, method)
        self.parallel = method.placement == "parallel"
        self.blocks = nn.ModuleList(Bottleneck(width, method.width) for width in shape.widths)

    def initialize(self, source: WeightSource) -> None:
        """Set every bottleneck."""
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Bottleneck)
            block.initialize(source, f"adaptation.blocks.{layer}")

    def trained(self, model: AdaptedModel) -> Trained:
        """The bottlenecks, the class token and its position, and the head."""
        return [self, *model.backbone.class_tokens, model.head]

    def feed_forward(self, layer: int, sequence: TokenSequence, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Add the bottleneck of the feed-forward network's input, or of its output."""
        adapted: Tensor = outputs + self.blocks[layer](inputs if self.parallel else outputs)
        return adapted
