"""`pointlora finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.devices import Devices, among_others, are_started, follow
from pointlora_cli.commands.options import (
    AsJson,
    Data,
    Device,
    DryRun,
    Method,
    Output,
    Overrides,
    Preset,
    Resume,
    SpecFile,
    load_spec,
    refuse_pretraining,
    resumable_spec,
)
from pointlora_cli.commands.rehearsal_result import show_rehearsal

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.finetune import FinetuneResult
    from pointlora_cli.services.rehearsal import Rehearsal
    from pointlora_cli.specs.run import RunSpec
    from pointlora_cli.training.distribution import Distribution


def finetune(
    context: typer.Context,
    preset: Preset = None,
    method: Method = None,
    spec: SpecFile = None,
    data: Data = None,
    base: Annotated[
        Path | None,
        typer.Option(
            "--base",
            metavar="RUN",
            help="Start from what `pointlora pretrain` left: a run directory, or its pretrained.safetensors; or from "
            "`embedded`, the small backbone that comes with the package. The network's sizes, its patches and the "
            "points of a cloud are those of that pre-training.",
        ),
    ] = None,
    overrides: Overrides = None,
    output: Output = None,
    device: Device = None,
    devices: Devices = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a backbone on a data set, and keep an adapter.

    \b
    Examples:
      pointlora finetune --preset quickstart
      pointlora finetune --preset scanobjectnn --method dapt
      pointlora finetune --data my_clouds/ --set train.epochs=50
      pointlora finetune --preset segmentation-folder --data my_labelled_points/
      pointlora finetune --preset scanobjectnn --set backbone.weights=pretrain.pth
      pointlora finetune --base runs/pretrain-quickstart-20260131-120000 --data my_clouds/
      pointlora finetune --preset scanobjectnn --devices 4 --set train.batch_size=8
      torchrun --nproc-per-node 4 -m pointlora_cli finetune --preset scanobjectnn
      pointlora finetune --resume runs/quickstart-20260131-120000
    """
    from pointlora_cli.console.screen import Screen

    def load() -> RunSpec:
        file = resumable_spec(resume, preset, spec, data, output=output, dry_run=dry_run)
        loaded = load_spec(
            preset, file, data, overrides, method=method, base=base, device=device, output=output
        )
        refuse_pretraining(loaded)
        return loaded

    if are_started(context, devices, load):
        return
    screen = Screen(as_json=as_json)
    with among_others(screen) as distribution:
        run_spec = load()
        distribution.take_device(run_spec.train.device)
        if distribution.leads:
            outcome = _led(run_spec, screen, resume, distribution, dry_run=dry_run)
        else:
            follow(run_spec, resume, distribution, dry_run=dry_run)
            return
    _show(screen, outcome)


def _led(
    spec: RunSpec, screen: Screen, resumed: Path | None, distribution: Distribution, *, dry_run: bool
) -> FinetuneResult | Rehearsal:
    """The run, shown as it goes on."""
    from pointlora_cli.console.progress import TrainingProgress
    from pointlora_cli.services.finetune import finetune, resume
    from pointlora_cli.services.rehearsal import rehearse

    evaluated = "val" if spec.train.selection == "best-val" else "test"
    if spec.task == "part-segmentation":
        evaluated += " mIoU"
    with TrainingProgress(screen, evaluated=evaluated) as progress:
        if dry_run:
            return rehearse(spec, progress, distribution)
        if resumed is not None:
            return resume(resumed, progress, asked=spec, distribution=distribution)
        return finetune(spec, progress, distribution=distribution)


def _show(screen: Screen, outcome: FinetuneResult | Rehearsal) -> None:
    from pointlora_cli.services.rehearsal import Rehearsal

    if isinstance(outcome, Rehearsal):
        show_rehearsal(screen, "finetune", outcome)
    else:
        result = outcome
        screen.result("finetune", _document(result), lambda console: _draw(console, result))


def _document(result: FinetuneResult) -> dict[str, object]:
    from pointlora_cli.console.documents import metrics_document, parameters_document

    return {
        "run": str(result.run),
        "adapter": str(result.adapter),
        "adapter_bytes": result.adapter_bytes,
        "task": result.spec.task,
        "method": result.spec.method.name,
        "selection": result.spec.train.selection,
        "kept_epoch": result.kept_epoch,
        "epochs": result.spec.train.epochs,
        "seconds": round(result.seconds, 3),
        "device": result.device,
        "precision": result.precision,
        "parameters": parameters_document(result.parameters),
        "test": metrics_document(result.classes, result.categories, result.test),
    }


def _draw(console: Console, result: FinetuneResult) -> None:
    from pointlora_cli.console.metrics_tables import metrics_tables, score_rows
    from pointlora_cli.console.tables import SELECTION_WORDS, plain_table
    from pointlora_cli.console.wording import literal

    for part in metrics_tables(result.classes, result.categories, result.test, console):
        console.print(part)
    table = plain_table("result", "", title=f"{result.spec.name}: {result.spec.method.name}")
    counts = result.parameters
    (name, score), *others = score_rows(result.test)
    table.add_row(f"test {name}", score)
    for row in others:
        table.add_row(*row)
    table.add_row(
        "epoch kept",
        f"{result.kept_epoch} of {result.spec.train.epochs}: {SELECTION_WORDS[result.spec.train.selection]}",
    )
    table.add_row(
        "trained parameters", f"{counts.trained:,} of {counts.total:,} ({counts.trained_percent:.2f} %)"
    )
    table.add_row("training time", f"{result.seconds:.1f} s on {result.device}, {result.precision}")
    table.add_row("adapter", f"{literal(result.adapter)} ({result.adapter_bytes / 2**20:.2f} MiB)")
    console.print(table)
    category = " --category NAME" if len(result.categories) > 1 else ""
    console.print(f"Next: pointlora predict CLOUD{category} --adapter {literal(result.run)}", soft_wrap=True)
