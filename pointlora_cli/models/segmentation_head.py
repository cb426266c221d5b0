"""Point-MAE's head for part segmentation: from tokens at centers to logits at points.

With t the tokens of three levels side by side, c the category of the cloud and p a point,

    propagated = act(norm(W2 act(norm(W1 [p, interpolated t])))),
    summary = [max t, mean t, queries, act(norm(W_c c))],
    logits = W5 act(norm(W4 dropout(act(norm(W3 [propagated, summary])))))

where act is ReLU, leaky for the category. The 1x1 convolutions of the official code are matrix products
here, and batch norm counts every point of every cloud. Two layers are split by columns, which gives the
same sums in another order: interpolation is linear, so W1 is applied to the tokens, which are fewer
than points; and the summary is the same for all points of a cloud, so its part of W3 is applied once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlora_cli.ops.interpolation import interpolate

_COORDINATES = 3  # of a point
_PROPAGATED = (1536, 1024)
_HIDDEN = (512, 256)
_CATEGORY = 64
_SLOPE = 0.2  # of the leaky ReLU, below zero
_DROPOUT = 0.5
_ROWS = 2**15  # points labelled at once, of all clouds together: 200 MB for a layer's output


class PointLayer(nn.Module):
    """A linear layer, and the batch norm of its rows."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(B, M, inputs) -> (B, M, outputs), with ReLU."""
        return self.activated(self.linear(features))

    def activated(self, features: Tensor) -> Tensor:
        """(B, M, outputs) -> the same, of what the linear layer gives."""
        normal: Tensor = self.norm(features.flatten(0, 1))
        return F.relu(normal, inplace=True).view(features.shape)


class SegmentationHead(nn.Module):
    """Tokens at centers, the cloud's queries and its category -> logits at points."""

    def __init__(self, tokens: int, queries: int, *, categories: int, parts: int) -> None:
        """Build the head.

        Args:
            tokens: channels at each center, of all levels.
            queries: channels of the queries' feature; 0: there is none.
            categories: of clouds.
            parts: of all categories.
        """
        super().__init__()
        self.category = PointLayer(categories, _CATEGORY, bias=False)
        self.propagation1 = PointLayer(_COORDINATES + tokens, _PROPAGATED[0])
        self.propagation2 = PointLayer(*_PROPAGATED)
        self.layer1 = PointLayer(_PROPAGATED[1] + 2 * tokens + queries + _CATEGORY, _HIDDEN[0])
        self.dropout = nn.Dropout(_DROPOUT)
        self.layer2 = PointLayer(*_HIDDEN)
        self.layer3 = nn.Linear(_HIDDEN[1], parts)

    def propagate(self, tokens: Tensor, centers: Tensor, at: Tensor) -> Tensor:
        """Tokens (B, G, T) at centers (B, G, 3) -> features (B, M, 1024) at points (B, M, 3)."""
        linear = self.propagation1.linear
        of_point, of_tokens = linear.weight.tensor_split([_COORDINATES], dim=1)
        with torch.autocast(at.device.type, enabled=False):
            own = F.linear(at, of_point, linear.bias)  # coordinates keep float32
        spread = interpolate(at, centers, F.linear(tokens, of_tokens))
        propagated: Tensor = self.propagation2(self.propagation1.activated(own.to(spread.dtype) + spread))
        return propagated

    def summarize(self, tokens: Tensor, queries: Tensor | None, category: Tensor) -> Tensor:
        """Tokens (B, G, T), the queries' feature (B, Q) and categories (B,) -> what all points share (B, S)."""
        columns = F.embedding(category, self.category.linear.weight.t())  # the product with one-hot rows
        label = F.leaky_relu(self.category.norm(columns), _SLOPE)
        pooled = [tokens.amax(dim=1), tokens.mean(dim=1)]
        return torch.cat([*pooled, *([] if queries is None else [queries]), label], dim=-1)

    def classify(self, propagated: Tensor, summary: Tensor) -> Tensor:
        """Features of points (B, M, 1024) and of clouds (B, S) -> logits (B, M, parts)."""
        linear = self.layer1.linear
        of_point, of_cloud = linear.weight.tensor_split([propagated.shape[-1]], dim=1)
        once = F.linear(summary, of_cloud, linear.bias)  # (B, 512)
        hidden = self.layer1.activated(F.linear(propagated, of_point) + once[:, None])
        logits: Tensor = self.layer3(self.layer2(self.dropout(hidden)))
        return logits

    def forward(
        self, tokens: Tensor, centers: Tensor, queries: Tensor | None, category: Tensor, at: Tensor
    ) -> Tensor:
        """Label points.

        Args:
            tokens: (B, G, T), all levels side by side.
            centers: (B, G, 3) where they stand.
            queries: (B, Q) feature of the queries, where the head has one.
            category: (B,) int64 category of each cloud.
            at: (B, M, 3) the points.

        Returns:
            (B, M, parts) logits.
        """
        summary = self.summarize(tokens, queries, category)
        # In training, batch norm must see all points at once; else any number of points is welcome.
        size = at.shape[1] if self.training else max(1, _ROWS // len(at))
        return torch.cat(
            [
                self.classify(self.propagate(tokens, centers, some), summary)
                for some in torch.split(at, size, dim=1)
            ],
            dim=1,
        )
