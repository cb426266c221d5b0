"""Metrics of classification, from a confusion matrix; those of other tasks have files of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.training.part_metrics import PartMetrics
from pointlora_cli.training.reconstruction_metrics import ReconstructionMetrics


@dataclass(frozen=True)
class Metrics:
    """What an evaluation found."""

    confusion: NDArray[np.int64]  # (classes, classes): rows are the truth, columns the prediction
    loss: float  # mean cross-entropy per cloud, in nats

    @property
    def count(self) -> int:
        """Clouds seen."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Overall accuracy: correct / all."""
        return float(np.trace(self.confusion)) / max(self.count, 1)

    @property
    def score(self) -> float:
        """What the kept epoch is chosen by."""
        return self.accuracy

    @property
    def score_name(self) -> str:
        """What `score` is."""
        return "accuracy"

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Clouds of each class (classes,)."""
        counts: NDArray[np.int64] = self.confusion.sum(axis=1)
        return counts

    @property
    def class_accuracy(self) -> NDArray[np.float64]:
        """Recall of each class (classes,); NaN for a class without clouds."""
        counts = self.class_counts
        recall = np.full(len(counts), np.nan)
        np.divide(np.diag(self.confusion), counts, out=recall, where=counts > 0)
        return recall

    @property
    def class_precision(self) -> NDArray[np.float64]:
        """Precision of each class (classes,); NaN for a class never predicted."""
        predicted = self.confusion.sum(axis=0)
        precision = np.full(len(predicted), np.nan)
        np.divide(np.diag(self.confusion), predicted, out=precision, where=predicted > 0)
        return precision

    @property
    def mean_class_accuracy(self) -> float:
        """Mean of the per-class recalls over the classes that have clouds (balanced accuracy)."""
        return float(np.nanmean(self.class_accuracy)) if self.count else 0.0

    def row(self) -> dict[str, float]:
        """The figures of one epoch."""
        return {"accuracy": self.accuracy, "mean_class_accuracy": self.mean_class_accuracy}


AnyMetrics = Metrics | PartMetrics | ReconstructionMetrics
