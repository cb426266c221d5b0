"""`pointlora finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import (
    AsJson,
    Data,
    Device,
    Method,
    Overrides,
    Preset,
    SpecFile,
    load_spec,
)

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.services.finetune import FinetuneResult, Rehearsal


def finetune(
    preset: Preset = None,
    method: Method = None,
    spec: SpecFile = None,
    data: Data = None,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder for run directories.")
    ] = None,
    device: Device = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make every check and one real step; write nothing.")
    ] = False,
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
    """
    from pointlora_cli.console.progress import TrainingProgress
    from pointlora_cli.console.screen import Screen

    screen = Screen(as_json=as_json)
    run_spec = load_spec(preset, spec, data, overrides, method=method, device=device, output=output)
    from pointlora_cli.services import finetune as service

    evaluated = "val" if run_spec.train.selection == "best-val" else "test"
    if run_spec.task == "part-segmentation":
        evaluated += " mIoU"
    with TrainingProgress(screen, evaluated=evaluated) as progress:
        if dry_run:
            rehearsal = service.rehearse(run_spec, progress)
        else:
            result = service.finetune(run_spec, progress)
    if dry_run:
        screen.result(
            "finetune", _rehearsal_document(rehearsal), lambda console: _draw_rehearsal(console, rehearsal)
        )
    else:
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


def _rehearsal_document(rehearsal: Rehearsal) -> dict[str, object]:
    from pointlora_cli.console.documents import parameters_document

    return {
        "dry_run": True,
        "task": rehearsal.spec.task,
        "classes": list(rehearsal.classes),
        "train_clouds": rehearsal.train_clouds,
        "evaluated_clouds": rehearsal.evaluated_clouds,
        "steps_per_epoch": rehearsal.steps_per_epoch,
        "parameters": parameters_document(rehearsal.parameters),
        "loss": rehearsal.loss,
        "step_seconds": round(rehearsal.step_seconds, 4),
        "device": rehearsal.device,
        "precision": rehearsal.precision,
        "spec": rehearsal.spec.model_dump(mode="json"),
    }


def _draw_rehearsal(console: Console, rehearsal: Rehearsal) -> None:
    from pointlora_cli.console.tables import plain_table

    table = plain_table("dry run", "", title=f"{rehearsal.spec.name}: everything is in place")
    counts = rehearsal.parameters
    kind = "parts" if rehearsal.spec.task == "part-segmentation" else "classes"
    table.add_row("training clouds", f"{rehearsal.train_clouds:,} in {len(rehearsal.classes)} {kind}")
    table.add_row("evaluated clouds", f"{rehearsal.evaluated_clouds:,}")
    table.add_row("epochs", f"{rehearsal.spec.train.epochs} of {rehearsal.steps_per_epoch} steps")
    table.add_row(
        "trained parameters", f"{counts.trained:,} of {counts.total:,} ({counts.trained_percent:.2f} %)"
    )
    table.add_row(
        "one step", f"loss {rehearsal.loss:.4f} in {rehearsal.step_seconds:.2f} s on {rehearsal.device}"
    )
    console.print(table)
