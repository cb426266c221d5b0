"""`pointlora fewshot`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import AsJson, Device, Overrides, Preset, SpecFile, load_spec

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.errors import InterruptedRunError
    from pointlora_cli.services.fewshot import FewShotResult, Watch
    from pointlora_cli.specs.run import RunSpec
    from pointlora_cli.training.events import Listener

_PRESET = "modelnet40-fewshot"


def fewshot(
    context: typer.Context,
    preset: Preset = None,
    spec: SpecFile = None,
    way: Annotated[
        int | None, typer.Option("--way", min=2, help="Classes of an episode, else as the spec says.")
    ] = None,
    shot: Annotated[
        int | None, typer.Option("--shot", min=1, help="Training clouds of a class, else as the spec says.")
    ] = None,
    folds: Annotated[
        int, typer.Option("--folds", min=1, max=10_000, help="Run folds 0 to this less 1.")
    ] = 10,
    every: Annotated[
        bool,
        typer.Option("--all", help="5 and 10 ways with 10 and 20 shots: the four columns of the papers."),
    ] = False,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder for run directories.")
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Fine-tune on each few-shot fold in turn, and give mean ± std.

    A finished fold is recorded beside the runs: the same command again goes on after it.

    \b
    Examples:
      pointlora fewshot --preset modelnet40-fewshot --way 5 --shot 10 --folds 10
      pointlora fewshot --all --set data.episodes=generated
    """
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.errors import InterruptedRunError

    screen = Screen(as_json=as_json)
    _refuse_contradictions(way, shot, every, overrides)
    preset = _PRESET if preset is None and spec is None else preset
    base = load_spec(preset, spec, None, overrides, device=device, output=output)
    from pointlora_cli.services import fewshot as service

    service.setting_name(base)  # raises for other data
    specs = []
    for ways, shots in service.SETTINGS if every else ((way, shot),):
        wanted = {"data.way": ways, "data.shot": shots, "data.fold": folds - 1}
        changes = [f"{key}={value}" for key, value in wanted.items() if value is not None]
        changes = [*(overrides or ()), *changes]
        specs.append(load_spec(preset, spec, None, changes, device=device, output=output))
    try:
        results = service.run_fewshot(specs, folds, _watch(screen, folds), screen.note)
    except (InterruptedRunError, KeyboardInterrupt) as stop:
        done = f"{service.finished_folds(specs, folds)} of {folds * len(specs)} folds are finished and stand"
        raise _stopped(stop, done, _same_command(context)) from None
    screen.result("fewshot", _document(results), lambda console: _draw(console, results))


def _refuse_contradictions(
    way: int | None, shot: int | None, every: bool, overrides: list[str] | None
) -> None:
    from pointlora_cli.errors import UsageError

    if every and (way is not None or shot is not None):
        raise UsageError("--all runs every way and shot", remedy="Leave out --way and --shot, or --all.")
    if any(re.match(r"\s*data\.fold\s*=", change) for change in overrides or ()):
        raise UsageError(
            "data.fold cannot be set here: the folds are run one after the other",
            remedy="Say how many with --folds, or run one with `pointlora finetune --set data.fold=N`.",
        )


def _watch(screen: Screen, folds: int) -> Watch:
    """Says on stderr which fold runs, and shows its progress."""
    from pointlora_cli.console.progress import TrainingProgress
    from pointlora_cli.services.fewshot import fold_number, setting_name

    @contextmanager
    def watch(spec: RunSpec) -> Iterator[Listener]:
        fold = fold_number(spec)
        screen.note(f"{setting_name(spec)} fold {fold} ({fold + 1} of {folds})")
        evaluated = "val" if spec.train.selection == "best-val" else "test"
        with TrainingProgress(screen, evaluated=evaluated) as progress:
            yield progress

    return watch


def _stopped(stop: InterruptedRunError | KeyboardInterrupt, standing: str, again: str) -> InterruptedRunError:
    """The interruption, with what stands and how to go on."""
    from pointlora_cli.errors import ExitCode, InterruptedRunError, Terminated

    if isinstance(stop, InterruptedRunError):
        what, terminated = stop.message, stop.exit_code == ExitCode.TERMINATED
    else:
        terminated = isinstance(stop, Terminated)
        what = "terminated" if terminated else "interrupted"
    return InterruptedRunError(f"{what}; {standing}", f"Go on with: {again}", terminated=terminated)


def _same_command(context: typer.Context) -> str:
    """What was asked for, as one would type it."""
    words = ["pointlora", "fewshot"]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if value is None or value == option.default:
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            words += [option.opts[0]] if one is True else [option.opts[0], str(one)]
    return shlex.join(words)


def _document(results: list[FewShotResult]) -> dict[str, object]:
    from pointlora_cli.console.fewshot_tables import mean_and_deviation
    from pointlora_cli.services.fewshot import spread

    settings = []
    for result in results:
        found = spread([fold.accuracy for fold in result.folds])
        settings.append(
            {
                "setting": result.name,
                "way": result.way,
                "shot": result.shot,
                "mean": found.mean,
                "std_population": found.population,
                "std_sample": found.sample,
                "text": mean_and_deviation(found.mean, found.population),
                "records": str(result.folder),
                "folds": [
                    {**fold.model_dump(), "run": str(result.folder.parent / fold.run)}
                    for fold in result.folds
                ],
                "trained_now": sorted(result.trained),
            }
        )
    first = results[0].spec
    return {"method": first.method.name, "selection": first.train.selection, "settings": settings}


def _draw(console: Console, results: list[FewShotResult]) -> None:
    from pointlora_cli.console.fewshot_tables import fold_table, mean_and_deviation
    from pointlora_cli.console.tables import SELECTION_WORDS, plain_table
    from pointlora_cli.console.wording import literal
    from pointlora_cli.services.fewshot import spread

    names = [result.name for result in results]
    accuracies = [[fold.accuracy for fold in result.folds] for result in results]
    found = [spread(column) for column in accuracies]
    texts = [mean_and_deviation(one.mean, one.population) for one in found]
    console.print(fold_table(names, accuracies, texts))
    spec = results[0].spec
    table = plain_table("result", *names, right=names, title=f"{spec.name}: {spec.method.name}")
    table.add_row("mean ± std over the folds", *texts)
    sample = ["–" if one.sample is None else f"{100 * one.sample:.1f}" for one in found]
    table.add_row("std as a sample's", *sample)
    lasts = [[fold.last for fold in result.folds if fold.last is not None] for result in results]
    if all(lasts):
        after = [spread(column) for column in lasts]
        table.add_row(
            "after the last epoch", *(mean_and_deviation(one.mean, one.population) for one in after)
        )
    table.add_row("trained now", *(f"{len(result.trained)} of {len(result.folds)}" for result in results))
    seconds = (sum(fold.seconds for fold in result.folds) for result in results)
    table.add_row("training time", *(f"{value:,.1f} s" for value in seconds))
    console.print(table)
    console.print("std is that of the population, unless it says otherwise", soft_wrap=True)
    console.print(f"epoch kept: {SELECTION_WORDS[spec.train.selection]}", soft_wrap=True)
    for result in results:
        console.print(f"{result.name}: {literal(result.folder)}", soft_wrap=True)
