"""Which methods run on which backbones, for which task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from pointlora_cli.specs.backbone import AnyBackbone, BackboneSpec
from pointlora_cli.specs.method import AnyMethod
from pointlora_cli.specs.needs import MethodSpec, Task
from pointlora_cli.specs.wording import listed


def _by_name(union: Any) -> Mapping[str, Any]:
    return {member.model_fields["name"].default: member for member in get_args(get_args(union)[0])}


METHODS: Mapping[str, type[MethodSpec]] = _by_name(AnyMethod)
"""The spec of each method, by its name."""

BACKBONES: Mapping[str, type[BackboneSpec]] = _by_name(AnyBackbone)
"""The spec of each backbone, by its name."""


class Obstacle(NamedTuple):
    """Why a method cannot run on a backbone for a task."""

    of: Literal[
        "backbone", "method", "pair"
    ]  # what cannot: the one or the other for this task, or the two together
    reason: str  # of a pair: what the backbone lacks, in words that follow "which"


def obstacle(backbone: str, method: str, task: Task = "classification") -> Obstacle | None:
    """What keeps a method from running on a backbone for a task; None where nothing does.

    Raises:
        KeyError: there is no backbone or no method of that name.
    """
    network, adaptation = BACKBONES[backbone], METHODS[method]
    if task == "pretraining":
        return _untrainable(backbone, method)
    if task == "part-segmentation" and network.unsegmented is not None:
        return Obstacle("backbone", network.unsegmented)
    if task == "part-segmentation" and adaptation.unsegmented is not None:
        return Obstacle("method", adaptation.unsegmented)
    lacking = [network.lacks[need] for need in adaptation.needs if need in network.lacks]
    return Obstacle("pair", " and ".join(lacking)) if lacking else None


def _untrainable(backbone: str, method: str) -> Obstacle | None:
    """What keeps a backbone from being pre-trained by a method: Point-MAE is, as a whole."""
    if backbone != "point-mae":
        return Obstacle("backbone", "its own pre-training is another one, not built here")
    if method != "full":
        return Obstacle("method", "a pre-training trains every weight, as method full does")
    return None


def refusal(backbone: str, method: str, task: Task = "classification") -> str | None:
    """The obstacle as one clause that names what would run instead; None where there is none.

    Raises:
        KeyError: there is no backbone or no method of that name.
    """
    found = obstacle(backbone, method, task)
    if found is None:
        return None
    if found.of == "backbone":
        able = [
            name for name in BACKBONES if (of := obstacle(name, "full", task)) is None or of.of != "backbone"
        ]
        do = "do" if len(able) > 1 else "does"
        return f"backbone {backbone} does not run for {task}: {found.reason} ({listed(able)} {do})"
    if found.of == "method":
        return f"method {method} does not run for {task}: {found.reason}"
    others = [name for name in BACKBONES if obstacle(name, method, task) is None]
    methods = [name for name in METHODS if obstacle(backbone, name, task) is None]
    return (
        f"method {method} does not run on backbone {backbone}, which {found.reason} "
        f"({method} runs on {listed(others)}, while {backbone} takes {listed(methods)})"
    )
