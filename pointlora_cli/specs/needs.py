"""What a method may need of a backbone, and for which task."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, Literal

from pointlora_cli.specs.base import Spec

Task = Literal["classification", "part-segmentation", "pretraining"]


class Need(Enum):
    """Something that a method builds on and that not every backbone has."""

    ONE_SEQUENCE = "one set of patches, of one width, through all blocks"
    ONE_STREAM = "class token and patches side by side in each block"
    PLAIN_RESIDUALS = "blocks that add to their own input, not to its normalised value"
    OPEN_ATTENTION = "attention in which every token sees all others"


class MethodSpec(Spec):
    """What every method says of itself."""

    name: str
    needs: ClassVar[tuple[Need, ...]] = ()
    unsegmented: ClassVar[str | None] = None
    """Why the method cannot do part segmentation; None where it can."""

    def groupings(self) -> tuple[tuple[str, int], ...]:
        """Own options, by key, that cannot be more than the points of a cloud."""
        return ()

    def problems(self, centers: int) -> list[str]:
        """What does not fit a backbone with `centers` patches, each in words that start with the option's key."""
        return []

    def _more_than(self, centers: int, *options: tuple[str, int | None]) -> list[str]:
        return [
            f"{key} ({value}) is more than tokenizer.centers ({centers})"
            for key, value in options
            if value is not None and value > centers
        ]
