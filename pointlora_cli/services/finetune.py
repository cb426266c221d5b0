"""Fine-tune a backbone, or pre-train one, and keep what it learned."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pointlora_cli.errors import (
    DataError,
    DivergedError,
    ExitCode,
    InterruptedRunError,
    LostProcessError,
    Terminated,
    UsageError,
)
from pointlora_cli.models.counting import ParameterCounts, count_parameters
from pointlora_cli.services.batch_memory import batch_memory_guard
from pointlora_cli.services.peak_memory import PeakMemory
from pointlora_cli.services.preparation import Prepared, prepare
from pointlora_cli.services.products import product_of
from pointlora_cli.services.run_events import RunEvents, score_of
from pointlora_cli.services.run_identity import comparable, require_same, rounding_differences, run_identity
from pointlora_cli.services.runs import RunDirectory, describe_environment
from pointlora_cli.services.taking_part import tested
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import OutputSpec
from pointlora_cli.training.adapter_file import CategoryRecord
from pointlora_cli.training.checkpoints import Checkpoint, Checkpoints, newest_checkpoint, place_words
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import EpochDone, Listener, Notice
from pointlora_cli.training.loop import train
from pointlora_cli.training.metrics import AnyMetrics
from pointlora_cli.training.optimizer import build_optimizer

Finish = Callable[[Prepared, RunDirectory], None]
"""What else is done with a run that is finished."""


@dataclass(frozen=True)
class FinetuneResult:
    """A finished run."""

    run: Path
    adapter: Path  # its folder; of a pre-training the file of the backbone
    adapter_bytes: int
    spec: RunSpec
    classes: tuple[str, ...]  # or parts
    categories: tuple[CategoryRecord, ...]  # of clouds, in part segmentation
    parameters: ParameterCounts
    kept_epoch: int  # from 1
    test: AnyMetrics  # of the kept weights, on the test set
    seconds: float  # training, evaluation included
    device: str
    precision: str
    peak_memory: int | None  # bytes while training, of the GPU, else of the whole process; None: not told
    scores: tuple[float, ...]  # of the evaluated epochs


def finetune(
    spec: RunSpec,
    listen: Listener,
    begun: Callable[[Path], None] = lambda run: None,
    distribution: Distribution = ALONE,
    finish: Finish = lambda prepared, run: None,
) -> FinetuneResult:
    """Run a spec from its checks to its kept adapter, or in pre-training its backbone.

    Args:
        spec: of the run.
        listen: told what happens.
        begun: called with the run directory once it is there.
        distribution: this process, which leads, among those of the run; the others `take_part`.
        finish: called with what was prepared once the run is finished.

    Raises:
        PointLoRAError: anything wrong with the spec's files; nothing is left behind then.
        DivergedError: the loss is not finite; the run directory keeps the last good weights.
        UsageError: the run directory cannot be written, or there is too little memory.
        InterruptedRunError: Ctrl-C or SIGTERM; `resume` goes on with the run directory.
    """
    with batch_memory_guard(spec):
        events = RunEvents(spec, listen)
        prepared = prepare(spec, events, distribution)
        run = RunDirectory.create(spec, _environment(prepared))
        begun(run.path)
        with run.held():
            events.follow(run)
            return _trained(prepared, run, events, None, finish)


def resume(
    path: Path,
    listen: Listener,
    asked: RunSpec | None = None,
    *,
    finished_too: bool = False,
    distribution: Distribution = ALONE,
    finish: Finish = lambda prepared, run: None,
) -> FinetuneResult:
    """Go on with the run in the directory `path`, as if it had never been stopped.

    Args:
        path: of the run.
        listen: told what happens.
        asked: the spec that the user gives for it; None: whatever it has.
        finished_too: give the result of a finished run once more, and do not refuse it.
        distribution: as `finetune`.
        finish: as `finetune`.

    Raises:
        DataError: there is no such run, or its spec, its data or its base are not what they were.
        UsageError: it is finished, another process is at it, or it cannot be written; and as `finetune`.
        IntegrityError: all its checkpoints are damaged.
        PointLoRAError: as `finetune`.
    """
    run = RunDirectory.find(path)
    spec = load_run_spec(spec_file=run.spec_file)
    if asked is not None:
        require_same({"spec": comparable(asked)}, {"spec": comparable(spec)}, where=path, began="the run has")
    with run.held(), batch_memory_guard(spec, resumed=True):
        if run.is_finished and not finished_too:
            raise UsageError(
                f"{path}: the run is finished: all {spec.train.epochs} epochs are done",
                remedy=f"Use it with: {product_of(spec.task).use(path)}",
            )
        run.require_writable()
        return _resumed(spec, run, listen, distribution, finish)


def _resumed(
    spec: RunSpec, run: RunDirectory, listen: Listener, distribution: Distribution, finish: Finish
) -> FinetuneResult:
    events = RunEvents(spec, listen)
    here = OutputSpec(dir=str(run.path))  # it may have been moved since its spec was written
    try:
        prepared = replace(prepare(spec.model_copy(update={"output": here}), events, distribution), spec=spec)
        start = _gone_back(prepared, run, events)
    except KeyboardInterrupt as stop:
        raise InterruptedRunError(
            f"{_what(stop)} before the run went on; it is as it was",
            remedy=f"Go on with: {_again(spec, run, distribution)}",
            terminated=isinstance(stop, Terminated),
        ) from None
    return _trained(prepared, run, events, start, finish)


def _gone_back(prepared: Prepared, run: RunDirectory, events: RunEvents) -> Checkpoint | None:
    """The checkpoint that a run goes on from, and its directory as it was then; None: from its beginning."""
    spec = prepared.spec
    try:
        events.follow(run)
        if other := rounding_differences(_environment(prepared), run.began_with):
            events(Notice(f"the run goes on with {other}: its numbers may differ in their last digits"))
        run.drop_half_written()
        start = newest_checkpoint(run.checkpoints, spec.train, events)
        if start is None:
            run.require_unbegun(product_of(spec.task).command)
            events(Notice("there is no checkpoint yet: the run starts from its beginning"))
            run.rewind(0)
            return None
        require_same(run_identity(prepared), start.run, where=start.path, began="the run began with")
        _require_evaluation(start, prepared)
        run.rewind(start.state.epoch)
        events(Notice(f"the run goes on after {place_words(start.state.epoch, start.state.step)}"))
    except BrokenPipeError:
        raise  # of the terminal, not of a file
    except OSError as error:
        raise _unwritten(spec, run, error, "the run did not go on", prepared.distribution) from error
    events.epochs, kept = start.state.epoch, start.state.kept
    events.kept = None if kept is None else kept.epoch + 1
    return start


def _require_evaluation(start: Checkpoint, prepared: Prepared) -> None:
    """Raise unless what a checkpoint tells of its kept epoch can be of this run."""
    kept, task = start.state.kept, prepared.task
    if kept is not None and not kept.evaluation.is_of(
        len(prepared.classes), len(prepared.categories), task.evaluated_clouds
    ):
        raise DataError(
            f"{start.path}: the checkpoint does not fit the run: the evaluation it tells of is of other clouds"
        )


def _trained(
    prepared: Prepared, run: RunDirectory, events: RunEvents, start: Checkpoint | None, finish: Finish
) -> FinetuneResult:
    """Train a prepared run in its directory, from a checkpoint of it or from its beginning."""
    spec, task, distribution = prepared.spec, prepared.task, prepared.distribution
    product = product_of(spec.task)

    def keep(epoch: EpochDone) -> None:
        product.keep(prepared, run, epoch)
        events.kept = epoch.epoch + 1

    checkpoints = Checkpoints(run.checkpoints, spec.train, run_identity(prepared), distribution)
    memory = PeakMemory(task.device)
    with _early_end_told(run, spec, events, distribution), distribution.guarded():
        distribution.texts("" if start is None else str(start.path))
        build_optimizer(task.model, spec.optimizer)  # the first imports a compiler: seconds of no training
        began = time.monotonic() - (start.state.seconds if start else 0.0)
        kept = train(
            task,
            spec,
            listen=events,
            keep=keep,
            checkpoints=checkpoints,
            start=start,
            distribution=distribution,
        )
        seconds = time.monotonic() - began
        run.log(f"done: {spec.train.epochs} epochs in {seconds:.1f} s, kept epoch {kept.epoch + 1}")
        test = tested(prepared, kept, run)
        run.finish({"kept_epoch": kept.epoch + 1, "seconds": round(seconds, 3), "test": test.row()})
    finish(prepared, run)
    return FinetuneResult(
        run=run.path,
        adapter=product.path(run),
        adapter_bytes=product.size(run),
        spec=spec,
        classes=prepared.classes,
        categories=prepared.categories,
        parameters=count_parameters(task.model),
        kept_epoch=kept.epoch + 1,
        test=test,
        scores=tuple(score for row in run.metrics() if (score := score_of(row)) is not None),
        seconds=seconds,
        device=str(task.device),
        precision=task.precision,
        peak_memory=memory.read(),
    )


@contextmanager
def _early_end_told(
    run: RunDirectory, spec: RunSpec, events: RunEvents, distribution: Distribution
) -> Iterator[None]:
    """Say what a run that ends early leaves, and how it goes on."""
    again = f"Go on with: {_again(spec, run, distribution)}"
    try:
        yield
    except (KeyboardInterrupt, InterruptedRunError) as stop:
        message = f"{_what(stop)} in epoch {min(events.epochs + 1, spec.train.epochs)}"
        with suppress(OSError):  # the disk may be full
            run.log(message)
        use = f"; or use what is kept: {product_of(spec.task).use(run.path)}" if events.kept else ""
        raise InterruptedRunError(
            f"{message}: {events.standing()}",
            remedy=f"{again}{use}",
            terminated=_is_terminated(stop),
        ) from None
    except LostProcessError as error:
        with suppress(OSError):
            run.log(error.message)
        raise LostProcessError(f"{error.message}; {events.standing()}", again) from error
    except DivergedError as error:
        with suppress(OSError):
            run.log(error.message)
        raise DivergedError(f"{error.message}; {events.standing()}", error.remedy) from error
    except BrokenPipeError:
        raise  # of the terminal, not of a file
    except OSError as error:
        raise _unwritten(spec, run, error, events.standing(), distribution) from error


def _unwritten(
    spec: RunSpec, run: RunDirectory, error: OSError, standing: str, distribution: Distribution
) -> UsageError:
    return UsageError(
        f"{error.filename or run.path}: cannot be written: {(error.strerror or str(error)).lower()}; {standing}",
        remedy=f"Make room and go on with: {_again(spec, run, distribution)}; or start anew elsewhere with "
        "--output DIR.",
    )


def _again(spec: RunSpec, run: RunDirectory, distribution: Distribution) -> str:
    """The command that goes on with a run."""
    return distribution.again(f"{product_of(spec.task).command} --resume {shlex.quote(str(run.path))}")


def _what(stop: KeyboardInterrupt | InterruptedRunError) -> str:
    return "terminated" if _is_terminated(stop) else "interrupted"


def _is_terminated(stop: KeyboardInterrupt | InterruptedRunError) -> bool:
    if isinstance(stop, InterruptedRunError):  # of another process
        return stop.exit_code == ExitCode.TERMINATED
    return isinstance(stop, Terminated)


def _environment(prepared: Prepared) -> dict[str, Any]:
    described = describe_environment(str(prepared.task.device), prepared.task.precision)
    return described | {"processes": prepared.distribution.size}
