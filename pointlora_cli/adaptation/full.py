"""Full fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pointlora_cli.adaptation.base import Adaptation, HeadName, Trained

if TYPE_CHECKING:
    from pointlora_cli.models.adapted import AdaptedModel


class FullFineTuning(Adaptation):
    """Every weight trains."""

    head: ClassVar[HeadName | None] = None

    def trained(self, model: AdaptedModel) -> Trained:
        """All of the model."""
        return [model]
