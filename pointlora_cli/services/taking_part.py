"""A run as a process sees it that another one leads: it trains, evaluates, and writes nothing."""

from __future__ import annotations

from pathlib import Path

from pointlora_cli.services.batch_memory import batch_memory_guard
from pointlora_cli.services.preparation import Prepared, prepare
from pointlora_cli.services.products import product_of
from pointlora_cli.services.runs import RunDirectory
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import OutputSpec
from pointlora_cli.training.checkpoints import Checkpoints, given_checkpoint
from pointlora_cli.training.distribution import Distribution
from pointlora_cli.training.events import EpochDone, Event
from pointlora_cli.training.loop import train
from pointlora_cli.training.metrics import AnyMetrics


def take_part(spec: RunSpec, distribution: Distribution, resumed: Path | None = None) -> None:
    """Take part in a run that another process leads with `finetune` or `resume`.

    Args:
        spec: of the run.
        distribution: this process among those of the run.
        resumed: the run directory, of a run that goes on.

    Raises:
        PointLoRAError: as these.
        KeyboardInterrupt: the processes were told to stop.
    """
    if resumed is not None:  # it may have been moved since its spec was written
        spec = spec.model_copy(update={"output": OutputSpec(dir=str(resumed))})
    with batch_memory_guard(spec, resumed=resumed is not None):
        prepared = prepare(spec, _ignore, distribution)
        path = distribution.texts("")[0]
        kept = train(
            prepared.task,
            spec,
            listen=_ignore,
            keep=_ignore,
            checkpoints=Checkpoints(Path(), spec.train, {}, distribution),
            start=given_checkpoint(Path(path)) if path else None,
            distribution=distribution,
        )
        tested(prepared, kept, None)


def tested(prepared: Prepared, kept: EpochDone, run: RunDirectory | None) -> AnyMetrics:
    """The kept weights on the test set: known already, unless another set chose the epoch.

    All processes of the run call this; the one that leads gives the directory.
    """
    task, distribution = prepared.task, prepared.distribution
    if prepared.spec.train.selection != "best-val" and kept.evaluation is not None:
        return kept.evaluation
    if run is not None:
        product_of(prepared.spec.task).restore(prepared, run)
    distribution.equalize(task.model)
    return task.test(distribution)


def _ignore(event: Event) -> None:
    """The process that leads shows it."""
