"""Results as JSON documents: plain values, NaN as null."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pointlora_cli.models.counting import ParameterCounts
from pointlora_cli.training.metrics import Metrics


def metrics_document(classes: Sequence[str], metrics: Metrics) -> dict[str, Any]:
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
