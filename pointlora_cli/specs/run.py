"""The whole run spec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.backbone import AnyBackbone, PointMAESpec, TokenizerSpec
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.data import AnyData, ShapesData
from pointlora_cli.specs.method import AnyMethod, IDPTMethod, PointGSTMethod, PointLoRAMethod, PPTMethod
from pointlora_cli.specs.training import AugmentationSpec, OptimizerSpec, OutputSpec, ScheduleSpec, TrainSpec


class RunSpec(Spec):
    """Everything that decides a run. Defaults live here; a preset says only what differs."""

    name: str = Field(
        default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Names the run directory."
    )
    description: str = Field(default="", description="One line for `pointlora presets`.")
    task: Literal["classification"] = "classification"
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
        problems = [
            f"{where}.{key} ({value}) is more than data.points ({self.data.points})"
            for where, scale in self._groupings()
            for key, value in (("centers", scale[0]), ("neighbors", scale[1]))
            if value > self.data.points
        ]
        centers = self.tokenizer.centers
        if isinstance(self.method, PointGSTMethod) and centers % self.method.local:
            problems.append(
                f"method.local ({self.method.local}) does not divide tokenizer.centers ({centers})"
            )
        if isinstance(self.method, IDPTMethod) and self.method.neighbors > centers:
            problems.append(
                f"method.neighbors ({self.method.neighbors}) is more than tokenizer.centers ({centers})"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _groupings(self) -> list[tuple[str, tuple[int, int]]]:
        found = [("tokenizer", (self.tokenizer.centers, self.tokenizer.neighbors))]
        if isinstance(self.method, PointLoRAMethod):
            found += [
                (f"method.scales.{index}", (scale.centers, scale.neighbors))
                for index, scale in enumerate(self.method.scales)
            ]
        if isinstance(self.method, PPTMethod):
            found.append(("method", (self.method.centers or 1, self.method.neighbors or 1)))
        return found
