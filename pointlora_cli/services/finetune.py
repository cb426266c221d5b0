"""Fine-tune a backbone, and keep what it learned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pointlora_cli.errors import DivergedError, InterruptedRunError, Terminated, UsageError
from pointlora_cli.models.counting import ParameterCounts, count_parameters
from pointlora_cli.services.peak_memory import PeakMemory
from pointlora_cli.services.preparation import Prepared, prepare
from pointlora_cli.services.runs import RunDirectory, describe_environment
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import CategoryRecord, apply_adapter, read_adapter, save_adapter
from pointlora_cli.training.devices import memory_guard
from pointlora_cli.training.events import EpochDone, Event, Listener, Notice
from pointlora_cli.training.loop import batch_sizes, train, update
from pointlora_cli.training.metrics import AnyMetrics
from pointlora_cli.training.optimizer import build_optimizer


@dataclass(frozen=True)
class FinetuneResult:
    """A finished run."""

    run: Path
    adapter: Path
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


@dataclass(frozen=True)
class Rehearsal:
    """What a dry run found: everything is in place and one step works."""

    spec: RunSpec
    classes: tuple[str, ...]  # or parts
    train_clouds: int
    evaluated_clouds: int
    steps_per_epoch: int
    parameters: ParameterCounts
    loss: float
    step_seconds: float
    device: str
    precision: str


def finetune(spec: RunSpec, listen: Listener) -> FinetuneResult:
    """Run a spec from its checks to its kept adapter.

    Raises:
        PointLoRAError: anything wrong with the spec's files; nothing is left behind then.
        DivergedError: the loss is not finite; the run directory keeps the last good weights.
        UsageError: the run directory cannot be written, or there is too little memory.
        InterruptedRunError: Ctrl-C or SIGTERM; the run directory keeps the last kept weights.
    """
    with _memory_guard(spec):
        return _finetune(spec, listen)


def _finetune(spec: RunSpec, listen: Listener) -> FinetuneResult:
    told = _Told(spec, listen)
    prepared = prepare(spec, told)
    task, device = prepared.task, prepared.task.device
    precision = str(task.dtype).removeprefix("torch.")
    run = RunDirectory.create(spec, describe_environment(str(device), precision))
    told.follow(run)

    def keep(epoch: EpochDone) -> None:
        result = metrics_row(epoch, spec)
        save_adapter(
            run.adapter,
            task.model,
            prepared.base,
            spec,
            prepared.classes,
            result,
            categories=prepared.categories,
        )
        told.kept = epoch.epoch + 1

    build_optimizer(task.model, spec.optimizer)  # the first imports a compiler: seconds that are no training
    memory = PeakMemory(device)
    began = time.monotonic()
    with _early_end_told(run, told):
        kept = train(task, spec, listen=told, keep=keep)
    seconds = time.monotonic() - began
    run.log(f"done: {spec.train.epochs} epochs in {seconds:.1f} s, kept epoch {kept.epoch + 1}")
    return FinetuneResult(
        run=run.path,
        adapter=run.adapter,
        adapter_bytes=sum(path.stat().st_size for path in run.adapter.iterdir()),
        spec=spec,
        classes=prepared.classes,
        categories=prepared.categories,
        parameters=count_parameters(task.model),
        kept_epoch=kept.epoch + 1,
        test=_test_metrics(prepared, run, kept),
        seconds=seconds,
        device=str(device),
        precision=precision,
        peak_memory=memory.read(),
    )


@contextmanager
def _early_end_told(run: RunDirectory, told: _Told) -> Iterator[None]:
    """Say what a run that ends early leaves."""
    try:
        yield
    except KeyboardInterrupt as stop:
        what = "terminated" if isinstance(stop, Terminated) else "interrupted"
        message = f"{what} in epoch {told.epochs + 1}"
        run.log(message)
        raise InterruptedRunError(
            f"{message}: {told.standing()}",
            remedy=f"Use it with: pointlora evaluate {run.path}" if told.kept else None,
            terminated=isinstance(stop, Terminated),
        ) from None
    except DivergedError as error:
        run.log(error.message)
        raise DivergedError(f"{error.message}; {told.standing()}", error.remedy) from error
    except BrokenPipeError:
        raise  # of the terminal, not of a file
    except OSError as error:
        raise UsageError(
            f"{error.filename or run.path}: cannot be written: {(error.strerror or str(error)).lower()}; "
            f"{told.standing()}",
            remedy="Make room, or choose another folder with --output DIR.",
        ) from error


def _memory_guard(spec: RunSpec) -> AbstractContextManager[None]:
    smaller = max(2, spec.train.batch_size // 2)
    return memory_guard(f"Use a smaller batch, e.g. --set train.batch_size={smaller}, or a smaller network.")


def rehearse(spec: RunSpec, listen: Listener) -> Rehearsal:
    """Make every check of a run and one real optimiser step; write nothing.

    Raises:
        PointLoRAError: as `finetune`.
    """
    with _memory_guard(spec):
        return _rehearse(prepare(spec, listen))


def _rehearse(prepared: Prepared) -> Rehearsal:
    spec, task = prepared.spec, prepared.task
    sizes = batch_sizes(task.train_clouds, spec.train.batch_size, drop_last=spec.train.drop_last)
    torch.manual_seed(spec.train.seed)
    optimizer = build_optimizer(task.model, spec.optimizer)
    task.model.train()
    began = time.monotonic()
    output = task.step(torch.arange(sizes[0], device=task.device))
    update(optimizer, spec.optimizer)
    loss = output.loss.item() / sizes[0]
    return Rehearsal(
        spec=spec,
        classes=prepared.classes,
        train_clouds=task.train_clouds,
        evaluated_clouds=task.evaluated_clouds,
        steps_per_epoch=len(sizes),
        parameters=count_parameters(task.model),
        loss=loss,
        step_seconds=time.monotonic() - began,
        device=str(task.device),
        precision=str(task.dtype).removeprefix("torch."),
    )


class _Told:
    """Passes a run's events on, writes them into its directory, and knows what the run has come to."""

    def __init__(self, spec: RunSpec, listen: Listener) -> None:
        self.epochs = 0  # done
        self.kept: int | None = None  # the epoch whose adapter stands, from 1
        self._spec = spec
        self._listen = listen
        self._run: RunDirectory | None = None
        self._early: list[str] = []

    def follow(self, run: RunDirectory) -> None:
        """Write into `run` from now on, and what was told before there was one."""
        self._run = run
        for message in self._early:
            run.log(message)

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Notice) and self._run is None:
            self._early.append(event.message)
        elif isinstance(event, Notice) and self._run is not None:
            self._run.log(event.message)
        elif isinstance(event, EpochDone) and self._run is not None:
            self.epochs = event.epoch + 1
            self._run.append_metrics(metrics_row(event, self._spec))
        self._listen(event)

    def standing(self) -> str:
        """What a run that ends early leaves."""
        assert self._run is not None  # it has begun
        if self.kept is None:
            return f"no epoch was done, nothing is kept in {self._run.path}"
        return f"the adapter of epoch {self.kept} is kept in {self._run.path}"


def metrics_row(epoch: EpochDone, spec: RunSpec) -> dict[str, Any]:
    """One epoch as a line of metrics.jsonl; it holds nothing that differs between equal runs."""
    row: dict[str, Any] = {
        "epoch": epoch.epoch + 1,
        "lr": epoch.lr,
        "loss": epoch.loss,
        "train_accuracy": epoch.accuracy,
        "kept": epoch.kept,
    }
    if epoch.evaluation is not None:
        row |= {
            "evaluated": "validation" if spec.train.selection == "best-val" else "test",
            "evaluation_loss": epoch.evaluation.loss,
            **epoch.evaluation.row(),
        }
    return row


def _test_metrics(prepared: Prepared, run: RunDirectory, kept: EpochDone) -> AnyMetrics:
    """The kept weights on the test set: known already, unless another set chose the epoch."""
    if prepared.spec.train.selection != "best-val" and kept.evaluation is not None:
        return kept.evaluation
    record, tensors = read_adapter(run.adapter)
    apply_adapter(prepared.task.model, prepared.base, record, tensors, run.adapter)
    return prepared.task.test()
