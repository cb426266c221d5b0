"""What a run tells, written into its directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointlora_cli.services.runs import RunDirectory
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.events import EpochDone, Event, Listener, Notice


class RunEvents:
    """Passes a run's events on, writes them into its directory, and knows what the run has come to."""

    def __init__(self, spec: RunSpec, listen: Listener) -> None:
        self.epochs = 0  # done
        self.kept: int | None = None  # the epoch whose weights stand, from 1
        self._spec = spec
        self._listen = listen
        self._run: RunDirectory | None = None
        self._early: list[str] = []

    def follow(self, run: RunDirectory) -> None:
        """Write into `run` from now on, and what was told before there was one; nothing that it says already."""
        self._run = run
        logged = run.logged() if self._early else set()
        for message in self._early:
            if message not in logged:
                run.log(message)

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Notice) and self._run is None:
            self._early.append(event.message)
        elif isinstance(event, Notice) and self._run is not None:
            self._run.log(event.message)
        elif isinstance(event, EpochDone) and self._run is not None:
            self._run.append_metrics(metrics_row(event, self._spec))
            self.epochs = event.epoch + 1
        self._listen(event)

    def standing(self) -> str:
        """What a run that ends early leaves."""
        assert self._run is not None  # it has begun
        if self.kept is None:
            return f"no epoch was done, nothing is kept in {self._run.path}"
        what = "backbone" if self._spec.task == "pretraining" else "adapter"
        return f"the {what} of epoch {self.kept} is kept in {self._run.path}"


def metrics_row(epoch: EpochDone, spec: RunSpec) -> dict[str, Any]:
    """One epoch as a line of metrics.jsonl; it holds nothing that differs between equal runs."""
    row: dict[str, Any] = {"epoch": epoch.epoch + 1, "lr": epoch.lr, "loss": epoch.loss}
    if spec.task != "pretraining":
        row["train_accuracy"] = epoch.accuracy
    row["kept"] = epoch.kept
    if epoch.evaluation is not None:
        row |= {
            "evaluated": "validation" if spec.train.selection == "best-val" else "test",
            "evaluation_loss": epoch.evaluation.loss,
            **epoch.evaluation.row(),
        }
    return row


def score_of(row: Mapping[str, Any]) -> float | None:
    """What a line of metrics.jsonl says that the kept epoch is chosen by; None where it was not evaluated."""
    score = row.get("instance_miou", row.get("accuracy"))
    return None if score is None else float(score)
