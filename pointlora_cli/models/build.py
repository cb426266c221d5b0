"""From a run spec to a classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pointlora_cli.adaptation.build import build_adaptation
from pointlora_cli.models.backbone import Backbone
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.initialization import initialize
from pointlora_cli.models.point_bert import PointBERT
from pointlora_cli.models.point_m2ae import PointM2AE
from pointlora_cli.models.point_mae import ACT, PointMAE, ReConPlain
from pointlora_cli.models.recon import ReCon
from pointlora_cli.specs.backbone import (
    ACTSpec,
    BackboneSpec,
    PointBERTSpec,
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
}
"""The module of each backbone's spec."""


def build_classifier(spec: RunSpec, classes: int) -> Classifier:
    """Build the classifier of a run with `classes` classes, its frozen parts frozen, its weights not yet set."""
    backbone = BACKBONES[type(spec.backbone)](spec.backbone, spec.tokenizer)
    adaptation = build_adaptation(spec.method, backbone.shape)
    model = Classifier(backbone, adaptation, classes)
    model.freeze()
    return model


def build_initialized_classifier(spec: RunSpec, classes: int) -> Classifier:
    """Build the classifier of a run with the initial weights of its seed; a checkpoint is loaded over them."""
    model = build_classifier(spec, classes)
    initialize(model, spec.train.seed)
    return model
