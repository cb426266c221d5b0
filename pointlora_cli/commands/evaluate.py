"""`pointlora evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import DEFAULT_RUNS, AsJson, Base, Device, Runs

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.services.evaluate import EvaluationResult


def evaluate(
    run: Annotated[
        Path | None, typer.Argument(help="A run directory or an adapter; without it, the newest run.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            help="Evaluate on this folder instead: its test/, or all of it. To evaluate parts, its points need labels.",
        ),
    ] = None,
    base: Base = None,
    runs: Runs = DEFAULT_RUNS,
    votes: Annotated[
        int | None,
        typer.Option("--vote", min=2, max=1000, help="Average the logits of so many changed passes."),
    ] = None,
    vote_seed: Annotated[
        int | None, typer.Option("--vote-seed", min=0, help="Seed of what the passes draw; 0 unless given.")
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained model, by class, or by category of parts.

    \b
    Examples:
      pointlora evaluate
      pointlora evaluate runs/quickstart-20260101-120000 --json
      pointlora evaluate --vote 10
    """
    from pointlora_cli.console.data_progress import DataBar
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.errors import UsageError

    if vote_seed is not None and votes is None:
        raise UsageError("--vote-seed is of no use without --vote N")
    screen = Screen(as_json=as_json)
    from pointlora_cli.datasets.progress import DataProgress
    from pointlora_cli.services import evaluate as service
    from pointlora_cli.services.runs import find_adapter
    from pointlora_cli.training.events import Event, Notice
    from pointlora_cli.training.voting import Voting

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            screen.note(event.message)
        elif isinstance(event, DataProgress):
            bar.show(event)

    folder = find_adapter(run, runs)
    if run is None:
        screen.note(f"evaluating the newest run, {folder}")
    voting = Voting(votes, vote_seed or 0) if votes else None
    with DataBar(screen) as bar:
        result = service.evaluate(folder, listen, data=data, base=base, device=device, voting=voting)
    screen.result("evaluate", _document(result), lambda console: _draw(console, result))


def _document(result: EvaluationResult) -> dict[str, object]:
    from pointlora_cli.console.documents import metrics_document

    return {
        "adapter": str(result.adapter),
        "task": result.record.task,
        "data": result.data,
        "method": result.record.method.name,
        "merged": result.record.merged is not None,
        "selection": result.record.spec.train.selection,
        "kept_epoch": result.record.result.get("epoch"),
        "device": result.device,
        "votes": result.voting.votes if result.voting else None,
        "vote_seed": result.voting.seed if result.voting else None,
        **metrics_document(result.record.classes, result.record.categories, result.metrics),
    }


def _draw(console: Console, result: EvaluationResult) -> None:
    from pointlora_cli.console.metrics_tables import metrics_tables, score_rows
    from pointlora_cli.console.tables import SELECTION_WORDS, plain_table
    from pointlora_cli.console.wording import literal

    record, voting = result.record, result.voting
    for part in metrics_tables(record.classes, record.categories, result.metrics, console):
        console.print(part)
    score, *others = score_rows(result.metrics)
    table = plain_table("result", "")
    table.add_row("adapter", literal(result.adapter))
    table.add_row("clouds", literal(result.data))
    table.add_row(*score)
    if voting:
        table.add_row("passes", f"{voting.votes} votes, logits averaged, seed {voting.seed}")
    for row in others:
        table.add_row(*row)
    table.add_row("method", f"{record.method.name}{', merged' if record.merged else ''}")
    table.add_row(
        "epoch kept", f"{record.result.get('epoch', '?')}: {SELECTION_WORDS[record.spec.train.selection]}"
    )
    console.print(table)
