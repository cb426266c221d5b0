"""The progress of a training run."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from typing_extensions import Self

from pointlora_cli.console.data_progress import DataBar
from pointlora_cli.console.screen import Screen
from pointlora_cli.datasets.progress import DataProgress
from pointlora_cli.training.events import EpochDone, Event, Notice, StepDone, TrainingStarted
from pointlora_cli.training.metrics import AnyMetrics


class TrainingProgress:
    """Listens to a run: a live bar on a terminal, a line for each epoch elsewhere. All on stderr."""

    def __init__(self, screen: Screen, *, evaluated: str) -> None:
        self._screen = screen
        self._evaluated = evaluated
        self._live = screen.err.is_terminal
        self._task: TaskID | None = None
        self._epochs = 0
        self._steps = 0
        self._score: AnyMetrics | None = None  # of the newest evaluation
        self._rate = 0.0
        self._data = DataBar(screen)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=16),
            TimeRemainingColumn(compact=True),
            TextColumn("left  {task.fields[status]}"),
            console=screen.err,
            transient=True,
        )

    def __enter__(self) -> Self:
        """The live display starts with the training."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live display down, also after an error."""
        self._data.close()
        if self._live:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Notice(message):
                self._screen.note(message)
            case DataProgress():
                self._data.show(event)
            case TrainingStarted(epochs, steps_per_epoch, _):
                self._epochs, self._steps = epochs, steps_per_epoch
                self._data.close()
                if self._live:
                    self._bar.start()
                self._task = self._bar.add_task(
                    "train", total=epochs * steps_per_epoch, epoch=1, epochs=epochs, status=""
                )
            case StepDone():
                self._show_step(event)
            case EpochDone():
                self._show_epoch(event)

    def _show_step(self, event: StepDone) -> None:
        self._rate = event.clouds_per_second
        if not self._live or self._task is None:
            return
        self._bar.update(
            self._task,
            completed=event.epoch * self._steps + event.step,
            epoch=event.epoch + 1,
            status=f"{self._status(event)}  {event.clouds_per_second:,.0f} clouds/s",
        )

    def _status(self, event: StepDone) -> str:
        """What the bar says of the epoch so far."""
        score = "" if self._score is None else f"  {self._evaluated} {self._score.score:.1%}"
        return f"loss {event.loss:.3f}  train {event.accuracy:.1%}{score}"

    def _show_epoch(self, event: EpochDone) -> None:
        if event.evaluation is not None:
            self._score = event.evaluation
        if self._live:
            return
        line = f"epoch {event.epoch + 1}/{self._epochs}  lr {event.lr:.2e}  {self._summary(event)}"
        self._screen.err.print(f"{line}  {self._rate:,.0f} clouds/s", soft_wrap=True)

    def _summary(self, event: EpochDone) -> str:
        """What the line of an epoch says of it."""
        evaluation = event.evaluation
        score = "" if evaluation is None else f"  {self._evaluated} {evaluation.score:.2%}"
        return f"loss {event.loss:.4f}  train {event.accuracy:.2%}{score}"
