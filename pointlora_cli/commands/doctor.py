"""`pointlora doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pointlora_cli.commands.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pointlora_cli.services.doctor import Check


def doctor(as_json: AsJson = False) -> None:
    """Show versions, devices, and what is missing.

    Exit 2 if something required is missing.

    Example: pointlora doctor
    """
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.errors import ExitCode
    from pointlora_cli.services.doctor import examine

    checks = examine()
    healthy = all(check.status == "ok" for check in checks if check.required)
    rows = [
        {
            "name": check.name,
            "status": check.status,
            "found": check.found,
            "required": check.required,
            "remedy": check.remedy,
        }
        for check in checks
    ]
    Screen(as_json=as_json).result(
        "doctor", {"healthy": healthy, "checks": rows}, lambda console: _draw(console, checks)
    )
    if not healthy:
        raise typer.Exit(int(ExitCode.USAGE))


def _draw(console: Console, checks: Sequence[Check]) -> None:
    from pointlora_cli.console.tables import plain_table
    from pointlora_cli.console.wording import literal

    marks = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "broken": "[red]broken[/]"}
    table = plain_table("", "status", "found", "what to do")
    for check in checks:
        table.add_row(check.name, marks[check.status], literal(check.found), literal(check.remedy or ""))
    console.print(table)
