"""Published results that may stand beside ours: the same data, protocol, backbone and method."""

from __future__ import annotations

import math
from pathlib import Path

from pointlora_cli.catalog.results import Augmentation, PublishedResult, published_results
from pointlora_cli.specs.method import AnyMethod
from pointlora_cli.specs.protocol import PUBLISHED, data_key
from pointlora_cli.specs.recipes import recipe_for
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import AugmentationSpec

_EPOCHS = {"modelnet40-fewshot": 150}
_EPOCHS_OF_POINT_GPT = 50
_EPOCHS_ELSE = 300
_PATCHES = {
    ("scanobjectnn", 2048): (128, 32),
    ("scanobjectnn", 1024): (64, 32),
    ("modelnet40", 1024): (64, 32),
    ("modelnet40", 8192): (512, 32),
    ("modelnet40-fewshot", 1024): (64, 32),
    ("shapenetpart", 2048): (128, 32),
}
"""Centers and neighbors of the field's networks, by data set and points."""
_FREE_OF_THE_NETWORK = {"init", "weights", "drop_path", "neighbors", "pooling"}
"""Options of a backbone that do not tell one network from another, or that change from data set to data set."""


def matching(spec: RunSpec) -> list[PublishedResult]:
    """What is published for a run's backbone and method on its data, under whatever protocol."""
    data = data_key(spec.data)
    return [
        result
        for result in published_results()
        if (result.backbone, result.method, result.data) == (spec.backbone.name, spec.method.name, data)
    ]


def shown_beside(spec: RunSpec) -> list[PublishedResult]:
    """Those of `matching` whose protocol is the run's; confirmed ones first, those of the papers' score first.

    The data and their points, the network's sizes and its patches, the method's own settings, the
    augmentation, the length of training, and the choice of the epoch by the test set must all be as published, and
    the published result must not be voted. It may be unverified: `PublishedResult.text` carries the mark.
    """
    if not is_published_protocol(spec):
        return []
    kind = augmentation_kind(spec.augmentation)
    found = [
        result
        for result in matching(spec)
        if not result.voted and result.points == spec.data.points and result.augmentation == kind
    ]
    return sorted(found, key=lambda result: (result.metric == "class mIoU", not result.verified))


def is_published_protocol(spec: RunSpec) -> bool:
    """Whether a run trains as the field does, whatever its points and augmentation."""
    if spec.data.source not in PUBLISHED or spec.backbone.init != "checkpoint":
        return False
    # A file of the user's own is taken for the pre-training; one of the catalogue by name is a fine-tuned one.
    given = spec.backbone.weights
    pretrained = given is None or Path(given).expanduser().is_file()
    epochs = _EPOCHS.get(spec.data.source, _EPOCHS_ELSE)
    if spec.backbone.name == "point-gpt":
        epochs = _EPOCHS_OF_POINT_GPT
    return (
        pretrained
        and spec.train.selection == "best-test"
        and spec.train.epochs in (epochs, epochs + 1)  # the released loops count their epochs from 0
        and (spec.schedule.length or spec.train.epochs) in (epochs, epochs + 1)
        and _has_published_network(spec)
        and spec.method == _own_settings(spec)
    )


def augmentation_kind(augmentation: AugmentationSpec) -> Augmentation | None:
    """The augmentation's name in the tables of results; None where it is none of the field's."""
    moves = augmentation.translate
    if augmentation.scale is None:
        return "rotate-y" if augmentation.rotate == "y" and moves == 0 else None
    if _spans(augmentation, 0.9, 1.1) and moves == 0 and augmentation.rotate == "y":
        return "scale-rotate-y" if augmentation.scale_axes == "each" else None
    if augmentation.rotate != "none":
        return None
    if augmentation.scale_axes == "each":
        return "scale-translate" if _spans(augmentation, 2 / 3, 3 / 2) and math.isclose(moves, 0.2) else None
    return "part-scale-translate" if _spans(augmentation, 0.8, 1.25) and math.isclose(moves, 0.1) else None


def _spans(augmentation: AugmentationSpec, low: float, high: float) -> bool:
    scale = augmentation.scale
    return scale is not None and all(
        math.isclose(ours, theirs, rel_tol=1e-3) for ours, theirs in zip(scale, (low, high), strict=True)
    )


def _has_published_network(spec: RunSpec) -> bool:
    network = spec.backbone
    own = type(network)().model_dump(exclude=_FREE_OF_THE_NETWORK)
    if network.model_dump(exclude=_FREE_OF_THE_NETWORK) != own:
        return False
    if network.name == "point-m2ae":  # it has patches of its own
        return True
    patches = _PATCHES.get((spec.data.source, spec.data.points))
    return patches in (None, (spec.tokenizer.centers, spec.tokenizer.neighbors))


def _own_settings(spec: RunSpec) -> AnyMethod:
    recipe = recipe_for(spec.method.name, spec.backbone.name, spec.data)
    return recipe.method if recipe is not None else type(spec.method)()
