"""The tables of which method runs where, and how much of it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from pointlora_cli.console.tables import plain_table
from pointlora_cli.models.matrix import Cell
from pointlora_cli.specs.needs import Task

_TITLES: dict[Task, str] = {
    "classification": "Classification: millions of trained parameters, 15 classes",
    "part-segmentation": "Part segmentation: the same, 50 parts",
}


@dataclass
class _Footnotes:
    """Each reason once, with a letter, and whom it concerns."""

    about: dict[tuple[str, str], list[str]]

    def mark(self, cell: Cell) -> str:
        """The letter of a refused cell."""
        assert cell.obstacle is not None
        key = (cell.obstacle.of, cell.obstacle.reason)
        subjects = self.about.setdefault(key, [])
        subject = cell.method if cell.obstacle.of == "method" else cell.backbone
        if subject not in subjects:
            subjects.append(subject)
        return ascii_lowercase[list(self.about).index(key)]

    def lines(self) -> list[str]:
        """All reasons, in the order of their letters."""
        return [
            f"{letter}  {', '.join(subjects)}: {reason}"
            for letter, ((_, reason), subjects) in zip(ascii_lowercase, self.about.items(), strict=False)
        ]


def matrix_tables(cells: Sequence[Cell]) -> list[RenderableType]:
    """A table of each task, and below them the reasons of what is refused."""
    footnotes = _Footnotes({})
    tables: list[RenderableType] = [_table(task, cells, footnotes) for task in _TITLES]
    return [*tables, *footnotes.lines()]


def _table(task: Task, cells: Sequence[Cell], footnotes: _Footnotes) -> Table:
    mine = [cell for cell in cells if cell.task == task]
    backbones = list(dict.fromkeys(cell.backbone for cell in mine))
    headers = [name.replace("-", "-\n") for name in backbones]
    table = plain_table("method", *headers, right=headers, title=_TITLES[task])
    for method in dict.fromkeys(cell.method for cell in mine):
        row = {cell.backbone: _shown(cell, footnotes) for cell in mine if cell.method == method}
        table.add_row(method, *(row[name] for name in backbones))
    return table


def _shown(cell: Cell, footnotes: _Footnotes) -> str:
    if cell.counts is None:
        return f"[dim]{footnotes.mark(cell)}[/]"
    return f"{cell.counts.trained / 1e6:.2f}"


def matrix_document(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [
        {
            "task": cell.task,
            "backbone": cell.backbone,
            "method": cell.method,
            "trained": cell.counts.trained if cell.counts else None,
            "total": cell.counts.total if cell.counts else None,
            "trained_percent": round(cell.counts.trained_percent, 4) if cell.counts else None,
            "refused": cell.obstacle.reason if cell.obstacle else None,
        }
        for cell in cells
    ]
