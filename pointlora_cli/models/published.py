"""Whether a checkpoint is what the catalogue says, whatever its size.

A file shows the sizes of its network itself. With these the network is built without memory, and every
name and shape of the file held against it: a weight too few or too many is an error, which lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pointlora_cli.adaptation.build import build_adaptation
from pointlora_cli.errors import DataError
from pointlora_cli.models.build import BACKBONES
from pointlora_cli.models.checkpoint_file import read_checkpoint
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.official import OfficialNames, load_official_backbone, load_official_model
from pointlora_cli.models.official_layouts import ACT, POINT_BERT, POINT_GPT, POINT_M2AE, POINT_MAE, RECON
from pointlora_cli.models.published_sizes import (
    Sizes,
    dapt,
    plain,
    point_bert,
    point_gpt,
    point_m2ae,
    pointgst,
)
from pointlora_cli.specs.backbone import ACTSpec, AnyBackbone, PointMAESpec, ReConSpec, TokenizerSpec
from pointlora_cli.specs.method import AnyMethod, FullMethod

_CLASSES = 15  # of a head whose size does not show


@dataclass(frozen=True)
class Published:
    """A kind of file whose every name and shape is known here."""

    names: OfficialNames
    backbone: Callable[[Sizes], AnyBackbone]
    method: Callable[[Sizes], AnyMethod] | None = None
    """The method whose weights are in it, with the head's; None: only the backbone is looked at."""
    head: str = "cls_head_finetune"


_POINT_MAE = Published(POINT_MAE, lambda sizes: plain(PointMAESpec(), sizes))
_RECON = Published(RECON, lambda sizes: plain(ReConSpec(), sizes))

LAYOUTS: Mapping[str, Published] = {
    "point-mae": _POINT_MAE,
    "point-mae-segmentation": _POINT_MAE,
    "act": Published(ACT, lambda sizes: plain(ACTSpec(), sizes)),
    "point-bert": Published(POINT_BERT, point_bert),
    "recon": _RECON,
    "recon-segmentation": _RECON,
    "point-m2ae": Published(POINT_M2AE, point_m2ae),
    "pointgpt": Published(POINT_GPT, point_gpt),
    "dapt": Published(POINT_MAE, _POINT_MAE.backbone, dapt),
    # On ACT and ReCon the released code has the same network as on Point-MAE.
    "pointgst": Published(POINT_MAE, _POINT_MAE.backbone, lambda sizes: pointgst(sizes, "blocks.blocks")),
    "pointgst-gpt": Published(
        POINT_GPT,
        point_gpt,
        lambda sizes: pointgst(sizes, "blocks.layers"),
        head="blocks.cls_head_finetune",
    ),
}
"""By the catalogue's name. Of the other layouts no public source gives all names."""


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
        DataError: it is no checkpoint, or not of this layout; which weights it lacks and has to spare.
    """
    weights = read_checkpoint(path, name)
    if layout is not None and layout in LAYOUTS:
        return _check_all(LAYOUTS[layout], weights, name)
    plain_names = {key.replace("module.", "") for key in weights}
    missing = [start for start in beginnings if not any(key.startswith(start) for key in plain_names)]
    if missing:
        raise DataError(
            f"{name}: not a checkpoint of {layout}: no weight's name begins with {' or '.join(missing)}",
            remedy="Check that the file is the one that its authors publish.",
        )
    return f"{len(weights)} tensors"


def _check_all(published: Published, weights: Mapping[str, Tensor], name: str) -> str:
    """Every name and shape against the network of the sizes that the file itself shows."""
    unwrapped = {own: value for key, value in weights.items() if (own := published.names.unwrap(key))}
    sizes = Sizes(unwrapped)
    spec = published.backbone(sizes)
    method = published.method(sizes) if published.method else FullMethod()
    with torch.device("meta"):
        backbone = BACKBONES[type(spec)](spec, TokenizerSpec())
        classes = sizes.rows(f"{published.head}.8.bias", _CLASSES)
        model = Classifier(backbone, build_adaptation(method, backbone.shape), classes)
    if published.method is None:
        found, _ = load_official_backbone(model, weights, name)
    else:
        load_official_model(model, unwrapped, name)
        found = method.name
    widths = ", ".join(f"{width}" for width in dict.fromkeys(backbone.shape.widths))
    return f"{published.names.title}, {found}, width {widths}, {backbone.shape.depth} blocks"
