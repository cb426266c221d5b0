"""A step to measure: a spec's model, from random weights, on clouds that are made up."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.errors import UsageError
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.segmenter import Segmenter
from pointlora_cli.services.bench_clock import Clock
from pointlora_cli.services.bench_data import (
    bench_outputs,
    evaluated_clouds,
    made_up_clouds,
    made_up_part_clouds,
    part_ranges,
    training_clouds,
)
from pointlora_cli.services.bench_stages import StageWatch
from pointlora_cli.specs.data import (
    SegmentationFolderData,
    ShapeNet55Data,
    ShapeNetPartData,
    UnlabelledFolderData,
)
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.compilation import prepare_passes, require_compiler
from pointlora_cli.training.devices import autocast, resolve_device, resolve_precision
from pointlora_cli.training.loop import update
from pointlora_cli.training.optimizer import build_optimizer
from pointlora_cli.training.part_segmentation import PartSegmentationTask, sampled
from pointlora_cli.training.task import Splits, Task

Mode = Literal["training", "inference"]

_BATCHES = 4  # of different clouds, taken in turn


class Workload:
    """A model, its data and its optimiser, ready for any number of steps."""

    def __init__(self, spec: RunSpec, mode: Mode) -> None:
        """Build all of it.

        Raises:
            UsageError: there is no such device, or it does not compute in this precision, or nothing compiles for it;
                or the spec is of a pre-training.
        """
        if spec.task == "pretraining":
            raise UsageError(
                f"{spec.name}: a pre-training is not measured here",
                remedy="Measure fine-tuning; `pointlora pretrain` tells its own clouds per second.",
            )
        self.spec = spec
        self.mode = mode
        self.device = resolve_device(spec.train.device)
        self.dtype = resolve_precision(spec.train.precision, self.device)
        self.batch = spec.train.batch_size if mode == "training" else spec.train.eval_batch_size
        self.outputs = bench_outputs(spec.data)
        self.clock = Clock(self.device)
        torch.manual_seed(spec.train.seed)
        require_compiler(spec.train.compile, self.device)
        self.model = _model(spec, self.outputs, self.device)
        prepare_passes(self.model, spec.train)
        self._step = 0
        if mode == "training":
            self._task = _task(self.model, spec, self.outputs, self.batch, self.device, self.dtype)
            self._optimizer = build_optimizer(self.model, spec.optimizer)
            order = torch.arange(_BATCHES * self.batch, device=self._task.clouds.numbers_on)
            self._chosen = torch.split(order, self.batch)
        else:
            clouds = _evaluated(spec, self.outputs, _BATCHES * self.batch)
            self._clouds = torch.split(clouds, self.batch)
            categories = max(1, self.outputs.categories)
            self._category = torch.arange(self.batch, device=self.device) % categories
        self.model.train(mode == "training")

    @property
    def is_compiled(self) -> bool:
        """Whether the network is."""
        return self.spec.train.compile != "off"

    def step(self, watch: StageWatch | None = None) -> None:
        """One step of training, or of prediction; `watch` is told what is done."""
        turn, self._step = self._step % _BATCHES, self._step + 1
        if watch is not None:
            watch.begin()
        if self.mode == "inference":
            self._predict(self._clouds[turn])
            return
        self._optimizer.zero_grad(set_to_none=True)
        if watch is not None:
            watch.end("optimiser")
        self._task.step(self._chosen[turn])
        if watch is not None:
            watch.end("backward")
        self._task.clouds.expect(self._chosen[self._step % _BATCHES])
        if watch is not None:
            watch.end("data")
        update(self._optimizer, self.spec.optimizer)
        if watch is not None:
            watch.end("optimiser")

    @torch.inference_mode()
    def _predict(self, clouds: Tensor) -> Tensor:
        """Logits of clouds (B, P, 3), which come from the host."""
        with autocast(self.device, self.dtype):
            points = clouds.to(self.device)
            if isinstance(self.model, Segmenter):
                return self.model(points, self._category).logits.float()  # type: ignore[no-any-return]
            return self.model(points).logits.float()  # type: ignore[no-any-return]


def _evaluated(spec: RunSpec, outputs: Outputs, count: int) -> Tensor:
    """Clouds (count, P, 3) to predict, on the host, of the size that the model takes."""
    if isinstance(spec.data, ShapeNetPartData | SegmentationFolderData):
        return sampled(made_up_part_clouds(spec.data, outputs, count), spec.data).points
    assert not isinstance(spec.data, UnlabelledFolderData | ShapeNet55Data)  # the task asks for classes
    return torch.from_numpy(evaluated_clouds(spec.data, outputs.classes, count).points)


def _model(spec: RunSpec, outputs: Outputs, device: torch.device) -> AdaptedModel:
    """The model of a run, whole, with random weights whatever the spec starts from."""
    model = build_initialized_model(spec, outputs).to(device)
    model.adaptation.start_from(model.backbone)
    if isinstance(model.adaptation, PointPEFT):
        count = max(training_clouds(spec.data), model.adaptation.nearest)
        model.adaptation.fill_bank(torch.randn(count, model.adaptation.width))
    return model


def _task(
    model: AdaptedModel,
    spec: RunSpec,
    outputs: Outputs,
    batch: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Task:
    count = _BATCHES * batch
    if isinstance(spec.data, ShapeNetPartData | SegmentationFolderData):
        assert isinstance(model, Segmenter)  # as the task asks
        parts = made_up_part_clouds(spec.data, outputs, count)
        few = parts.between(0, 1)  # nothing is evaluated
        return PartSegmentationTask(
            model,
            spec,
            spec.data,
            Splits(parts, few, few),
            part_ranges(outputs),
            device=device,
            dtype=dtype,
        )
    assert isinstance(model, Classifier)  # as the task asks
    assert not isinstance(spec.data, UnlabelledFolderData | ShapeNet55Data)
    clouds = made_up_clouds(spec.data, outputs.classes, count)
    return ClassificationTask(model, spec, Splits(clouds, clouds, clouds), device=device, dtype=dtype)
