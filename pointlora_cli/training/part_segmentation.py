"""Part segmentation as a task: one part for each point of a cloud, whose category is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pointlora_cli.datasets.part_drawing import drawn_rows, uniform_draws
from pointlora_cli.datasets.part_sampling import evaluation_arrays
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.models.segmenter import Segmenter
from pointlora_cli.specs.data import AnyPartData
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.augmentation import Augmentation
from pointlora_cli.training.cloud_store import CloudStore
from pointlora_cli.training.devices import autocast
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.part_metrics import PartMetrics
from pointlora_cli.training.part_overlap import part_masks, predicted_parts, shape_ious
from pointlora_cli.training.share import Share
from pointlora_cli.training.task import Splits, StepOutput, Task, fingerprint

_STRIDE = 16  # of the points that tell whether the clouds are those that they were


class SampledClouds(NamedTuple):
    """Clouds of one size to evaluate on."""

    points: Tensor  # (n, P, 3)
    parts: Tensor  # (n, P) int64
    category: Tensor  # (n,) int64


class PartSegmentationTask(Task):
    """Learn the part of each point by cross-entropy over all parts, whatever the category.

    The clouds are stored with all their points, and each step draws from them with replacement, as published.
    """

    model: Segmenter

    def __init__(
        self,
        model: Segmenter,
        spec: RunSpec,
        data: AnyPartData,
        splits: Splits[PartClouds],
        parts: Sequence[range],
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(model, splits, device, dtype, seed=spec.train.seed)
        self._spec = spec
        self._data = data
        self._splits = splits
        self._ranges = parts
        self._evaluated = sampled(splits.evaluated, data)
        # What is drawn has no order that could be shuffled, and the labels would have to follow.
        changes = spec.augmentation.model_copy(update={"shuffle": False})
        self._augment = Augmentation(changes, self.changes)
        train = splits.train
        self.clouds = CloudStore(
            [torch.from_numpy(train.points), torch.from_numpy(train.parts)],  # (rows, 3), (rows,) uint8
            torch.from_numpy(train.offsets),
            device,
            spec.train.clouds_on,
        )
        self._category = torch.from_numpy(train.category).to(device)  # (n,)
        self._masks = part_masks(parts, max(labels.stop for labels in parts), device)

    @property
    def fingerprint(self) -> str:
        """Differs where the clouds are others: of their sizes, categories, parts, and some of their points."""
        return fingerprint(
            array
            for clouds in self._splits
            for array in (clouds.offsets, clouds.category, clouds.parts, clouds.points[::_STRIDE])
        )

    def step(self, chosen: Tensor, mine: slice = slice(None), weight: float = 1.0) -> StepOutput:
        """Forward and backward of those of the training clouds `chosen` (B,) that are at `mine`."""
        uniform = uniform_draws(len(chosen), self._data.points, self.changes)[mine]
        share, taken = Share(mine, len(chosen)), self.clouds.take(chosen[mine])
        points, parts = taken.rows
        rows = drawn_rows(taken.offsets, taken.at, uniform)
        category = self._category[taken.chosen]
        return segmentation_step(
            self.model,
            self._augment(points[rows], share),
            category,
            parts[rows].long(),
            self._masks[category],
            dtype=self.dtype,
            label_smoothing=self._spec.train.label_smoothing,
            weight=weight,
        )

    def evaluate(
        self, distribution: Distribution = ALONE, pause: Callable[[], None] = lambda: None
    ) -> PartMetrics:
        """How the model does on the clouds that each epoch is evaluated on."""
        return self._metrics(self._evaluated, distribution, pause)

    def test(self, distribution: Distribution = ALONE) -> PartMetrics:
        """How the model does on the test clouds."""
        return self._metrics(sampled(self._splits.test, self._data), distribution, lambda: None)

    def _metrics(
        self, clouds: SampledClouds, distribution: Distribution, pause: Callable[[], None]
    ) -> PartMetrics:
        return evaluate_parts(
            self.model,
            clouds,
            self._ranges,
            batch_size=self._spec.train.eval_batch_size,
            device=self.device,
            dtype=self.dtype,
            distribution=distribution,
            pause=pause,
        )


def segmentation_step(
    model: Segmenter,
    points: Tensor,
    category: Tensor,
    parts: Tensor,
    masks: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    label_smoothing: float = 0.0,
    weight: float = 1.0,
) -> StepOutput:
    """Forward and backward of one batch; gradients are added to those in the parameters.

    Args:
        model: in training mode.
        points: (B, P, 3).
        category: (B,) int64.
        parts: (B, P) int64 true parts.
        masks: (B, parts) bool, the parts of each cloud's category; they count for `correct` alone.
        dtype: of the arithmetic.
        label_smoothing: share of the target that all parts divide.
        weight: of the batch's loss in what is minimised.
    """
    with autocast(points.device, dtype):
        found = model(points, category)
    logits = found.logits.to(torch.promote_types(found.logits.dtype, torch.float32))
    loss = F.cross_entropy(logits.flatten(0, 1), parts.flatten(), label_smoothing=label_smoothing)
    regularization = model.adaptation.regularization(found.sequence)
    if regularization is not None:
        loss = loss + regularization
    torch.autograd.backward(loss * weight)
    right = predicted_parts(logits.detach(), masks) == parts
    return StepOutput(loss.detach() * len(parts), right.float().mean(dim=1).sum())


def sampled(clouds: PartClouds, data: AnyPartData) -> SampledClouds:
    """Clouds of any size at the points that `data.test_sampling` says, `data.points` of each."""
    return SampledClouds(*(torch.from_numpy(array) for array in evaluation_arrays(clouds, data)))


@torch.inference_mode()
def evaluate_parts(
    model: Segmenter,
    clouds: SampledClouds,
    parts: Sequence[range],
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    distribution: Distribution = ALONE,
    pause: Callable[[], None] = lambda: None,
) -> PartMetrics:
    """Segment `clouds` once, without augmentation.

    Args:
        model: in evaluation mode afterwards.
        clouds: at least one.
        parts: the part labels of each category.
        batch_size: clouds at a time.
        device: of the model.
        dtype: of the arithmetic.
        distribution: this process among those that share the clouds; each learns the whole.
        pause: called before each batch; in each process as often.
    """
    model.eval()
    masks = part_masks(parts, max(labels.stop for labels in parts), device)
    ious = []
    loss = torch.zeros((), dtype=torch.float64, device=device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    for mine in distribution.rounds(len(clouds.category), batch_size, pause):
        points, truth, category = (array[mine].to(device) for array in clouds)
        with autocast(device, dtype):
            logits = model(points, category).logits.float()
        loss += F.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="sum")
        found = predicted_parts(logits, masks[category])
        right += (found == truth).sum()
        ious.append(shape_ious(found, truth, masks[category]))
    count = clouds.parts.numel()
    return PartMetrics(
        shape_iou=distribution.gather(torch.cat(ious)).numpy(),
        category=clouds.category.numpy(),
        categories=len(parts),
        point_accuracy=distribution.stack(right).sum().item() / count,
        loss=distribution.stack(loss).sum().item() / count,
    )
