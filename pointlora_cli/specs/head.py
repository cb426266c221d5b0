"""The head of classification."""

from __future__ import annotations

from pydantic import Field

from pointlora_cli.specs.base import Spec


class HeadSpec(Spec):
    """Sizes of the heads with hidden layers; a linear head has neither."""

    width: int = Field(default=256, ge=1, le=65_536, description="Channels of each hidden layer.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="After each hidden layer.")
