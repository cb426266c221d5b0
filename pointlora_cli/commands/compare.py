"""`pointlora compare`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import (
    AsJson,
    Data,
    Device,
    Jobs,
    Overrides,
    Preset,
    SpecFile,
    load_spec,
    refuse_pretraining,
)

if TYPE_CHECKING:
    from pointlora_cli.console.compare_tables import ComparedTable
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.compare import Comparison
    from pointlora_cli.specs.run import RunSpec

_MANY_SEEDS = 1000


def compare(
    context: typer.Context,
    methods: Annotated[
        str,
        typer.Option(
            "--methods", "-m", help="Names, separated by commas; scratch: full, from random weights."
        ),
    ],
    preset: Preset = None,
    spec: SpecFile = None,
    data: Data = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", "-b", help="Another backbone than that of the preset or spec.")
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", help="How many (3 are 0, 1 and 2), or which: 0,7,9; one alone: 7,")
    ] = "3",
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder for run directories.")
    ] = None,
    device: Device = None,
    jobs: Jobs = 1,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Make every check and show the runs; train and write nothing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune with several methods, and show them in one table.

    Each method has its own settings for the data set; all else is the same for all. A spec file's own method
    section counts for that method alone. A finished run is recorded: the same command again goes on after
    it, and one with more methods or seeds adds to it.

    \b
    Examples:
      pointlora compare --preset quickstart --methods pointlora,lora,linear,full --seeds 2
      pointlora compare --backbone point-mae --methods pointlora,dapt,full --preset scanobjectnn
    """
    from pointlora_cli.console.screen import Screen

    screen = Screen(as_json=as_json)
    wanted = [name.strip() for name in methods.split(",") if name.strip()]
    common, own = _divided(overrides or [], wanted)
    if backbone is not None:
        common.insert(0, f"backbone.name={json.dumps(backbone)}")

    def load(method: str, changes: Sequence[str]) -> RunSpec:
        loaded = load_spec(
            preset,
            spec,
            data,
            [*common, *changes],
            method=method,
            device=device,
            output=output,
        )
        refuse_pretraining(loaded)
        return loaded

    from pointlora_cli.services.compare import plan_comparison

    comparison = plan_comparison(wanted, _seeds(seeds), load, own)
    if dry_run:
        _rehearse(screen, comparison)
    else:
        _run(screen, comparison, jobs, context)


def _divided(overrides: Sequence[str], methods: Sequence[str]) -> tuple[list[str], list[str]]:
    """What holds for every run, and what is of the one method."""
    from pointlora_cli.errors import UsageError

    if not methods:
        raise UsageError("--methods names no method", remedy="For example: --methods pointlora,lora,full")
    for key, option in (("train.seed", "--seeds"), ("method.name", "--methods"), ("method", "--methods")):
        if any(re.match(rf"\s*{re.escape(key)}\s*=", change) for change in overrides):
            raise UsageError(f"{key} cannot be set here", remedy=f"Use {option}.")
    own = [change for change in overrides if re.match(r"\s*method\s*\.", change)]
    if own and set(methods) != {methods[0]}:
        raise UsageError(
            f"{own[0]} is an option of one method, and {len(set(methods))} are compared: each has its own settings",
            remedy="Leave it out, or compare one method alone.",
        )
    return [change for change in overrides if change not in own], own


def _seeds(text: str) -> list[int]:
    from pointlora_cli.errors import UsageError

    found = re.fullmatch(r"\s*(\d{1,10}(?:\s*,\s*\d{1,10})*)\s*(,?)\s*", text)
    numbers = [int(number) for number in found[1].split(",")] if found else []
    if found and len(numbers) == 1 and not found[2]:
        numbers = list(range(min(numbers[0], _MANY_SEEDS + 1)))
    if not numbers or len(numbers) > _MANY_SEEDS or max(numbers) >= 2**32:
        raise UsageError(
            f"--seeds must be how many, from 1 to {_MANY_SEEDS}, or seeds below 2^32 separated by commas, got '{text}'",
            remedy="For example: --seeds 3, or --seeds 0,7,9",
        )
    return numbers


def _run(screen: Screen, comparison: Comparison, jobs: int, context: typer.Context) -> None:
    from pointlora_cli.commands.resuming import stopped
    from pointlora_cli.console.compare_tables import draw_comparison
    from pointlora_cli.console.grid_progress import GridProgress
    from pointlora_cli.errors import InterruptedRunError
    from pointlora_cli.services.grid import GridError, run_grid, standing_words

    evaluated = "val" if comparison.spec.train.selection == "best-val" else "test"
    if comparison.spec.task == "part-segmentation":
        evaluated += " mIoU"
    try:
        with GridProgress(screen, evaluated=evaluated, live=jobs == 1) as progress:
            run_grid(comparison.cells, jobs, progress)
    except (InterruptedRunError, KeyboardInterrupt) as stop:
        _show_part(screen, comparison)
        raise stopped(stop, standing_words(comparison.cells), context) from None
    except GridError:
        _show_part(screen, comparison)
        raise
    table, document = _kept(comparison)
    screen.result("compare", document, lambda console: draw_comparison(console, table))


def _show_part(screen: Screen, comparison: Comparison) -> None:
    """Show and keep what there is; as JSON the error alone is shown."""
    from pointlora_cli.console.compare_tables import draw_comparison
    from pointlora_cli.errors import UsageError
    from pointlora_cli.services.grid_records import read_record

    if not any(read_record(cell) for cell in comparison.cells):
        return
    try:
        table, _ = _kept(comparison)
    except UsageError as error:  # the error that ended it is the one to show
        screen.note(error.message)
        return
    if not screen.as_json:
        draw_comparison(screen.out, table)


def _kept(comparison: Comparison) -> tuple[ComparedTable, dict[str, object]]:
    """The table and the document of what is recorded so far, which are written too."""
    from pointlora_cli.commands.compare_result import compared_table, comparison_document
    from pointlora_cli.console.compare_tables import comparison_markdown
    from pointlora_cli.console.screen import SCHEMA_VERSION
    from pointlora_cli.services.compare import keep_results, standings

    found = standings(comparison)
    table, document = compared_table(comparison, found), comparison_document(comparison, found)
    whole = {"schema_version": SCHEMA_VERSION, "command": "compare", **document}
    keep_results(comparison, comparison_markdown(table), json.dumps(whole, indent=2, allow_nan=False) + "\n")
    return table, document


def _rehearse(screen: Screen, comparison: Comparison) -> None:
    from pointlora_cli.commands.compare_result import rehearsal_document, rehearsal_table
    from pointlora_cli.services.compare import standings
    from pointlora_cli.services.grid import check_cells
    from pointlora_cli.services.inspect import inspect

    check_cells(comparison.cells)
    models = [inspect(one.spec) for one in comparison.contenders]
    found = standings(comparison)
    screen.result(
        "compare",
        rehearsal_document(comparison, found, models),
        lambda console: console.print(rehearsal_table(comparison, found, models)),
    )
