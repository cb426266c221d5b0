"""What the field has published, as data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

SHIPPED = Path(__file__).with_name("results.yaml")

Augmentation = Literal["scale-translate", "rotate-y", "scale-rotate-y", "part-scale-translate"]
Metric = Literal["accuracy", "instance mIoU", "class mIoU"]

_POINTS = {"scanobjectnn": 2048, "modelnet40": 1024, "modelnet40-fewshot": 1024, "shapenetpart": 2048}
"""Of a cloud, by data set, where a row does not say."""


class _Row(BaseModel):
    """One method on one backbone under one protocol, as the file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PublishedResult(_Row):
    """One published number."""

    backbone: str
    method: str
    data: str = Field(description="As `specs.protocol.data_key` writes it.")
    metric: Metric
    value: float = Field(ge=0, le=100, description="In percent.")
    std: float | None = Field(default=None, ge=0, description="Over ten folds.")
    trained_millions: float | None
    augmentation: Augmentation | None = Field(description="None: the source does not say.")
    points: int | None = Field(description="Of a cloud; None: the source does not say.")
    voted: bool
    source: str
    note: str
    verified: bool = Field(description="Whether a text that could be read confirms it.")

    @property
    def text(self) -> str:
        """The number as it may stand in a table: one that nothing confirms carries its mark."""
        deviation = f" ± {self.std:g}" if self.std is not None else ""
        return f"{self.value:g}{deviation}" + ("" if self.verified else " (unverified)")

    @property
    def origin(self) -> str:
        """Where it is from, with what else a reader must know."""
        words = [f"published: {self.source}", self.note]
        words.append("" if self.verified else "unverified: nothing that could be read confirms it")
        return "; ".join(word for word in words if word)


class _Group(_Row):
    backbone: str
    method: str
    metric: Metric = "accuracy"
    trained: float | None = None
    augmentation: Augmentation | None = None
    points: int | None = None
    voted: bool = False
    source: str
    note: str = ""
    verified: bool = True
    values: dict[str, float | tuple[float, float]]

    def results(self, sources: dict[str, str]) -> Iterator[PublishedResult]:
        for data, number in self.values.items():
            value, std = number if isinstance(number, tuple) else (number, None)
            points = _POINTS[data.partition("/")[0]] if self.points is None else self.points
            yield PublishedResult(
                data=data,
                value=value,
                std=std,
                trained_millions=self.trained,
                points=points or None,
                source=sources[self.source],
                **self.model_dump(include=_SHARED),
            )


_SHARED = {"backbone", "method", "metric", "augmentation", "voted", "note", "verified"}


class _Results(_Row):
    sources: dict[str, str]
    results: list[_Group]


@cache
def published_results() -> tuple[PublishedResult, ...]:
    """All of them, in the order of the file that ships."""
    content = _Results.model_validate(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))
    return tuple(result for group in content.results for result in group.results(content.sources))
