"""`pointlora inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import AsJson, Data, Method, Overrides, Preset, SpecFile, load_spec

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.inspect import Inspection


def inspect(
    preset: Preset = None,
    method: Method = None,
    spec: SpecFile = None,
    data: Data = None,
    overrides: Overrides = None,
    run: Annotated[Path | None, typer.Option("--run", "-r", help="A run directory or an adapter.")] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            "--classes", min=2, help="Number of classes, or of parts, where the data are not at hand."
        ),
    ] = None,
    categories: Annotated[
        int | None,
        typer.Option(
            "--categories", min=1, help="With --classes, in part segmentation: categories of clouds."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every parameter, not the parts.")] = False,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="List which methods run on which backbones, for which task.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a model's parts and how many parameters train. Needs neither weights nor data.

    \b
    Examples:
      pointlora inspect --preset scanobjectnn
      pointlora inspect --preset scanobjectnn --method full --json
      pointlora inspect --matrix
    """
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.errors import UsageError

    screen = Screen(as_json=as_json)
    if matrix:
        if any((preset, method, spec, data, overrides, run, classes, categories, every)):
            raise UsageError("--matrix shows every method and backbone: give it alone, or with --json")
        _show_matrix(screen)
        return
    from pointlora_cli.services import inspect as service

    if categories is not None and classes is None:
        raise UsageError("--categories says how many with --classes: give both")
    if run is not None:
        if any((preset, method, spec, data, overrides, classes)):
            raise UsageError("--run says what to inspect: give it alone, or with --all")
        inspection = service.inspect_run(run)
    else:
        run_spec = load_spec(preset, spec, data, overrides, method=method)
        inspection = service.inspect(run_spec, classes, categories)
    screen.result("inspect", _document(inspection), lambda console: _draw(console, inspection, every=every))


def _show_matrix(screen: Screen) -> None:
    from pointlora_cli.console.matrix_tables import matrix_document, matrix_tables
    from pointlora_cli.services.inspect import inspect_matrix

    cells = inspect_matrix()

    def draw(console: Console) -> None:
        for part in matrix_tables(cells):
            console.print(part)

    screen.result("inspect", {"matrix": matrix_document(cells)}, draw)


def _document(inspection: Inspection) -> dict[str, object]:
    from pointlora_cli.console.documents import parameters_document

    spec = inspection.spec
    return {
        "name": spec.name,
        "backbone": spec.backbone.name,
        "method": spec.method.name,
        "task": spec.task,
        "classes": inspection.outputs.classes,
        "categories": inspection.outputs.categories,
        "parameters": parameters_document(inspection.counts),
        "layers": [
            {"name": row.name, "shape": list(row.shape), "parameters": row.parameters, "trained": row.trained}
            for row in inspection.layers
        ],
    }


def _draw(console: Console, inspection: Inspection, *, every: bool) -> None:
    from pointlora_cli.console.tables import plain_table
    from pointlora_cli.console.wording import literal

    spec, counts = inspection.spec, inspection.counts
    right = ("parameters", "trained")
    outputs = inspection.outputs
    categories = "1 category" if outputs.categories == 1 else f"{outputs.categories} categories"
    kind = f"parts of {categories}" if outputs.categories else "classes"
    title = f"{literal(spec.name)}: {spec.backbone.name} with {spec.method.name}, {outputs.classes} {kind}"
    table = plain_table("part", *(["shape"] if every else []), *right, right=right, title=title)
    if every:
        for row in inspection.layers:
            shape = "×".join(str(size) for size in row.shape)
            table.add_row(
                row.name, shape, f"{row.parameters:,}", f"{row.parameters:,}" if row.trained else "–"
            )
    else:
        for name, (parameters, trained) in inspection.parts.items():
            table.add_row(name, f"{parameters:,}", f"{trained:,}" if trained else "–")
    table.add_section()
    table.add_row("total", *([""] if every else []), f"{counts.total:,}", f"{counts.trained:,}", style="bold")
    console.print(table)
    said = f"trained: {counts.trained_percent:.4f} % of all {counts.total:,} parameters"
    if counts.head <= counts.backbone:  # else the ratio to the backbone is one to the head
        said += f", {counts.trained_percent_of_backbone:.4f} % of the backbone's {counts.backbone:,}"
    console.print(said)
