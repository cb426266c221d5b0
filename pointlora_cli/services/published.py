"""Published results that may stand beside ours: the same data, protocol, backbone and method."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from pointlora_cli.catalog.results import Augmentation, PublishedResult, published_results
from pointlora_cli.services.inspect import inspect
from pointlora_cli.specs.backbone import BackboneSpec
from pointlora_cli.specs.data import FewShotData
from pointlora_cli.specs.merging import merge
from pointlora_cli.specs.protocol import PUBLISHED, data_key
from pointlora_cli.specs.recipes import recipe_values
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import AugmentationSpec

_FOLDS = 10
_EPOCHS = {"modelnet40-fewshot": 150}
_EPOCHS_ELSE = 300
_PATCHES = {
    ("scanobjectnn", 2048): (128, 32),
    ("scanobjectnn", 1024): (64, 32),
    ("modelnet40", 1024): (64, 32),
    ("modelnet40", 8192): (512, 32),
    ("modelnet40-fewshot", 1024): (64, 32),
    ("shapenetpart", 2048): (128, 32),
}
"""Centers and neighbors of the field's networks, by data set and points; of others nothing is published here."""

_FREE: dict[str, Any] = {
    **dict.fromkeys(("name", "description", "output"), True),
    "data": {
        *("root", "files", "fold"),  # where the same clouds are, and which of the folds
        *("replace_near_origin", "skip_near_origin"),  # a few points of the CUDA sampler
        *("test_sampling", "test_seed"),  # drawn anew where published: the row's note says so
        *("candidates", "episode_seed"),  # the first is compared as `drawn_from`; the other is not in use
    },
    "backbone": {"weights"},  # compared by name
    "tokenizer": {"skip_near_origin"},
    "schedule": {"length"},  # compared with the epochs
    "augmentation": set(AugmentationSpec.model_fields) - {"shuffle"},  # compared with the row
    "train": {
        *("epochs", "val_fraction"),  # the first is compared by itself; the other is not in use
        *("seed", "device", "precision", "eval_batch_size"),  # of the machine and of the one run
        *("compile", "recompute", "clouds_on"),  # the same equations
        *("checkpoint_minutes", "checkpoint_steps", "keep_checkpoints", "keep_best"),
    },
}
"""What a run may choose and still train as the field does; all else must be equal."""


def matching(spec: RunSpec) -> list[PublishedResult]:
    """What is published for a run's backbone and method on its data, under whatever protocol."""
    data = data_key(spec.data)
    return [
        result
        for result in published_results()
        if (result.backbone, result.method, result.data) == (spec.backbone.name, spec.method.name, data)
    ]


def shown_beside(spec: RunSpec, folds: int | None = None) -> list[PublishedResult]:
    """Those of `matching` whose protocol is the run's; confirmed ones first, those of the papers' score first.

    The data and their points, the network and its patches, the method's own settings, the augmentation, the
    optimiser, the length of training, and the choice of the epoch by the test set must all be as published, and
    so must the number of trained parameters; the published result must not be voted. It may be unverified:
    `PublishedResult.text` carries the mark.

    Args:
        spec: of the run.
        folds: of few-shot episodes, how many the score is the mean of; None: it is the score of one run, beside
            which no mean over ten folds may stand.
    """
    if folds != (_FOLDS if isinstance(spec.data, FewShotData) else None) or not is_published_protocol(spec):
        return []
    kind = augmentation_kind(spec.augmentation)
    found = [
        result
        for result in matching(spec)
        if not result.voted
        and result.points == spec.data.points
        and result.augmentation == kind
        and _is_of_our_size(result, spec)
    ]
    return sorted(found, key=lambda result: (result.metric == "class mIoU", not result.verified))


def is_published_protocol(spec: RunSpec) -> bool:
    """Whether a run trains as the field does, whatever its augmentation."""
    published = _published_run(spec)
    if published is None or spec.backbone.init != "checkpoint" or not _is_pretraining(spec.backbone):
        return False
    epochs = published.train.epochs
    lengths = (epochs, epochs + 1)  # the released loops count their epochs from 0
    free = dict(_FREE)
    if spec.task == "part-segmentation":
        free["optimizer"] = {"double_step"}  # published with it: the row's note says so
    if spec.backbone.name == "point-m2ae":
        free["tokenizer"] = True  # it gives that network no sizes
    return (
        spec.train.epochs in lengths
        and (spec.schedule.length or spec.train.epochs) in lengths
        and spec.data.drawn_from == published.data.drawn_from
        and spec.model_dump(exclude=free) == published.model_dump(exclude=free)
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


def _published_run(spec: RunSpec) -> RunSpec | None:
    """The run of the same method, backbone and data as the field has it; None where that is not known."""
    data, backbone = spec.data, spec.backbone.name
    patches = _PATCHES.get((data.source, data.points))
    if data.source not in PUBLISHED or patches is None:
        return None
    episode: dict[str, Any] = {}
    if isinstance(data, FewShotData):
        if backbone == "point-m2ae":  # whether with the patches of ModelNet40 is not known
            return None
        episode = {"episodes": "published", "outputs": 40}
    tree = {
        "task": spec.task,
        "data": data.model_dump(include={"source", "variant", "way", "shot", "points"}) | episode,
        "backbone": {"name": backbone},
        "tokenizer": dict(zip(("centers", "neighbors"), patches, strict=True)),
        "schedule": {"lag": 1},
        "train": {"epochs": _EPOCHS.get(data.source, _EPOCHS_ELSE), "selection": "best-test"},
    }
    return RunSpec.model_validate(merge(tree, recipe_values(spec.method.name, backbone, data)))


def _is_pretraining(backbone: BackboneSpec) -> bool:
    """Whether the weights are the backbone's published pre-training; of a path it is not known."""
    entry = backbone.catalog_entry
    return backbone.weights in (None, entry, f"{entry}/pretrain")


def _is_of_our_size(result: PublishedResult, spec: RunSpec) -> bool:
    """Whether as much trains here, to less than one unit of the last digit printed: some round, some cut off."""
    theirs = result.trained_millions
    if theirs is None:
        return True
    _, _, digits = repr(theirs).partition(".")
    return abs(_trained_millions(spec) - theirs) < 10.0 ** -len(digits)


@lru_cache(maxsize=64)
def _trained_millions(spec: RunSpec) -> float:
    return inspect(spec).counts.trained / 1e6
