"""The progress of a pre-training, whose losses are distances: shown times 1,000, as the field prints them."""

from __future__ import annotations

from pointlora_cli.console.progress import TrainingProgress
from pointlora_cli.training.events import EpochDone, StepDone
from pointlora_cli.training.metrics import AnyMetrics
from pointlora_cli.training.reconstruction_metrics import ReconstructionMetrics


class PretrainingProgress(TrainingProgress):
    """As that of any run, but that nothing is right or wrong: there are distances, and a linear probe."""

    def _status(self, event: StepDone) -> str:
        return f"loss×1000 {1000 * event.loss:.2f}{self._found(self._score)}"

    def _summary(self, event: EpochDone) -> str:
        return f"loss×1000 {1000 * event.loss:.3f}{self._found(event.evaluation)}"

    def _found(self, metrics: AnyMetrics | None) -> str:
        if not isinstance(metrics, ReconstructionMetrics):
            return ""
        probe = "" if metrics.probe is None else f"  probe {metrics.probe:.2%}"
        return f"  {self._evaluated} {1000 * metrics.loss:.3f}{probe}"
