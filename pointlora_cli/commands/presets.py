"""`pointlora presets`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pointlora_cli.specs.presets import Preset

app = typer.Typer(rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="A preset's name or alias.")]


@app.callback(invoke_without_command=True)
def _presets(context: typer.Context, as_json: AsJson = False) -> None:
    """List, show and copy the run specs that ship with pointlora.

    Example: pointlora presets
    """
    context.obj = as_json  # `presets --json list` and `presets list --json` are the same
    if context.invoked_subcommand is None:
        list_(context, as_json=as_json)


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the presets.

    Example: pointlora presets list
    """
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.specs.presets import list_presets

    found = list_presets()
    rows = [
        {"name": preset.name, "aliases": list(preset.aliases), "description": preset.description}
        for preset in found
    ]
    Screen(as_json=as_json or context.obj).result(
        "presets list", {"presets": rows}, lambda console: _draw(console, found)
    )


@app.command("show")
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Print a preset's file.

    Example: pointlora presets show quickstart
    """
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.specs.presets import find_preset, preset_text

    text = preset_text(name)
    document = {"name": find_preset(name).name, "text": text}
    Screen(as_json=as_json or context.obj).result(
        "presets show", document, lambda console: console.print(text, markup=False, end="", soft_wrap=True)
    )


@app.command("copy")
def copy(
    context: typer.Context,
    name: Name,
    destination: Annotated[Path, typer.Argument(help="The new file; an existing one is never overwritten.")],
    as_json: AsJson = False,
) -> None:
    """Copy a preset, to change it and run it with --spec.

    Example: pointlora presets copy quickstart my.yaml
    """
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.specs.presets import copy_preset

    path = copy_preset(name, destination)
    Screen(as_json=as_json or context.obj).result(
        "presets copy",
        {"path": str(path)},
        lambda console: console.print(f"{path}", markup=False, soft_wrap=True),
    )


def _draw(console: Console, found: Sequence[Preset]) -> None:
    from pointlora_cli.console.tables import plain_table

    table = plain_table("preset", "also", "what it is")
    for preset in found:
        table.add_row(preset.name, ", ".join(preset.aliases), preset.description)
    console.print(table)
