"""The whole run spec."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from typing_extensions import Self

from pointlora_cli.specs.backbone import AnyBackbone, PlainBackboneSpec, PointMAESpec, TokenizerSpec
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.compatibility import refusal
from pointlora_cli.specs.data import AnyData, ShapesData
from pointlora_cli.specs.head import HeadSpec
from pointlora_cli.specs.method import AnyMethod
from pointlora_cli.specs.needs import Task
from pointlora_cli.specs.pointlora import PointLoRAMethod
from pointlora_cli.specs.pretraining import MaskingSpec
from pointlora_cli.specs.training import AugmentationSpec, OptimizerSpec, OutputSpec, ScheduleSpec, TrainSpec

LABELLED_POINTS = ("shapenetpart", "segmentation-folder")
"""The data sources whose points carry labels, for the task part-segmentation."""

UNLABELLED = ("unlabelled-folder", "shapenet55")
"""The data sources without any labels, for the task pretraining."""


class RunSpec(Spec):
    """Everything that decides a run. Defaults live here; a preset says only what differs."""

    name: str = Field(
        default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Names the run directory."
    )
    description: str = Field(default="", description="One line for `pointlora presets`.")
    task: Task = Field(
        default="classification",
        description="What is learnt: a class of each cloud, a part of each point, or, without labels, hidden patches.",
    )
    data: AnyData = ShapesData()
    backbone: AnyBackbone = PointMAESpec()
    tokenizer: TokenizerSpec = TokenizerSpec()
    method: AnyMethod = PointLoRAMethod()
    head: HeadSpec = HeadSpec()
    masking: MaskingSpec = Field(default=MaskingSpec(), description="For the task pretraining alone.")
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    augmentation: AugmentationSpec = AugmentationSpec()
    train: TrainSpec = TrainSpec()
    output: OutputSpec = OutputSpec()

    @model_serializer(mode="wrap")
    def _without_masking_elsewhere(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what the task does not have."""
        values: dict[str, Any] = dump(self)
        if self.task != "pretraining":
            values.pop("masking", None)
        return values

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if misfit := self._task_problem() or refusal(self.backbone.name, self.method.name, self.task):
            raise ValueError(misfit)
        groupings = [
            *self.backbone.groupings(self.tokenizer),
            *((f"method.{key}", value) for key, value in self.method.groupings()),
        ]
        points = self.data.points
        problems = [
            f"{key} ({value}) is more than data.points ({points})"
            for key, value in groupings
            if value > points
        ]
        problems += self.method.problems(self.tokenizer.centers)
        problems += self._masking_problems()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _task_problem(self) -> str | None:
        """What is wrong where the task does not belong to the data."""
        source = self.data.source
        fitting: tuple[Task, ...] = ("classification", "pretraining")
        if source in LABELLED_POINTS:
            fitting = ("part-segmentation",)
        elif source in UNLABELLED:
            fitting = ("pretraining",)
        elif source == "modelnet40-fewshot":
            fitting = ("classification",)
        if self.task in fitting:
            return self._head_problem()
        return f"task ({self.task}) does not belong to data.source ({source}): set task to {fitting[0]!r}"

    def _masking_problems(self) -> list[str]:
        """What does not fit a pre-training, or what is of it where there is none."""
        if self.task != "pretraining":
            return (
                [] if self.masking == MaskingSpec() else [f"masking does not belong to the task {self.task}"]
            )
        assert isinstance(self.backbone, PlainBackboneSpec)  # no other is pre-trained
        found = [f"masking.{problem}" for problem in self.masking.problems(self.backbone, self.tokenizer)]
        stored = self.masking.stored_points
        if stored is not None and stored < self.data.points:
            found.append(f"masking.stored_points ({stored}) is less than data.points ({self.data.points})")
        return found

    def _head_problem(self) -> str | None:
        """What is wrong where the head has sizes that it does not take."""
        if self.task == "classification" or self.head == HeadSpec():
            return None
        return f"head.width and head.dropout are of the head of classification, not of {self.task}"
