"""Overlap of parts and what is made of it, against plain definitions."""

import numpy as np
import pytest
import torch

from pointlora_cli.training.part_metrics import PartMetrics
from pointlora_cli.training.part_overlap import part_masks, predicted_parts, shape_ious

PARTS = (range(4), range(4, 6), range(6, 9))


def reference(logits, truth, category):
    """By the published definition, one part of one shape at a time."""
    ious, right = [], 0
    for scores, wanted, kind in zip(logits, truth, category, strict=True):
        own = PARTS[kind]
        found = scores[:, own.start : own.stop].argmax(axis=1) + own.start
        right += int((found == wanted).sum())
        of_parts = []
        for part in own:
            either = int(((found == part) | (wanted == part)).sum())
            both = int(((found == part) & (wanted == part)).sum())
            of_parts.append(both / either if either else 1.0)
        ious.append(np.mean(of_parts))
    return np.array(ious), right / truth.size


def cloud_batch(clouds=40, points=30, seed=0):
    random = np.random.default_rng(seed)
    category = random.integers(0, len(PARTS), clouds)
    truth = np.stack(
        [random.choice(list(PARTS[kind])[: 1 + place % 4], points) for place, kind in enumerate(category)]
    )
    return random.standard_normal((clouds, points, 9)).astype(np.float32), truth, category


def test_agrees_with_the_definition_shape_by_shape():
    logits, truth, category = cloud_batch()
    expected, accuracy = reference(logits, truth, category)
    assert (expected > 0).any()
    masks = part_masks(PARTS, 9, torch.device("cpu"))[torch.from_numpy(category)]
    found = predicted_parts(torch.from_numpy(logits), masks)
    ious = shape_ious(found, torch.from_numpy(truth), masks).numpy()
    np.testing.assert_allclose(ious, expected, rtol=1e-14)
    assert (found.numpy() == truth).mean() == pytest.approx(accuracy)
    metrics = PartMetrics(ious, category, 4, accuracy, 0.0)
    assert metrics.instance_miou == pytest.approx(expected.mean())
    by_category = [expected[category == kind].mean() for kind in range(3)]
    np.testing.assert_allclose(metrics.category_iou, [*by_category, np.nan])
    assert metrics.class_miou == pytest.approx(np.mean(by_category))  # none of the category without shapes
    assert metrics.category_counts.tolist() == [*np.bincount(category, minlength=3), 0]


def test_a_part_that_neither_has_counts_as_found():
    masks = part_masks([range(4)], 4, torch.device("cpu"))
    truth = torch.tensor([[0, 0, 1, 1]])
    assert shape_ious(truth, truth, masks).tolist() == [1.0]
    half = torch.tensor([[0, 1, 1, 1]])  # IoU 1/2 and 2/3, and two parts that are nowhere
    assert shape_ious(half, truth, masks).item() == pytest.approx((1 / 2 + 2 / 3 + 1 + 1) / 4)
    wrong = torch.tensor([[0, 0, 1, 2]])  # a part that the truth lacks counts as missed
    assert shape_ious(wrong, truth, masks).item() == pytest.approx((1 + 1 / 2 + 0 + 1) / 4)


def test_the_best_part_of_another_category_is_never_predicted():
    logits = torch.zeros(1, 2, 9)
    logits[0, :, 0] = 9.0
    logits[0, 1, 8] = 1.0
    masks = part_masks(PARTS, 9, torch.device("cpu"))
    assert predicted_parts(logits, masks[2:]).tolist() == [[6, 8]]


def test_without_a_shape_there_is_no_score():
    metrics = PartMetrics(np.empty(0), np.empty(0, dtype=np.int64), 3, 0.0, 0.0)
    assert (metrics.count, metrics.score, metrics.class_miou) == (0, 0.0, 0.0)
