"""Say whether a spec could run, without running it."""

from __future__ import annotations

from dataclasses import dataclass

from pointlora_cli.errors import PointLoRAError
from pointlora_cli.services.preparation import find_problems
from pointlora_cli.specs.run import RunSpec


@dataclass(frozen=True)
class Validation:
    """A valid spec, and what would still keep it from starting here."""

    spec: RunSpec
    problems: list[PointLoRAError]


def validate(spec: RunSpec) -> Validation:
    """Look for the data, the weights and the device that a valid spec names."""
    return Validation(spec, find_problems(spec))
