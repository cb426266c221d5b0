"""Results as JSON documents: plain values, NaN as null."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pointlora_cli.models.counting import ParameterCounts
from pointlora_cli.training.adapter_file import CategoryRecord
from pointlora_cli.training.metrics import AnyMetrics, Metrics
from pointlora_cli.training.part_metrics import PartMetrics
from pointlora_cli.training.reconstruction_metrics import ReconstructionMetrics


def metrics_document(
    classes: Sequence[str], categories: Sequence[CategoryRecord], metrics: AnyMetrics
) -> dict[str, Any]:
    """What an evaluation found, of any task."""
    if isinstance(metrics, PartMetrics):
        return _part_document(categories, metrics)
    if isinstance(metrics, ReconstructionMetrics):
        return {"clouds": metrics.count, **metrics.row(), "loss": _number(metrics.loss)}
    return _class_document(classes, metrics)


def _class_document(classes: Sequence[str], metrics: Metrics) -> dict[str, Any]:
    """Accuracy, by class, and the confusion matrix (rows are the truth)."""
    rows = zip(classes, metrics.class_counts, metrics.class_accuracy, metrics.class_precision, strict=True)
    return {
        "clouds": metrics.count,
        "accuracy": metrics.accuracy,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "loss": _number(metrics.loss),
        "classes": [
            {"name": name, "clouds": int(count), "accuracy": _number(recall), "precision": _number(precision)}
            for name, count, recall, precision in rows
        ],
        "confusion": metrics.confusion.tolist(),
    }


def _part_document(categories: Sequence[CategoryRecord], metrics: PartMetrics) -> dict[str, Any]:
    """Mean IoU, by category."""
    rows = zip(categories, metrics.category_counts, metrics.category_iou, strict=True)
    return {
        "clouds": metrics.count,
        "instance_miou": metrics.instance_miou,
        "class_miou": metrics.class_miou,
        "point_accuracy": metrics.point_accuracy,
        "loss": _number(metrics.loss),
        "categories": [
            {"name": category.name, "parts": category.parts, "clouds": int(count), "miou": _number(iou)}
            for category, count, iou in rows
        ],
    }


def parameters_document(counts: ParameterCounts) -> dict[str, Any]:
    """Trained and total, with both denominators in use."""
    return {
        "trained": counts.trained,
        "total": counts.total,
        "trained_percent": round(counts.trained_percent, 4),
        "backbone": counts.backbone,
        "trained_percent_of_backbone": round(counts.trained_percent_of_backbone, 4),
        "added": counts.added,
        "head": counts.head,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
