"""Counting parameters, by part."""

from __future__ import annotations

from dataclasses import dataclass

from pointlora_cli.models.adapted import AdaptedModel


@dataclass(frozen=True)
class ParameterCounts:
    """How many parameters there are, and how many train."""

    trained: int
    total: int  # all of the model, what the method added included
    backbone: int  # the pre-trained network alone: without head and without what the method added
    added: int  # the method's own
    head: int

    @property
    def trained_percent(self) -> float:
        """Trained / total: the ratio that PointLoRA publishes."""
        return 100 * self.trained / self.total

    @property
    def trained_percent_of_backbone(self) -> float:
        """Trained / backbone: the ratio of papers that leave out head and added parts."""
        return 100 * self.trained / self.backbone


@dataclass(frozen=True)
class LayerRow:
    """One parameter."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    trained: bool


def count_parameters(model: AdaptedModel) -> ParameterCounts:
    """Count the parameters of a model."""

    def count(part: str) -> int:
        return sum(parameter.numel() for parameter in getattr(model, part).parameters())

    return ParameterCounts(
        trained=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        total=sum(parameter.numel() for parameter in model.parameters()),
        backbone=count("backbone"),
        added=count("adaptation"),
        head=count("head"),
    )


def list_layers(model: AdaptedModel) -> list[LayerRow]:
    """Every parameter of a model, in order."""
    return [
        LayerRow(name, tuple(parameter.shape), parameter.numel(), parameter.requires_grad)
        for name, parameter in model.named_parameters()
    ]


def sum_by_part(layers: list[LayerRow]) -> dict[str, tuple[int, int]]:
    """All and trained parameters of each part; the blocks' copies of a part count as one."""
    parts: dict[str, tuple[int, int]] = {}
    for row in layers:
        pieces = row.name.split(".")
        if pieces[-1] in {"weight", "bias"}:
            pieces.pop()
        if "blocks" in pieces:
            pieces[pieces.index("blocks") + 1] = "*"
        name = ".".join(pieces)
        total, trained = parts.get(name, (0, 0))
        parts[name] = (total + row.parameters, trained + (row.parameters if row.trained else 0))
    return parts
