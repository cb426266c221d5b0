"""Small cells of a grid, and a watch that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_specs import tiny_spec

from pointlora_cli.services.grid_inputs import InputsFinder
from pointlora_cli.services.grid_records import Cell
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.events import Event


def spec_in(folder: Path, method: str = "lora", **training: Any) -> RunSpec:
    """A spec of a run in `folder`, of two epochs unless `training` says otherwise."""
    changes = {
        "data": {"clouds_per_class": 4, "test_clouds_per_class": 2, "occlusion": 0},
        "train": {"epochs": 2, "batch_size": 16, "device": "cpu", **training},
        "output": {"dir": str(folder)},
    }
    return tiny_spec(method, **changes)


def cell_in(folder: Path, name: str = "good", spec: RunSpec | None = None) -> Cell:
    """A cell whose record is in `folder`."""
    spec = spec or spec_in(folder)
    return Cell(name, spec, folder / "records" / f"{name}.json", InputsFinder().find(spec))


class Watch:
    """Keeps what it is told; `seen` may act on an event."""

    def __init__(self, seen: Callable[[str, Event], object] = lambda cell, event: None) -> None:
        self.messages: list[str] = []
        self.begun: list[tuple[str, int, int]] = []
        self.done: dict[str, float] = {}
        self.lost: dict[str, str] = {}
        self._seen = seen

    def told(self, message: str) -> None:
        """Keep a message."""
        self.messages.append(message)

    def started(self, cell: str, number: int, of: int) -> None:
        """Keep a start."""
        self.begun.append((cell, number, of))

    def heard(self, cell: str, event: Event) -> None:
        """Act on an event."""
        self._seen(cell, event)

    def finished(self, cell: str, score: float, score_name: str, seconds: float) -> None:
        """Keep a score."""
        self.done[cell] = score

    def failed(self, cell: str, message: str) -> None:
        """Keep a failure."""
        self.lost[cell] = message
