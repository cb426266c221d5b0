"""Metrics of part segmentation, from the overlap of each shape's parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PartMetrics:
    """What an evaluation found.

    The category of a shape is given, and its points are labelled with that category's parts only. The IoU of a
    part that neither truth nor prediction has is 1; that of a shape is the mean over its category's parts.
    """

    shape_iou: NDArray[np.float64]  # (n,)
    category: NDArray[np.int64]  # (n,)
    categories: int  # how many there are, with clouds or without
    point_accuracy: float  # share of all points labelled rightly
    loss: float  # mean cross-entropy per point, in nats

    @property
    def count(self) -> int:
        """Clouds seen."""
        return len(self.shape_iou)

    @property
    def score(self) -> float:
        """What the kept epoch is chosen by."""
        return self.instance_miou

    @property
    def score_name(self) -> str:
        """What `score` is."""
        return "instance mIoU"

    @property
    def instance_miou(self) -> float:
        """Mean over all shapes."""
        return float(self.shape_iou.mean()) if self.count else 0.0

    @property
    def class_miou(self) -> float:
        """Mean over the categories that have clouds."""
        return float(np.nanmean(self.category_iou)) if self.count else 0.0

    @property
    def category_counts(self) -> NDArray[np.int64]:
        """Clouds of each category (categories,)."""
        return np.bincount(self.category, minlength=self.categories).astype(np.int64)

    @property
    def category_iou(self) -> NDArray[np.float64]:
        """Mean over each category's shapes (categories,); NaN for a category without clouds."""
        sums = np.bincount(self.category, weights=self.shape_iou, minlength=self.categories)
        counts = self.category_counts
        means = np.full(self.categories, np.nan)
        np.divide(sums, counts, out=means, where=counts > 0)
        return means

    def row(self) -> dict[str, float]:
        """The figures of one epoch."""
        return {
            "instance_miou": self.instance_miou,
            "class_miou": self.class_miou,
            "point_accuracy": self.point_accuracy,
        }
