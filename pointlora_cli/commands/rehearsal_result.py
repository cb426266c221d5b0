"""What a dry run found, as a table or a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.rehearsal import Rehearsal


def show_rehearsal(screen: Screen, command: str, rehearsal: Rehearsal) -> None:
    """Show what a dry run of a command found."""
    screen.result(command, _document(rehearsal), lambda console: _draw(console, rehearsal))


def _document(rehearsal: Rehearsal) -> dict[str, object]:
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


def _draw(console: Console, rehearsal: Rehearsal) -> None:
    from pointlora_cli.console.tables import plain_table

    table = plain_table("dry run", "", title=f"{rehearsal.spec.name}: everything is in place")
    counts = rehearsal.parameters
    kind = "parts" if rehearsal.spec.task == "part-segmentation" else "classes"
    where = f" in {len(rehearsal.classes)} {kind}" if rehearsal.classes else ""
    table.add_row("training clouds", f"{rehearsal.train_clouds:,}{where}")
    table.add_row("evaluated clouds", f"{rehearsal.evaluated_clouds:,}")
    table.add_row("epochs", f"{rehearsal.spec.train.epochs} of {rehearsal.steps_per_epoch} steps")
    table.add_row(
        "trained parameters", f"{counts.trained:,} of {counts.total:,} ({counts.trained_percent:.2f} %)"
    )
    table.add_row(
        "one step", f"loss {rehearsal.loss:.4f} in {rehearsal.step_seconds:.2f} s on {rehearsal.device}"
    )
    console.print(table)
