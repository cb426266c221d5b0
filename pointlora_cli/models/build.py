"""From a run spec to a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from pointlora_cli.adaptation.build import build_adaptation
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.backbone import Backbone
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.initialization import initialize
from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder
from pointlora_cli.models.point_bert import PointBERT
from pointlora_cli.models.point_gpt import PointGPT
from pointlora_cli.models.point_m2ae import PointM2AE
from pointlora_cli.models.point_mae import ACT, PointMAE, ReConPlain
from pointlora_cli.models.recon import ReCon
from pointlora_cli.models.segmenter import Segmenter
from pointlora_cli.specs.backbone import (
    ACTSpec,
    BackboneSpec,
    PlainBackboneSpec,
    PointBERTSpec,
    PointGPTSpec,
    PointM2AESpec,
    PointMAESpec,
    ReConPlainSpec,
    ReConSpec,
    TokenizerSpec,
)
from pointlora_cli.specs.run import RunSpec

BACKBONES: dict[type[BackboneSpec], Callable[[Any, TokenizerSpec], Backbone]] = {
    PointMAESpec: PointMAE,
    ACTSpec: ACT,
    PointBERTSpec: PointBERT,
    ReConSpec: ReCon,
    ReConPlainSpec: ReConPlain,
    PointM2AESpec: PointM2AE,
    PointGPTSpec: PointGPT,
}
"""The module of each backbone's spec."""

SEGMENTING: dict[type[BackboneSpec], Callable[[Any, TokenizerSpec], PointMAE]] = {
    PointMAESpec: partial(PointMAE, class_token=False),
    ACTSpec: partial(ACT, class_token=False),
    ReConPlainSpec: partial(ReConPlain, class_token=False),
    ReConSpec: ReCon,
}
"""The same for part segmentation, where only ReCon has tokens that stand for the whole cloud."""


class Outputs(NamedTuple):
    """What the data ask of a model."""

    classes: int  # to tell apart: classes of clouds, or in part segmentation parts of all categories
    categories: int = 0  # of clouds, in part segmentation


def build_model(spec: RunSpec, outputs: Outputs) -> AdaptedModel:
    """Build the model of a run, its frozen parts frozen, its weights not yet set."""
    if isinstance(spec.backbone, PlainBackboneSpec) and spec.task == "pretraining":
        model = MaskedAutoencoder(spec.backbone, spec.tokenizer, spec.masking)
        model.freeze()
        return model
    if spec.task == "part-segmentation":
        return build_segmenter(spec, outputs)
    return build_classifier(spec, outputs.classes)


def build_initialized_model(spec: RunSpec, outputs: Outputs) -> AdaptedModel:
    """Build the model of a run with the initial weights of its seed; a checkpoint is loaded over them."""
    model = build_model(spec, outputs)
    if isinstance(model, MaskedAutoencoder):
        model.initialize(spec.train.seed)
    else:
        initialize(model, spec.train.seed)
    return model


def build_segmenter(spec: RunSpec, outputs: Outputs) -> Segmenter:
    """Build the part-segmentation network of a run, its frozen parts frozen, its weights not yet set."""
    return _segmenter(SEGMENTING[type(spec.backbone)](spec.backbone, spec.tokenizer), spec, outputs)


def build_classifier(spec: RunSpec, classes: int) -> Classifier:
    """Build the classifier of a run with `classes` classes, its frozen parts frozen, its weights not yet set."""
    return _classifier(BACKBONES[type(spec.backbone)](spec.backbone, spec.tokenizer), spec, classes)


def rebuild(model: AdaptedModel, spec: RunSpec, outputs: Outputs) -> AdaptedModel:
    """Build the model of another method around a model's own backbone, which is then no longer that model's."""
    if isinstance(model, Segmenter):
        return _segmenter(model.backbone, spec, outputs)
    return _classifier(model.backbone, spec, outputs.classes)


def _segmenter(backbone: PointMAE, spec: RunSpec, outputs: Outputs) -> Segmenter:
    adaptation = build_adaptation(spec.method, backbone.shape)
    model = Segmenter(backbone, adaptation, categories=outputs.categories, parts=outputs.classes)
    model.freeze()
    return model


def _classifier(backbone: Backbone, spec: RunSpec, classes: int) -> Classifier:
    model = Classifier(backbone, build_adaptation(spec.method, backbone.shape), classes, spec.head)
    model.freeze()
    return model
