"""Official names and shapes of weights, and ours.

Every name is mapped explicitly, and the sets of names that a file lacks or has to spare are asserted,
so that a wrong file is an error and never a start from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pointlora_cli.errors import DataError

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel

_NAMED = 10  # names listed in one message
_BLOCKS = "blocks.blocks"  # Point-MAE's name of its blocks, by which the methods name what stands in them


@dataclass(frozen=True)
class Layout:
    """A kind of official file: what it lacks, and what it has beside the backbone."""

    name: str
    missing: frozenset[str] = frozenset()
    spare: tuple[str, ...] = ()  # beginnings of names


@dataclass(frozen=True)
class OfficialNames:
    """How a project names the weights of its backbone, and how its files hold them."""

    title: str
    prefixes: Mapping[str, str]  # beginnings of our names -> of official names; the rest is the same in both
    layouts: tuple[Layout, ...]
    unwrap: Callable[[str], str | None]  # a name without what training code wraps it in; None: of no concern
    parts: Mapping[str, str] = field(default_factory=dict)
    """Parts of our names, behind the beginning -> of official names."""
    idle: tuple[str, ...] = ()
    """Beginnings of names that every file of the project has, and that a classifier never uses."""

    def official(self, own: str) -> str:
        """The official name of ours."""
        prefix = next(prefix for prefix in self.prefixes if _is_of(own, prefix))
        rest = own.removeprefix(prefix)
        for ours, theirs in self.parts.items():
            rest = rest.replace(ours, theirs)
        return self.prefixes[prefix] + rest

    @property
    def blocks(self) -> str:
        """Their name of the list of blocks, in networks that have one list."""
        return self.prefixes.get("backbone.blocks", _BLOCKS)

    def left_out(self, own: Collection[str]) -> set[str]:
        """Official names of what a backbone with the entries `own` goes without: its class token."""
        return {
            official
            for prefix, official in self.prefixes.items()
            if prefix.startswith("backbone.") and not any(_is_of(name, prefix) for name in own)
        }


def _is_of(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def official_names(model: AdaptedModel) -> dict[str, str]:
    """Our name -> the official name of every entry of the model's state dict."""
    names = model.backbone.official
    renamed = {
        own: name.replace(f"{_BLOCKS}.", f"{names.blocks}.", 1)
        for own, name in model.adaptation.official_names(model.backbone.shape.depth).items()
    }
    return {own: renamed[own] if own in renamed else names.official(own) for own in model.state_dict()}


def load_official_model(model: AdaptedModel, weights: Mapping[str, Tensor], source: str = "") -> None:
    """Load a complete official model, adaptation and head included, into `model`.

    Args:
        model: the model of a run.
        weights: by their official names.
        source: the file's name, for messages.

    Raises:
        DataError: a name is missing or spare, or a shape differs.
    """
    names = official_names(model)
    aliases = model.adaptation.official_aliases()
    idle = model.backbone.official.idle
    weights = {name: value for name, value in weights.items() if not (idle and name.startswith(idle))}
    plain = {name: value for name, value in weights.items() if name not in aliases}
    weights = plain | {aliases[name]: value for name, value in weights.items() if name in aliases}
    missing, spare = set(names.values()) - set(weights), set(weights) - set(names.values())
    if missing or spare:
        raise DataError(
            f"{source + ': ' if source else ''}the weights do not fit the model: {_difference(missing, spare)}",
            remedy="Check that the file is the one that its authors publish.",
        )
    _copy(model, names, weights, source)


def load_official_backbone(
    model: AdaptedModel, weights: Mapping[str, Tensor], source: str
) -> tuple[str, set[str]]:
    """Load the backbone of an official file into `model`; all else keeps its initial values.

    Args:
        model: the model of a run.
        weights: the file's tensors under its own names, container prefixes included.
        source: the file's name, for messages.

    Returns:
        the name of the file's layout, and our names of the entries it supplied.

    Raises:
        DataError: a name is missing or spare, or a shape differs from the spec's backbone.
    """
    official = model.backbone.official
    weights = {name: tensor for key, tensor in weights.items() if (name := official.unwrap(key)) is not None}
    wanted = {own: official.official(own) for own in model.backbone.state_dict(prefix="backbone.")}
    left_out = official.left_out(wanted)
    missing = set(wanted.values()) - set(weights)
    spare = set(weights) - set(wanted.values()) - left_out
    for layout in official.layouts:
        if missing == layout.missing - left_out and all(name.startswith(layout.spare) for name in spare):
            found = {own: name for own, name in wanted.items() if name not in missing}
            _copy(model, found, weights, source)
            return layout.name, set(found)
    missing -= official.layouts[0].missing
    known = tuple(name for layout in official.layouts for name in layout.spare)
    spare = {name for name in spare if not name.startswith(known)}
    raise DataError(
        f"{source}: not a {official.title} checkpoint that fits this backbone: {_difference(missing, spare)}",
        remedy=f"Give a published {official.title} file (pointlora download --list shows them), or set "
        "the sizes in backbone to the file's.",
    )


@torch.no_grad()
def _copy(
    model: nn.Module, names: Mapping[str, str], weights: Mapping[str, Tensor], source: str = ""
) -> None:
    state = model.state_dict()
    values, problems = {}, []
    for own, official in names.items():
        value = weights[official]
        while value.dim() > state[own].dim() and value.shape[-1] == 1:
            value = value.squeeze(-1)  # a 1x1 convolution is a matrix here
        if value.shape != state[own].shape:
            problems.append(f"{official} is {tuple(value.shape)}, the model has {tuple(state[own].shape)}")
        values[own] = value
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise DataError(
            f"{source + ': ' if source else ''}the weights have other shapes: {'; '.join(problems[:3])}{more}",
            remedy="Set the sizes in backbone (see pointlora inspect) to the checkpoint's.",
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
