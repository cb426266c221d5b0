"""From a run spec to a classifier."""

from __future__ import annotations

from pointlora_cli.adaptation.build import build_adaptation
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.initialization import initialize
from pointlora_cli.models.point_mae import PointMAE
from pointlora_cli.specs.run import RunSpec


def build_classifier(spec: RunSpec, classes: int) -> Classifier:
    """Build the classifier of a run with `classes` classes, its frozen parts frozen, its weights not yet set."""
    backbone = PointMAE(spec.backbone, spec.tokenizer)
    adaptation = build_adaptation(spec.method, depth=spec.backbone.depth, width=spec.backbone.width)
    model = Classifier(backbone, adaptation, classes)
    model.freeze()
    return model


def build_initialized_classifier(spec: RunSpec, classes: int) -> Classifier:
    """Build the classifier of a run with the initial weights of its seed; a checkpoint is loaded over them."""
    model = build_classifier(spec, classes)
    initialize(model, spec.train.seed)
    return model
