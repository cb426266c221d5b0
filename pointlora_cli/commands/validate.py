"""`pointlora validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import AsJson, Data, Method, Overrides, Preset, SpecFile, load_spec

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.specs.run import RunSpec


def validate(
    preset: Preset = None,
    method: Method = None,
    spec: SpecFile = None,
    data: Data = None,
    overrides: Overrides = None,
    show: Annotated[bool, typer.Option("--show", help="Print the spec with every option resolved.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a run spec, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a run spec, its data and its weights.

    \b
    Examples:
      pointlora validate --preset quickstart
      pointlora validate --spec run.yaml --show
    """
    import json

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.specs.loading import run_spec_schema

    screen = Screen(as_json=as_json)
    if schema:
        found = run_spec_schema()
        screen.result("validate", {"schema": found}, lambda console: typer.echo(json.dumps(found, indent=2)))
        return
    run_spec = load_spec(preset, spec, data, overrides, method=method)
    from pointlora_cli.errors import combined
    from pointlora_cli.services.validate import validate as check

    problems = check(run_spec).problems
    if problems:
        raise combined(
            problems,
            f"the spec is valid, but the run cannot start; {len(problems)} things are missing or wrong:",
        )
    document = {"valid": True, "spec": run_spec.model_dump(mode="json")}
    screen.result("validate", document, lambda console: _draw(console, run_spec, show=show))


def _draw(console: Console, spec: RunSpec, *, show: bool) -> None:
    from pointlora_cli.specs.loading import dump_run_spec

    if show:
        console.print(dump_run_spec(spec), markup=False, end="", soft_wrap=True)
    else:
        console.print(f"{spec.name}: valid; data, weights and device are in place", markup=False)
