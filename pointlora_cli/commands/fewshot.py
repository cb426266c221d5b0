"""`pointlora fewshot`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import (
    AsJson,
    Device,
    Jobs,
    Method,
    Overrides,
    Preset,
    SpecFile,
    load_spec,
)

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.services.fewshot import FewShotResult

_PRESET = "modelnet40-fewshot"


def fewshot(
    context: typer.Context,
    preset: Preset = None,
    method: Method = None,
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
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Fine-tune on each few-shot fold, and give mean ± std.

    A finished fold is recorded beside the runs: the same command again goes on after it.

    \b
    Examples:
      pointlora fewshot --preset modelnet40-fewshot --way 5 --shot 10 --folds 10
      pointlora fewshot --method idpt --all
      pointlora fewshot --all --set data.episodes=generated
    """
    from pointlora_cli.commands.resuming import stopped
    from pointlora_cli.console.grid_progress import GridProgress
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.errors import InterruptedRunError

    screen = Screen(as_json=as_json)
    _refuse_contradictions(way, shot, every, overrides)
    preset = _PRESET if preset is None and spec is None else preset
    base = load_spec(preset, spec, None, overrides, method=method, device=device, output=output)
    from pointlora_cli.services import fewshot as service
    from pointlora_cli.services.grid import standing_words

    service.setting_name(base)  # raises for other data
    specs = []
    for ways, shots in service.SETTINGS if every else ((way, shot),):
        wanted = {"data.way": ways, "data.shot": shots, "data.fold": folds - 1}
        changes = [f"{key}={value}" for key, value in wanted.items() if value is not None]
        changes = [*(overrides or ()), *changes]
        specs.append(load_spec(preset, spec, None, changes, method=method, device=device, output=output))
    evaluated = "val" if base.train.selection == "best-val" else "test"
    try:
        with GridProgress(screen, evaluated=evaluated, live=jobs == 1) as progress:
            results = service.run_fewshot(specs, folds, jobs, progress)
    except (InterruptedRunError, KeyboardInterrupt) as stop:
        standing = standing_words(service.fold_cells(specs, folds), "folds")
        raise stopped(stop, standing, context) from None
    screen.result("fewshot", _document(results), lambda console: _draw(console, results))


def _refuse_contradictions(
    way: int | None, shot: int | None, every: bool, overrides: list[str] | None
) -> None:
    from pointlora_cli.errors import UsageError

    if every and (way is not None or shot is not None):
        raise UsageError("--all runs every way and shot", remedy="Leave out --way and --shot, or --all.")
    if any(re.match(r"\s*data\.fold\s*=", change) for change in overrides or ()):
        raise UsageError(
            "data.fold cannot be set here: all folds are run",
            remedy="Say how many with --folds, or run one with `pointlora finetune --set data.fold=N`.",
        )


def _document(results: list[FewShotResult]) -> dict[str, object]:
    from pointlora_cli.console.fewshot_tables import mean_and_deviation
    from pointlora_cli.services.grid_records import run_directory
    from pointlora_cli.services.spread import spread

    settings = []
    for result in results:
        runs = [run_directory(result.folder.parent, fold) for fold in result.folds]
        found = spread([fold.score for fold in result.folds])
        settings.append(
            {
                "setting": result.name,
                "way": result.way,
                "shot": result.shot,
                "mean": found.mean,
                "std_population": found.population,
                "std_sample": found.sample,
                "text": mean_and_deviation(found.mean, found.population),
                "published": [one.model_dump(mode="json") for one in result.published],
                "records": str(result.folder),
                "folds": [
                    {
                        "fold": number,
                        "accuracy": fold.score,
                        **fold.model_dump(exclude={"score", "score_name"}),
                        "run": None if run is None else str(run),
                    }
                    for number, (fold, run) in enumerate(zip(result.folds, runs, strict=True))
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
    from pointlora_cli.services.spread import spread

    names = [result.name for result in results]
    accuracies = [[fold.score for fold in result.folds] for result in results]
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
    published = [result.published[:1] for result in results]
    if any(published):
        table.add_row("published", *("".join(one.text for one in shown) or "–" for shown in published))
    console.print(table)
    for origin in dict.fromkeys(one.origin for shown in published for one in shown):
        console.print(origin, soft_wrap=True)
    console.print("std is that of the population, unless it says otherwise", soft_wrap=True)
    console.print(f"epoch kept: {SELECTION_WORDS[spec.train.selection]}", soft_wrap=True)
    for result in results:
        console.print(f"{result.name}: {literal(result.folder)}", soft_wrap=True)
