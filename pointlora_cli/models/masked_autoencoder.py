"""Point-MAE (ECCV 2022) as it is pre-trained: patches are hidden, and predicted from the others.

The patch encoder sees every patch, since its batch norms take their statistics of all of them, as in the official
code; the transformer sees the visible ones alone. The decoder adds a token for each hidden patch, and what comes
out for it becomes K points, relative to the patch's center. There is no class token.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pointlora_cli.adaptation.full import FullFineTuning
from pointlora_cli.models import official_layouts
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.grouping import group
from pointlora_cli.models.initialization import WeightSource, initialize
from pointlora_cli.models.masked_decoder import MaskedDecoder
from pointlora_cli.models.official import OfficialNames, official_names
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.point_mae import PointMAE
from pointlora_cli.models.positions import embedded
from pointlora_cli.models.tokens import Grouping, TokenLayout, TokenSequence
from pointlora_cli.models.transformer import run_blocks
from pointlora_cli.ops.chamfer import chamfer_l1, chamfer_l2
from pointlora_cli.ops.gathering import gather
from pointlora_cli.specs.backbone import PlainBackboneSpec, TokenizerSpec
from pointlora_cli.specs.method import FullMethod
from pointlora_cli.specs.pretraining import Distance, MaskingSpec

_DISTANCES = {"chamfer-l2": chamfer_l2, "chamfer-l1": chamfer_l1}


class Reconstruction(NamedTuple):
    """What a forward pass gives."""

    predicted: Tensor  # (B, H, K, 3): the hidden patches, relative to their centers
    true: Tensor  # (B, H, K, 3): what they are
    centers: Tensor  # (B, H, 3): where they are
    seen: TokenSequence  # the normalised tokens of the visible patches

    def loss(self, distance: Distance) -> Tensor:
        """Mean distance of a cloud's hidden patches from their predictions, (B,), float32 or wider."""
        pairs = self.predicted.flatten(0, 1), self.true.flatten(0, 1)
        return _DISTANCES[distance](*pairs).view(self.centers.shape[:2]).mean(dim=1)


class MaskedPointMAE(PointMAE):
    """Point-MAE without a class token, whose transformer can be shown the first patches alone."""

    official: ClassVar[OfficialNames] = official_layouts.POINT_MAE_PRETRAINING

    def __init__(self, spec: PlainBackboneSpec, tokenizer: TokenizerSpec) -> None:
        super().__init__(spec, tokenizer, class_token=False)

    def encode(
        self, points: Tensor, patches: Grouping, visible: int, adaptation: FullFineTuning
    ) -> TokenSequence:
        """Normalised tokens of the first `visible` patches of clouds (B, N, 3), which see only one another."""
        tokens, statistics = self.patch_encoder(patches.neighborhoods, visible)
        if statistics is not None:
            self.patch_encoder.track(statistics)
        centers = patches.centers[:, :visible]
        positions = embedded(self.position_embedding, centers)
        kind = self.norm.weight.dtype
        layout = TokenLayout(queries=0, patches=visible)
        sequence = TokenSequence(tokens.to(kind), positions.to(kind), layout, points, centers)
        return self.finished(run_blocks(self.blocks, sequence, adaptation), adaptation)


class MaskedAutoencoder(AdaptedModel):
    """Clouds (B, N, 3) and an order of their patches -> the hidden patches, predicted."""

    task: ClassVar[Literal["pretraining"]] = "pretraining"
    backbone: MaskedPointMAE
    adaptation: FullFineTuning
    head: nn.Linear

    def __init__(self, spec: PlainBackboneSpec, tokenizer: TokenizerSpec, masking: MaskingSpec) -> None:
        backbone = MaskedPointMAE(spec, tokenizer)
        adaptation = FullFineTuning(backbone.shape, FullMethod())
        super().__init__(backbone, adaptation, nn.Linear(spec.width, 3 * tokenizer.neighbors))
        self.decoder = MaskedDecoder(spec, masking)
        self.hidden = masking.hidden(tokenizer.centers)
        self.visible = tokenizer.centers - self.hidden
        self.patches = tokenizer.centers

    def initialize(self, seed: int) -> None:
        """Set every parameter and buffer, by the rules of the official code."""
        initialize(self, seed)
        self.decoder.initialize(WeightSource(seed), "decoder")

    def undecayed(self) -> set[nn.Parameter]:
        """The learned token of the decoder, beside those of the backbone."""
        return {*super().undecayed(), self.decoder.mask_token}

    def forward(self, points: Tensor, order: Tensor) -> Reconstruction:
        """Hide patches of clouds and predict them.

        Args:
            points: (B, N, 3).
            order: (B, G) int64, the patches of each cloud with the visible ones first (see `random_order`).

        Raises:
            ValueError: the grouping asks for more than there are points, or `order` is not one of the patches.
        """
        if order.shape != (len(points), self.patches):
            raise ValueError(f"order must be ({len(points)}, {self.patches}), got {tuple(order.shape)}")
        (found,) = group(points, [self.backbone.scale], skip_near_origin=self.backbone.skip_near_origin)
        # Brought into order while they are coordinates, the patches are sliced from here on, not gathered.
        patches = Grouping(*(_ordered(values, order) for values in found))
        seen = self.backbone.encode(points, patches, self.visible, self.adaptation)
        tokens = self.decoder(seen, patches.centers, self.adaptation)
        with torch.autocast(points.device.type, enabled=False):  # coordinates keep float32
            predicted = self.head(tokens.to(self.head.weight.dtype))
        centers, true = patches.centers[:, self.visible :], patches.neighborhoods[:, self.visible :]
        return Reconstruction(predicted.view(true.shape), true, centers, seen)

    def official_state(self) -> dict[str, Tensor]:
        """The weights by the names and in the shapes of the official code, whose 1x1 convolutions have a third axis.

        What the official code keeps as `base_model` in a file.
        """
        names, state = official_names(self), self.state_dict()
        convolutions = {"head.weight"} | {
            f"{outer}.{inner}.weight"
            for outer, encoder in self.named_modules()
            if isinstance(encoder, PatchEncoder)
            for inner, layer in encoder.named_modules()
            if isinstance(layer, nn.Linear)
        }
        return {
            names[own]: (value[..., None] if own in convolutions else value).detach()
            for own, value in state.items()
        }


def random_order(clouds: int, patches: int, generator: torch.Generator) -> Tensor:
    """A random order of the patches of each cloud, (clouds, patches) int64, on the generator's device."""
    draws = torch.rand(clouds, patches, generator=generator, device=generator.device)
    return draws.argsort(dim=1, stable=True)


def _ordered(values: Tensor, order: Tensor) -> Tensor:
    """(B, G, ...) in another order (B, G) of the patches."""
    return gather(values.reshape(*order.shape, -1), order).view(values.shape)
