"""Official names and shapes of weights, and ours.

Every name is mapped explicitly, and the sets of names that a file lacks or has to spare are asserted,
so that a wrong file is an error and never a start from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pointlora_cli.errors import DataError
from pointlora_cli.models.classifier import Classifier

_PREFIXES = {
    "backbone.cls_token": "cls_token",
    "backbone.cls_pos": "cls_pos",
    "backbone.patch_encoder.first.linear1": "encoder.first_conv.0",
    "backbone.patch_encoder.first.norm": "encoder.first_conv.1",
    "backbone.patch_encoder.first.linear2": "encoder.first_conv.3",
    "backbone.patch_encoder.second.linear1": "encoder.second_conv.0",
    "backbone.patch_encoder.second.norm": "encoder.second_conv.1",
    "backbone.patch_encoder.second.linear2": "encoder.second_conv.3",
    "backbone.position_embedding": "pos_embed",
    "backbone.blocks": "blocks.blocks",
    "backbone.norm": "norm",
    "head.layers": "cls_head_finetune",
}
"""Beginnings of our names -> of official names; the rest of a name is the same in both."""


@dataclass(frozen=True)
class Layout:
    """A kind of official Point-MAE file: what it lacks, and what it has beside the encoder."""

    name: str
    missing: frozenset[str]
    spare: tuple[str, ...]  # beginnings of names


LAYOUTS = (
    Layout(
        "pre-training",
        missing=frozenset({"cls_token", "cls_pos"}),  # Point-MAE pre-trains without a class token
        spare=("mask_token", "decoder_pos_embed.", "MAE_decoder.", "increase_dim."),
    ),
    Layout("fine-tuning", missing=frozenset(), spare=("cls_head_finetune.",)),
    Layout(
        "segmentation",
        missing=frozenset({"cls_token", "cls_pos"}),
        spare=("label_conv.", "propagation_0.", "convs1.", "bns1.", "convs2.", "bns2.", "convs3."),
    ),
)
_SPARE = tuple(name for layout in LAYOUTS for name in layout.spare)
_NAMED = 10  # names listed in one message


def official_names(model: Classifier) -> dict[str, str]:
    """Our name -> the official name of every entry of the model's state dict."""
    renamed = model.adaptation.official_names(len(model.backbone.blocks))
    names = {}
    for own in model.state_dict():
        if own in renamed:
            names[own] = renamed[own]
            continue
        prefix = next(prefix for prefix in _PREFIXES if own == prefix or own.startswith(f"{prefix}."))
        names[own] = _PREFIXES[prefix] + own.removeprefix(prefix)
    return names


def load_official_model(model: Classifier, weights: Mapping[str, Tensor]) -> None:
    """Load a complete official model, adaptation and head included, into `model`.

    Raises:
        DataError: a name is missing or spare, or a shape differs.
    """
    names = official_names(model)
    missing, spare = set(names.values()) - set(weights), set(weights) - set(names.values())
    if missing or spare:
        raise DataError(f"the weights do not fit the model: {_difference(missing, spare)}")
    _copy(model, names, weights)


def load_official_backbone(
    model: Classifier, weights: Mapping[str, Tensor], source: str
) -> tuple[str, set[str]]:
    """Load the backbone of an official Point-MAE file into `model`; all else keeps its initial values.

    Args:
        model: the classifier.
        weights: the file's tensors under its own names, container prefixes included.
        source: the file's name, for messages.

    Returns:
        the name of the file's layout, and our names of the entries it supplied.

    Raises:
        DataError: a name is missing or spare, or a shape differs from the spec's backbone.
    """
    weights = {strip_container(name): tensor for name, tensor in weights.items()}
    wanted = _plain_backbone_names(model)
    missing = set(wanted.values()) - set(weights)
    spare = set(weights) - set(wanted.values())
    for layout in LAYOUTS:
        if missing == layout.missing and all(name.startswith(layout.spare) for name in spare):
            found = {own: name for own, name in wanted.items() if name not in missing}
            _copy(model, found, weights, source)
            return layout.name, set(found)
    missing -= LAYOUTS[0].missing
    spare = {name for name in spare if not name.startswith(_SPARE)}
    raise DataError(
        f"{source}: not a Point-MAE checkpoint that fits this backbone: {_difference(missing, spare)}",
        remedy="Give a published Point-MAE file (pointlora download point-mae), or set backbone.depth and "
        "backbone.width to the file's.",
    )


def strip_container(name: str) -> str:
    """The name without the wrappers that training code leaves (data parallel, pre-training model)."""
    name = name.replace("module.", "")
    return name.removeprefix("MAE_encoder.").removeprefix("base_model.")


def _plain_backbone_names(model: Classifier) -> dict[str, str]:
    """Our name -> the name in a pre-trained file, which knows nothing of the adaptation."""
    names = {}
    for own in model.backbone.state_dict(prefix="backbone."):
        prefix = next(prefix for prefix in _PREFIXES if own == prefix or own.startswith(f"{prefix}."))
        names[own] = _PREFIXES[prefix] + own.removeprefix(prefix)
    return names


@torch.no_grad()
def _copy(
    model: nn.Module, names: Mapping[str, str], weights: Mapping[str, Tensor], source: str = ""
) -> None:
    state = model.state_dict()
    values, problems = {}, []
    for own, official in names.items():
        value = weights[official]
        if value.dim() == 3 and state[own].dim() == 2 and value.shape[-1] == 1:
            value = value.squeeze(-1)  # a 1x1 convolution is a matrix here
        if value.shape != state[own].shape:
            problems.append(f"{official} is {tuple(value.shape)}, the model has {tuple(state[own].shape)}")
        values[own] = value
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise DataError(
            f"{source + ': ' if source else ''}the weights have other shapes: {'; '.join(problems[:3])}{more}",
            remedy="Set backbone.width, backbone.depth and backbone.encoder_widths to the checkpoint's.",
        )
    for own, value in values.items():
        state[own].copy_(value)


def _difference(missing: set[str], spare: set[str]) -> str:
    parts = [
        f"{len(names)} {kind} ({', '.join(sorted(names)[:_NAMED])}{', …' if len(names) > _NAMED else ''})"
        for kind, names in (("missing", missing), ("unknown", spare))
        if names
    ]
    return ", ".join(parts)
