"""Predictions as plain values, for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from pointlora_cli.services.predict import Classified
from pointlora_cli.services.predict_parts import Labelled
from pointlora_cli.services.predictor import Unreadable

Row = dict[str, object]


def prediction_row(classes: Sequence[str], prediction: Classified | Labelled | Unreadable) -> Row:
    """One prediction of a model of these classes."""
    if isinstance(prediction, Unreadable):
        error = prediction.error
        return {"path": str(prediction.path), "error": error.message, "remedy": error.remedy}
    if isinstance(prediction, Labelled):
        return _part_row(prediction)
    best = int(prediction.probabilities.argmax())
    return {
        "path": str(prediction.path),
        "class": classes[best],
        "probability": float(prediction.probabilities[best]),
        "probabilities": dict(zip(classes, prediction.probabilities.tolist(), strict=True)),
        "points": prediction.points,
        "notices": list(prediction.notices),
    }


def _part_row(prediction: Labelled) -> Row:
    return {
        "path": str(prediction.path),
        "category": prediction.category,
        "parts": [
            {"name": part.name, "label": part.label, "color": part.hex_color, "points": count}
            for part, count in zip(prediction.parts, prediction.counts, strict=True)
        ],
        "points": prediction.points,
        "written": str(prediction.written),
        "notices": list(prediction.notices),
    }
