"""Whether a checkpoint is what the catalogue says, whatever its size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pointlora_cli.errors import DataError
from pointlora_cli.models import official_layouts
from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.checkpoint_file import read_checkpoint
from pointlora_cli.models.official import load_official_backbone
from pointlora_cli.specs.backbone import LARGEST_WIDTH, PointMAESpec
from pointlora_cli.specs.method import FullMethod
from pointlora_cli.specs.run import RunSpec

_MOST_BLOCKS = 64
_CLASSES = 2  # of a head that is not looked at

POINT_MAE_LAYOUTS = frozenset({"point-mae", "point-mae-segmentation"})
"""Layouts of the catalogue whose every name and shape is known here."""


def check_published(path: Path, layout: str | None, beginnings: Sequence[str], name: str) -> str:
    """Read a checkpoint as the catalogue describes it.

    Args:
        path: the file.
        layout: the catalogue's name of its layout.
        beginnings: of names, each of which some weight must have.
        name: what the file is called in messages.

    Returns:
        what was found, in a few words.

    Raises:
        IntegrityError: it asks for objects that could run code.
        DataError: it is no checkpoint, or not of this layout.
    """
    weights = read_checkpoint(path, name)
    if layout in POINT_MAE_LAYOUTS:
        return _check_point_mae(weights, name)
    plain = {key.replace("module.", "") for key in weights}
    missing = [start for start in beginnings if not any(key.startswith(start) for key in plain)]
    if missing:
        raise DataError(
            f"{name}: not a checkpoint of {layout}: no weight's name begins with {' or '.join(missing)}",
            remedy="Check that the file is the one that its authors publish.",
        )
    return f"{len(weights)} tensors"


def _check_point_mae(weights: Mapping[str, Tensor], name: str) -> str:
    """Every name and shape against the network of the sizes that the file itself shows."""
    backbone = _sizes(
        {official_layouts.POINT_MAE.unwrap(key) or key: value for key, value in weights.items()}
    )
    with torch.device("meta"):
        model = build_classifier(RunSpec(backbone=backbone, method=FullMethod()), _CLASSES)
    layout, _ = load_official_backbone(model, weights, name)
    return f"Point-MAE, {layout}, width {backbone.width}, {backbone.depth} blocks"


def _sizes(weights: Mapping[str, Tensor]) -> PointMAESpec:
    """The sizes of the network whose weights these are; the published ones where they do not tell."""
    published = PointMAESpec()

    def rows(key: str, otherwise: int) -> int:
        tensor = weights.get(key)
        size = tensor.shape[0] if tensor is not None and tensor.dim() else otherwise
        return size if 1 <= size <= LARGEST_WIDTH else otherwise

    width = rows("norm.bias", published.width)
    width = width if 8 <= width <= 4096 else published.width
    found = [re.match(r"blocks\.blocks\.(\d{1,3})\.", key) for key in weights]
    depth = 1 + max((int(match[1]) for match in found if match), default=published.depth - 1)
    first, second, third = published.encoder_widths
    return PointMAESpec(
        width=width,
        depth=min(depth, _MOST_BLOCKS),
        heads=next(heads for heads in (6, 4, 2, 1) if width % heads == 0),
        encoder_widths=(
            rows("encoder.first_conv.0.bias", first),
            rows("encoder.first_conv.3.bias", second),
            rows("encoder.second_conv.0.bias", third),
        ),
        position_width=rows("pos_embed.0.bias", published.position_width),
    )
