"""The whole run spec."""

from __future__ import annotations

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.backbone import AnyBackbone, PointMAESpec, TokenizerSpec
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.compatibility import refusal
from pointlora_cli.specs.data import AnyData, ShapesData
from pointlora_cli.specs.method import AnyMethod
from pointlora_cli.specs.needs import Task
from pointlora_cli.specs.pointlora import PointLoRAMethod
from pointlora_cli.specs.training import AugmentationSpec, OptimizerSpec, OutputSpec, ScheduleSpec, TrainSpec

LABELLED_POINTS = ("shapenetpart", "segmentation-folder")
"""The data sources whose points carry labels, for the task part-segmentation."""


class RunSpec(Spec):
    """Everything that decides a run. Defaults live here; a preset says only what differs."""

    name: str = Field(
        default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Names the run directory."
    )
    description: str = Field(default="", description="One line for `pointlora presets`.")
    task: Task = Field(
        default="classification",
        description="What is learnt: a class of each cloud, or a part of each point.",
    )
    data: AnyData = ShapesData()
    backbone: AnyBackbone = PointMAESpec()
    tokenizer: TokenizerSpec = TokenizerSpec()
    method: AnyMethod = PointLoRAMethod()
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    augmentation: AugmentationSpec = AugmentationSpec()
    train: TrainSpec = TrainSpec()
    output: OutputSpec = OutputSpec()

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
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _task_problem(self) -> str | None:
        """What is wrong where the task does not belong to the data."""
        source = self.data.source
        wanted: Task = "part-segmentation" if source in LABELLED_POINTS else "classification"
        if self.task == wanted:
            return None
        return f"task ({self.task}) does not belong to data.source ({source}): set task to {wanted!r}"
