"""How far predicted parts and true parts overlap, for a batch of shapes at once and on their device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def part_masks(parts: Sequence[range], count: int, device: torch.device) -> Tensor:
    """Which of `count` part labels belong to each category: (categories, count) bool."""
    masks = torch.zeros(len(parts), count, dtype=torch.bool)
    for mask, labels in zip(masks, parts, strict=True):
        mask[labels.start : labels.stop] = True
    return masks.to(device)


def predicted_parts(logits: Tensor, masks: Tensor) -> Tensor:
    """The likeliest part of each point, among those of its cloud's category.

    Args:
        logits: (B, P, parts).
        masks: (B, parts) bool, the parts of each cloud's category.

    Returns:
        (B, P) int64.
    """
    return logits.masked_fill(~masks[:, None], -torch.inf).argmax(dim=2)


def shape_ious(predicted: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    """The IoU of each shape: the mean over its category's parts; 1 for a part that is in neither.

    Args:
        predicted: (B, P) int64 part labels.
        truth: (B, P) int64 part labels.
        masks: (B, parts) bool, the parts of each cloud's category.

    Returns:
        (B,) float64.
    """
    count = masks.shape[1]
    guessed, there = _points_of_parts(predicted, count), _points_of_parts(truth, count)
    both = _points_of_parts(torch.where(predicted == truth, truth, count), count + 1)[:, :count]
    either = guessed + there - both
    ious = torch.where(either > 0, both.double() / either.clamp(min=1), 1.0)  # (B, parts)
    return (ious * masks).sum(dim=1) / masks.sum(dim=1)


def _points_of_parts(labels: Tensor, count: int) -> Tensor:
    """Points of each label in clouds (B, P) -> (B, count) int64."""
    counts = torch.zeros(labels.shape[0], count, dtype=torch.int64, device=labels.device)
    return counts.scatter_add_(1, labels, torch.ones_like(labels))
