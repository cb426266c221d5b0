"""`pointlora pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.devices import Devices, among_others, are_started, follow
from pointlora_cli.commands.options import (
    AsJson,
    Device,
    DryRun,
    Output,
    Overrides,
    Preset,
    Resume,
    SpecFile,
    load_spec,
    resumable_spec,
)
from pointlora_cli.commands.rehearsal_result import show_rehearsal

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.pretrain import PretrainResult
    from pointlora_cli.services.rehearsal import Rehearsal
    from pointlora_cli.specs.run import RunSpec
    from pointlora_cli.training.distribution import Distribution


def pretrain(
    context: typer.Context,
    preset: Preset = None,
    spec: SpecFile = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            help="Your folder of clouds or meshes, without labels, at any depth; alone, with the small network of "
            "pretrain-quickstart.",
        ),
    ] = None,
    overrides: Overrides = None,
    output: Output = None,
    device: Device = None,
    devices: Devices = None,
    resume: Resume = None,
    reconstructions: Annotated[
        Path | None,
        typer.Option(
            "--reconstructions",
            metavar="DIR",
            help="Write some held-out clouds at the end, their visible patches and what is predicted of the hidden "
            "ones: as PLY, and as one picture (PNG).",
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Pre-train a backbone on clouds without labels.

    It learns to predict patches that are hidden, after Point-MAE. RUN/pretrained.safetensors is the backbone:
    `pointlora finetune --base RUN` starts from it. RUN/pretrained.pth is the whole network in the official
    layout.

    \b
    Examples:
      pointlora pretrain --preset pretrain-quickstart
      pointlora pretrain --data my_clouds/ --reconstructions look/
      pointlora pretrain --preset pretrain-shapenet55 --set data.root=ShapeNet55-34 --devices 4
      pointlora pretrain --preset pretrain-quickstart --set data.source=modelnet40
      pointlora pretrain --resume runs/pretrain-quickstart-20260131-120000
    """
    from pointlora_cli.console.screen import Screen

    def load() -> RunSpec:
        file = resumable_spec(resume, preset, spec, data, output=output, dry_run=dry_run)
        loaded = load_spec(
            preset, file, data, overrides, device=device, output=output, otherwise="pretrain-quickstart"
        )
        _require_pretraining(loaded)
        return loaded

    if are_started(context, devices, load):
        return
    screen = Screen(as_json=as_json)
    with among_others(screen) as distribution:
        run_spec = load()
        distribution.take_device(run_spec.train.device)
        if not distribution.leads:
            follow(run_spec, resume, distribution, dry_run=dry_run)
            return
        outcome = _led(run_spec, screen, resume, reconstructions, distribution, dry_run=dry_run)
    _show(screen, outcome)


def _require_pretraining(spec: RunSpec) -> None:
    from pointlora_cli.errors import UsageError

    if spec.task != "pretraining":
        raise UsageError(
            f"{spec.name}: its task is {spec.task}, not pretraining",
            remedy="Use pointlora finetune; or give a preset or spec of the task pretraining, as "
            "--preset pretrain-quickstart.",
        )


def _led(
    spec: RunSpec,
    screen: Screen,
    resumed: Path | None,
    reconstructions: Path | None,
    distribution: Distribution,
    *,
    dry_run: bool,
) -> PretrainResult | Rehearsal:
    """The run, shown as it goes on."""
    from pointlora_cli.console.pretraining_progress import PretrainingProgress
    from pointlora_cli.services.pretrain import pretrain
    from pointlora_cli.services.rehearsal import rehearse

    evaluated = "val" if spec.train.selection == "best-val" else "held out"
    with PretrainingProgress(screen, evaluated=evaluated) as progress:
        if dry_run:
            return rehearse(spec, progress, distribution)
        return pretrain(
            spec,
            progress,
            resumed=resumed,
            reconstructions=reconstructions,
            distribution=distribution,
        )


def _show(screen: Screen, outcome: PretrainResult | Rehearsal) -> None:
    from pointlora_cli.services.rehearsal import Rehearsal

    if isinstance(outcome, Rehearsal):
        show_rehearsal(screen, "pretrain", outcome)
    else:
        result = outcome
        screen.result("pretrain", _document(result), lambda console: _draw(console, result))


def _document(result: PretrainResult) -> dict[str, object]:
    from pointlora_cli.console.documents import metrics_document, parameters_document

    return {
        "run": str(result.run),
        "weights": str(result.weights),
        "weights_bytes": result.weights_bytes,
        "official_weights": str(result.official),
        "selection": result.spec.train.selection,
        "kept_epoch": result.kept_epoch,
        "epochs": result.spec.train.epochs,
        "seconds": round(result.seconds, 3),
        "device": result.device,
        "precision": result.precision,
        "parameters": parameters_document(result.parameters),
        "test": metrics_document((), (), result.test),
        "reconstructions": [str(path) for path in result.reconstructions],
    }


def _draw(console: Console, result: PretrainResult) -> None:
    from pointlora_cli.console.metrics_tables import score_rows
    from pointlora_cli.console.tables import SELECTION_WORDS, plain_table
    from pointlora_cli.console.wording import literal

    table = plain_table("result", "", title=f"{result.spec.name}: pre-training")
    (name, score), *others = score_rows(result.test)
    table.add_row(f"held-out {name}", score)
    for row in others:
        table.add_row(*row)
    table.add_row(
        "epoch kept",
        f"{result.kept_epoch} of {result.spec.train.epochs}: {SELECTION_WORDS[result.spec.train.selection]}",
    )
    table.add_row(
        "parameters", f"{result.parameters.total:,}, {result.parameters.backbone:,} of the backbone"
    )
    table.add_row("training time", f"{result.seconds:.1f} s on {result.device}, {result.precision}")
    table.add_row("backbone", f"{literal(result.weights)} ({result.weights_bytes / 2**20:.2f} MiB)")
    table.add_row("whole network", literal(result.official))
    if result.reconstructions:
        table.add_row("reconstructions", literal(result.reconstructions[-1]))
    console.print(table)
    console.print(f"Next: pointlora finetune --base {literal(result.run)} --data DIR", soft_wrap=True)
