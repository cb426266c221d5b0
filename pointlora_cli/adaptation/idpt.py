"""IDPT, instance-aware dynamic prompt tuning (ICCV 2023, arXiv 2304.07221).

Before the last block a small graph network (DGCNN) makes one prompt from the cloud's own patches, as
they leave the block before, their positions not added. With f_0 the patches and N(i) the k nearest
patches of i by their features, i among them, found anew in each layer:

    f_l[i] = max over j in N(i) of act(norm(W_l [f_(l-1)[j] - f_(l-1)[i], f_(l-1)[i]])),   l = 1, 2, 3,
    prompt = max over i of act(norm(W [f_1, f_2, f_3][i])),

where act is a leaky ReLU and norm a batch norm. The prompt enters behind the class token, with a
position of its own. The head sees the class token, the prompt, and the maximum of the patches.

As in the released code, the prompt's position never trains in classification: it keeps its random start,
and an adapter must carry it. In part segmentation it trains. The released code freezes by leaving weights
out of the optimiser, so its gradient clipping also counts the gradients of frozen weights; here it counts
what trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Adaptation, Shape, Trained
from pointlora_cli.models.tokens import TokenSequence
from pointlora_cli.ops.feature_neighbors import nearest_features
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.pooling import maximum
from pointlora_cli.specs.method import IDPTMethod

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel
    from pointlora_cli.models.initialization import WeightSource

EDGE_LAYERS = 3
SLOPE = 0.2
"""Of the leaky ReLU, below zero."""


class NormedLinear(nn.Module):
    """A linear layer without bias, and the batch norm of its rows: the 1x1 convolutions of the official code."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def initialize(self, source: WeightSource, name: str) -> None:
        """PyTorch's default."""
        source.linear_uniform(self.linear, f"{name}.linear")
        nn.init.ones_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def normalized(self, features: Tensor) -> Tensor:
        """(..., outputs) -> the same, each channel normalised over all rows."""
        normal: Tensor = self.norm(features.flatten(0, -2))
        return normal.view(features.shape)


class EdgeConvolution(NormedLinear):
    """Each token looks at the edges to its nearest tokens.

    The layer is split by columns, so that it is computed once per token instead of once per edge: the
    same sums in another order. The maximum comes before the leaky ReLU, which keeps the order.
    """

    def __init__(self, width: int, neighbors: int) -> None:
        super().__init__(2 * width, width)
        self.neighbors = neighbors

    def forward(self, features: Tensor) -> Tensor:
        """(B, G, C) -> (B, G, C)."""
        indices = nearest_features(features, self.neighbors)  # (B, G, k)
        of_difference, of_center = self.linear.weight.chunk(2, dim=1)
        there, here = F.linear(features, of_difference), F.linear(features, of_center - of_difference)
        edges = gather(there, indices) + here[:, :, None]  # (B, G, k, C)
        return F.leaky_relu(maximum(self.normalized(edges), dim=2), SLOPE)


class PromptGenerator(nn.Module):
    """The graph network: three edge convolutions, one layer over all their outputs, a maximum."""

    def __init__(self, width: int, neighbors: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(EdgeConvolution(width, neighbors) for _ in range(EDGE_LAYERS))
        self.fusion = NormedLinear(EDGE_LAYERS * width, width)

    def initialize(self, source: WeightSource, name: str) -> None:
        """Set all layers."""
        for index, edge in enumerate(self.edges):
            cast("EdgeConvolution", edge).initialize(source, f"{name}.edges.{index}")
        self.fusion.initialize(source, f"{name}.fusion")

    def forward(self, patches: Tensor) -> Tensor:
        """Patches (B, G, C) -> a prompt (B, 1, C)."""
        levels: list[Tensor] = []
        for edge in self.edges:
            levels.append(edge(levels[-1] if levels else patches))
        fused = self.fusion.normalized(self.fusion.linear(torch.cat(levels, dim=-1)))
        return F.leaky_relu(fused.amax(dim=1, keepdim=True), SLOPE)


class IDPT(Adaptation):
    """A generated prompt before the last block; the class token and the head train with the generator."""

    def __init__(self, shape: Shape, method: IDPTMethod) -> None:
        super().__init__(shape, method)
        self.last = shape.depth - 1
        self.queries = shape.queries
        self.generator = PromptGenerator(shape.width, method.neighbors)
        self.prompt_position = nn.Parameter(torch.empty(1, 1, shape.width))

    def initialize(self, source: WeightSource) -> None:
        """Set the generator and the position."""
        self.generator.initialize(source, "adaptation.generator")
        source.normal(self.prompt_position, "adaptation.prompt_position")

    def trained(self, model: AdaptedModel) -> Trained:
        """The generator, the class token and its position, and the head; the prompt's position to segment."""
        position = [] if model.task == "classification" else [self.prompt_position]
        return [self.generator, *position, *model.backbone.class_tokens, model.head]

    def before_block(self, layer: int, sequence: TokenSequence) -> TokenSequence:
        """Make the prompt, and put it in."""
        if layer != self.last:
            return sequence
        patches = torch.split(sequence.tokens, sequence.layout.sizes, dim=1)[2]
        prompt = self.generator(patches)
        return sequence.with_prompts(prompt, self.prompt_position.expand(len(prompt), -1, -1))

    def pool(self, sequence: TokenSequence, feature: Tensor) -> Tensor:
        """The queries, the prompt, and the maximum of the patches, (B, (Q + 2) C)."""
        queries, prompt, patches, _ = torch.split(sequence.tokens, sequence.layout.sizes, dim=1)
        return torch.cat([queries.flatten(1), prompt.flatten(1), patches.amax(dim=1)], dim=-1)

    def feature_width(self, width: int, own: int) -> int:
        """F of `pool`."""
        return (self.queries + 2) * width

    def official_names(self, depth: int) -> dict[str, str]:
        """Names in the released code."""
        names = {"adaptation.prompt_position": "prompt_pos"}
        for own, number in _official_numbers():
            names[f"adaptation.generator.{own}.linear.weight"] = f"blocks.cls.conv{number}.0.weight"
            for entry in self.generator.fusion.norm.state_dict():
                names[f"adaptation.generator.{own}.norm.{entry}"] = f"blocks.cls.bn{number}.{entry}"
        return names

    def official_aliases(self) -> dict[str, str]:
        """Each batch norm is registered by itself, and in the sequence that begins with its convolution."""
        return {
            f"blocks.cls.conv{number}.1.{entry}": f"blocks.cls.bn{number}.{entry}"
            for _, number in _official_numbers()
            for entry in self.generator.fusion.norm.state_dict()
        }


def _official_numbers() -> Sequence[tuple[str, int]]:
    """Our name of each layer of the generator, and its official number; there is no 4."""
    return [*((f"edges.{index}", index + 1) for index in range(EDGE_LAYERS)), ("fusion", 5)]
