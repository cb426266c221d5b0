"""The sizes of a network, as the shapes of its weights show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from pointlora_cli.specs.backbone import (
    LARGEST_WIDTH,
    PlainBackboneSpec,
    PointBERTSpec,
    PointGPTSpec,
    PointM2AESpec,
)
from pointlora_cli.specs.method import DAPTMethod, PointGSTMethod

Plain = TypeVar("Plain", bound=PlainBackboneSpec)
_NARROWEST, _WIDEST, _DEEPEST = 8, 4096, 64  # that a spec takes


class Sizes:
    """What the weights of a file, by their names without wrappers, say of sizes.

    Each question has an answer that a spec takes: the published one, where the file has none.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def rows(self, name: str, otherwise: int) -> int:
        """The rows of a weight."""
        return self._size(name, 0, otherwise)

    def columns(self, name: str, otherwise: int) -> int:
        """The columns of a weight."""
        return self._size(name, 1, otherwise)

    def width(self, name: str, otherwise: int) -> int:
        """The rows of a weight that are the channels of a token."""
        width = self.rows(name, otherwise)
        return width if _NARROWEST <= width <= _WIDEST else otherwise

    def depth(self, blocks: str, otherwise: int) -> int:
        """How many blocks the list of this name has."""
        pattern = re.compile(rf"{re.escape(blocks)}\.(\d{{1,3}})\.")
        found = [int(match[1]) for name in self._weights if (match := pattern.match(name))]
        return min(1 + max(found, default=otherwise - 1), _DEEPEST)

    def encoder(self, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
        """The channels inside a patch encoder: of all layers but the last. Four may be three in another file."""
        layers = ["first_conv.0", "first_conv.3", "first_conv.6", "second_conv.0"]
        if len(otherwise) < 4 or f"{name}.first_conv.6.bias" not in self._weights:
            layers.remove("first_conv.6")
            otherwise = otherwise[-3:]
        return tuple(
            self.rows(f"{name}.{layer}.bias", size) for layer, size in zip(layers, otherwise, strict=True)
        )

    def _size(self, name: str, axis: int, otherwise: int) -> int:
        tensor = self._weights.get(name)
        size = tensor.shape[axis] if tensor is not None and tensor.dim() > axis else otherwise
        return size if 1 <= size <= LARGEST_WIDTH else otherwise


def plain(spec: Plain, sizes: Sizes) -> Plain:
    """`spec` in the sizes of a file; heads leave no trace in shapes."""
    return spec.model_copy(
        update={
            "width": sizes.width("norm.bias", spec.width),
            "depth": sizes.depth("blocks.blocks", spec.depth),
            "heads": 1,
            "encoder_widths": sizes.encoder("encoder", spec.encoder_widths),
            "position_width": sizes.rows("pos_embed.0.bias", spec.position_width),
        }
    )


def point_bert(sizes: Sizes) -> PointBERTSpec:
    """Point-BERT, whose patches have a width of their own."""
    patch_width = sizes.rows("encoder.second_conv.3.bias", PointBERTSpec().patch_width)
    return plain(PointBERTSpec(patch_width=patch_width), sizes)


def point_m2ae(sizes: Sizes) -> PointM2AESpec:
    """Point-M2AE; groupings and pooling leave no trace in the shapes of the backbone."""
    spec = PointM2AESpec()
    encoder = "h_encoder.token_embed"
    return spec.model_copy(
        update={
            "widths": tuple(
                sizes.width(f"{encoder}.{level}.second_conv.3.bias", width)
                for level, width in enumerate(spec.widths)
            ),
            "depths": tuple(
                sizes.depth(f"h_encoder.encoder_blocks.{level}.blocks", depth)
                for level, depth in enumerate(spec.depths)
            ),
            "heads": 1,
            "encoder_widths": sizes.encoder(f"{encoder}.0", spec.encoder_widths),
        }
    )


def point_gpt(sizes: Sizes) -> PointGPTSpec:
    """PointGPT."""
    spec = PointGPTSpec()
    return spec.model_copy(
        update={
            "width": sizes.width("blocks.ln_f.bias", spec.width),
            "depth": sizes.depth("blocks.layers", spec.depth),
            "heads": 1,
            "encoder_widths": sizes.encoder("encoder", spec.encoder_widths),
        }
    )


def dapt(sizes: Sizes) -> DAPTMethod:
    """DAPT: its rank, and from the head's width how many kinds of tokens it pools."""
    width = sizes.width("norm.bias", PlainBackboneSpec.model_fields["width"].default)
    pooled = sizes.columns("cls_head_finetune.0.weight", 3 * width) // width - 1
    return DAPTMethod(
        rank=sizes.rows("blocks.blocks.0.Adapter_MLP.down_proj.bias", DAPTMethod().rank),
        prompt_pooling="mean" if pooled >= 1 else "none",
        patch_pooling="max" if pooled >= 2 else "none",
    )


def pointgst(sizes: Sizes, blocks: str) -> PointGSTMethod:
    """PointGST, whose adapters stand in the list of blocks of this name."""
    return PointGSTMethod(rank=sizes.rows(f"{blocks}.0.gft_adapter.down.bias", PointGSTMethod().rank))
