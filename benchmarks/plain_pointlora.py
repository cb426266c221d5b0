"""PointLoRA on Point-MAE written straight from its equations, to measure the package's step against.

Nothing is shared and nothing is rearranged: each of the three groupings samples, searches and is encoded by
itself, the second convolution acts on [global, local] at every point, convolutions are convolutions, attention is
a softmax between two products. Names of weights are those of the released model, so that weights and gradients
can be compared one by one. It is the `released` variant in its published sizes, and nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEAR_ORIGIN = 1e-3
EPSILON = 1e-6


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Indices (B, count) of clouds (B, N, 3), each the farthest from those before; none near the origin."""
    clouds = torch.arange(len(points))
    distances = torch.full(points.shape[:2], 1e10)
    distances[(points**2).sum(dim=-1) <= NEAR_ORIGIN] = -1.0
    chosen = torch.zeros(len(points), count, dtype=torch.int64)
    last = torch.zeros(len(points), dtype=torch.int64)
    for step in range(count):
        chosen[:, step] = last
        center = points[clouds, last][:, None]
        distances = torch.minimum(distances, ((points - center) ** 2).sum(dim=-1))
        last = distances.argmax(dim=1)
    return chosen


def group(points: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Centers (B, G, 3) of clouds (B, N, 3), and the nearest points of each relative to it, (B, G, K, 3)."""
    clouds = torch.arange(len(points))
    centers = points[clouds[:, None], farthest_points(points, count)]
    distances = torch.cdist(centers, points, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.topk(size, dim=-1, largest=False).indices
    return centers, points[clouds[:, None, None], nearest] - centers[:, :, None]


class Encoder(nn.Module):
    """Patches (B, G, K, 3) -> tokens (B, G, C)."""

    def __init__(self, width: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        point, local, hidden = widths
        self.first_conv = nn.Sequential(
            nn.Conv1d(3, point, 1), nn.BatchNorm1d(point), nn.ReLU(), nn.Conv1d(point, local, 1)
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(2 * local, hidden, 1), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Conv1d(hidden, width, 1)
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Encode every patch."""
        batch, groups, size, _ = patches.shape
        local = self.first_conv(patches.flatten(0, 1).transpose(1, 2))  # (B*G, local, K)
        whole = local.max(dim=2, keepdim=True).values.expand(-1, -1, size)
        features = self.second_conv(torch.cat([whole, local], dim=1))
        tokens: Tensor = features.max(dim=2).values.view(batch, groups, -1)
        return tokens


class AdaptedLinear(nn.Module):
    """A frozen layer, a low-rank term, and a prompt MLP that all blocks share."""

    def __init__(self, width: int, outputs: int, rank: int, *, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs, bias=bias)
        self.lora_A = nn.Parameter(torch.zeros(rank, width))
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, tokens: Tensor, prompt: nn.Module) -> Tensor:
        """(B, T, C) -> (B, T, outputs)."""
        changed: Tensor = self.linear(tokens) + tokens @ self.lora_A.T @ self.lora_B.T
        return changed + self.weight * prompt(tokens)


class Attention(nn.Module):
    """Multi-head self-attention with adapted projections."""

    def __init__(self, width: int, heads: int, rank: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = AdaptedLinear(width, 3 * width, rank, bias=False)
        self.proj = AdaptedLinear(width, width, rank, bias=True)

    def forward(self, tokens: Tensor, qkv_prompt: nn.Module, proj_prompt: nn.Module) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        batch, length, width = tokens.shape
        qkv = self.qkv(tokens, qkv_prompt).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        shares = (query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(dim=-1)
        mixed = (shares @ value).transpose(1, 2).reshape(batch, length, width)
        projected: Tensor = self.proj(mixed, proj_prompt)
        return projected


class Block(nn.Module):
    """A pre-norm transformer block with drop path."""

    def __init__(self, width: int, heads: int, rank: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, rank)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.rate = drop_path

    def forward(self, tokens: Tensor, qkv_prompt: nn.Module, proj_prompt: nn.Module) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        tokens = tokens + self._dropped(self.attn(self.norm1(tokens), qkv_prompt, proj_prompt))
        return tokens + self._dropped(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(tokens)))))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = torch.empty(len(branch), 1, 1).bernoulli_(1 - self.rate)
        return branch * kept / (1 - self.rate)


class Blocks(nn.Module):
    """All blocks, and the prompt MLPs that they share."""

    def __init__(self, width: int, depth: int, heads: int, rank: int, prompt: int, drop_path: float) -> None:
        super().__init__()
        rates = torch.linspace(0, drop_path, depth).tolist()
        self.blocks = nn.ModuleList(Block(width, heads, rank, rate) for rate in rates)

        def shared(outputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(width, prompt), nn.GELU(), nn.Linear(prompt, outputs))

        self.prompt_mlp, self.prompt_pos_mlp = shared(width), shared(width)
        self.prompt_qkv_mlp, self.prompt_proj_mlp = shared(3 * width), shared(width)

    def forward(self, tokens: Tensor, positions: Tensor, selected: int) -> Tensor:
        """(B, T, C) -> (B, T, C), of which the last `selected` tokens are the selected ones."""
        for block in self.blocks:
            tokens = tokens + positions
            token, patches, extra = tokens[:, :1], tokens[:, 1:-selected], tokens[:, -selected:]
            patches = patches + self.prompt_mlp(patches)
            extra = extra + self.prompt_pos_mlp(extra)
            tokens = block(
                torch.cat([token, patches, extra], dim=1), self.prompt_qkv_mlp, self.prompt_proj_mlp
            )
        return tokens


class PlainPointLoRA(nn.Module):
    """Clouds (B, N, 3) -> logits (B, classes), and the term of the selection scores."""

    SCALES = ((128, 32, 32), (64, 64, 8))  # centers, neighbors, tokens kept

    def __init__(
        self,
        classes: int,
        *,
        width: int = 384,
        depth: int = 12,
        widths: tuple[int, int, int] = (128, 256, 512),
        drop_path: float = 0.3,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(width, widths)
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
        self.cls_token, self.cls_pos = (nn.Parameter(torch.zeros(1, 1, width)) for _ in range(2))
        self.lora_mask_predictor = nn.ModuleDict(
            {"fc1": nn.Linear(width, width // 2), "fc2": nn.Linear(width // 2, 1)}
        )
        self.blocks = Blocks(width, depth, heads=6, rank=8, prompt=32, drop_path=drop_path)
        self.norm = nn.LayerNorm(width)
        hidden: list[nn.Module] = []
        for inputs in (2 * width, 256):
            hidden += [nn.Linear(inputs, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5)]
        self.cls_head_finetune = nn.Sequential(*hidden, nn.Linear(256, classes))

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Classify clouds."""
        centers, patches = group(points, 128, 32)
        tokens, positions = [self.encoder(patches)], [self.pos_embed(centers)]
        regularization = torch.zeros(())
        clouds, weight = torch.arange(len(points))[:, None], 1.0
        for count, size, keep in self.SCALES:
            centers, patches = group(points, count, size)
            encoded, placed = self.encoder(patches), self.pos_embed(centers)
            hidden = F.relu(self.lora_mask_predictor["fc1"](encoded))
            scores = torch.sigmoid(self.lora_mask_predictor["fc2"](hidden)).squeeze(-1)
            kept = scores.topk(keep, dim=1).indices
            tokens.append(encoded[clouds, kept])
            positions.append(placed[clouds, kept])
            entropy = -scores * (scores + EPSILON).log() - (1 - scores) * (1 - scores + EPSILON).log()
            regularization = regularization - 0.004 * weight * entropy.mean()
            weight = 0.25
        token = self.cls_token.expand(len(points), -1, -1)
        place = self.cls_pos.expand(len(points), -1, -1)
        encoded = self.blocks(
            torch.cat([token, *tokens], dim=1),
            torch.cat([place, *positions], dim=1),
            sum(keep for *_, keep in self.SCALES),
        )
        encoded = self.norm(encoded)
        feature = torch.cat([encoded[:, 0], encoded[:, 1:].max(dim=1).values], dim=-1)
        return self.cls_head_finetune(feature), regularization

    def load_released(self, weights: dict[str, Tensor]) -> None:
        """Take weights under their released names; those of convolutions may come as matrices."""
        own = self.state_dict()
        assert own.keys() == weights.keys()
        self.load_state_dict({name: weights[name].view_as(value) for name, value in own.items()})
