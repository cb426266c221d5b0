"""The whole run spec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.backbone import AnyBackbone, PointM2AESpec, PointMAESpec, TokenizerSpec
from pointlora_cli.specs.base import Spec
from pointlora_cli.specs.compatibility import refusal
from pointlora_cli.specs.data import AnyData, ShapesData
from pointlora_cli.specs.method import (
    AnyMethod,
    IDPTMethod,
    PointGSTMethod,
    PointLoRAMethod,
    PointPEFTMethod,
    PPTMethod,
)
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
            f"{key} ({value}) is more than data.points ({self.data.points})"
            for key, value in self._groupings()
            if value > self.data.points
        ]
        if reason := refusal(self.backbone.name, self.method.name):
            raise ValueError(reason)
        centers = self.tokenizer.centers
        if isinstance(self.method, PointGSTMethod) and centers % self.method.local:
            problems.append(
                f"method.local ({self.method.local}) does not divide tokenizer.centers ({centers})"
            )
        if isinstance(self.method, IDPTMethod) and self.method.neighbors > centers:
            problems.append(
                f"method.neighbors ({self.method.neighbors}) is more than tokenizer.centers ({centers})"
            )
        if isinstance(self.method, PointPEFTMethod):
            problems += self._point_peft_problems(self.method)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _point_peft_problems(self, method: PointPEFTMethod) -> list[str]:
        centers = self.tokenizer.centers
        return [
            f"method.{key} ({value}) is more than tokenizer.centers ({centers})"
            for key, value in (
                ("local_centers", method.local_centers or 1),
                ("local_neighbors", method.local_neighbors),
            )
            if value > centers
        ]

    def _groupings(self) -> list[tuple[str, int]]:
        """The keys of what cannot be more than the points of a cloud."""
        backbone, tokenizer, method = self.backbone, self.tokenizer, self.method
        if isinstance(backbone, PointM2AESpec):  # the coarser levels group the finer one's centers
            return [
                ("backbone.groups.0", backbone.groups[0]),
                ("backbone.neighbors.0", backbone.neighbors[0]),
            ]
        found = [("tokenizer.centers", tokenizer.centers), ("tokenizer.neighbors", tokenizer.neighbors)]
        if isinstance(method, PointLoRAMethod):
            for index, scale in enumerate(method.scales):
                where = f"method.scales.{index}"
                found += [(f"{where}.centers", scale.centers), (f"{where}.neighbors", scale.neighbors)]
        if isinstance(method, PPTMethod):
            found += [("method.centers", method.centers or 1), ("method.neighbors", method.neighbors or 1)]
        if isinstance(self.method, PointPEFTMethod):
            found += [
                ("method.prior.centers", self.method.prior.centers),
                ("method.prior.neighbors", self.method.prior.neighbors),
            ]
        return found
