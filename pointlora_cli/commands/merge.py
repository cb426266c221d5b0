"""`pointlora merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import AsJson, Base

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.services.merge import MergeResult


def merge(
    adapter: Annotated[Path, typer.Argument(help="A run directory or an adapter; it is not touched.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new folder; without it, merged/ beside the adapter."),
    ] = None,
    base: Base = None,
    as_json: AsJson = False,
) -> None:
    """Fold low-rank terms into the backbone. The model is equal, smaller and faster, and needs no base.

    \b
    Examples:
      pointlora merge runs/quickstart-20260101-120000
      pointlora merge runs/quickstart-20260101-120000 --output chairs/ --json
    """
    from pointlora_cli.console.screen import Screen

    screen = Screen(as_json=as_json)
    from pointlora_cli.services import merge as service
    from pointlora_cli.services.runs import find_adapter

    result = service.merge(find_adapter(adapter, adapter), output=output, base=base)
    screen.result("merge", _document(result), lambda console: _draw(console, result))


def _document(result: MergeResult) -> dict[str, object]:
    merged = result.record.merged
    assert merged is not None  # it was made by a merge
    return {
        "adapter": str(result.adapter),
        "merged": str(result.merged),
        "method": merged.method.name,
        "folded": merged.folded,
        "kept": list(merged.kept),
        "parameters_before": result.before.total,
        "parameters": result.after.total,
        "bytes": result.record.weights.bytes,
        "sha256": result.record.weights.sha256,
        "largest_difference": result.difference,
    }


def _draw(console: Console, result: MergeResult) -> None:
    from pointlora_cli.console.tables import plain_table
    from pointlora_cli.console.wording import file_size, literal

    merged = result.record.merged
    assert merged is not None  # it was made by a merge
    table = plain_table("result", "")
    table.add_row("merged model", literal(result.merged))
    table.add_row("folded", literal(merged.folded))
    table.add_row("not folded", literal("\n".join(merged.kept)) or "nothing: all of the method was linear")
    table.add_row("parameters", f"{result.after.total:,}, before {result.before.total:,}")
    table.add_row("file", f"{file_size(result.record.weights.bytes)}, all weights included; needs no base")
    table.add_row("logits", f"equal; the largest difference on random clouds is {result.difference:.1e}")
    console.print(table)
