"""The two streams: the result on stdout, all else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from pointlora_cli.console.wording import literal
from pointlora_cli.errors import PointLoRAError

SCHEMA_VERSION = 1
_PLAIN_WIDTH = 160  # off a terminal nothing wraps at 80 columns


class Screen:
    """Shows results, notices and errors, as text or as one JSON document.

    Escape codes are written only to a terminal, and none where NO_COLOR is set: no live bar there either.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)

    def result(self, command: str, document: dict[str, Any], draw: Callable[[Console], None]) -> None:
        """Show a command's result: `document` as JSON, or what `draw` draws."""
        if self.as_json:
            self._json({"schema_version": SCHEMA_VERSION, "command": command, **document})
        else:
            draw(self.out)

    def error(self, error: PointLoRAError) -> None:
        """Show an error: on stderr, or as the JSON document on stdout."""
        if self.as_json:
            content = {
                "kind": error.kind,
                "exit_code": int(error.exit_code),
                "message": error.message,
                "remedy": error.remedy,
                **error.details(),
            }
            self._json({"schema_version": SCHEMA_VERSION, "error": content})
            return
        self.err.print(f"[bold red]error:[/] {literal(error.message)}", soft_wrap=True)
        if error.remedy:
            self.err.print(f"[bold]hint:[/]  {literal(error.remedy)}", soft_wrap=True)

    def note(self, message: str) -> None:
        """Tell something on stderr."""
        self.err.print(f"[dim]note:[/] {literal(message)}", soft_wrap=True)

    def _json(self, document: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()


def _console(stream: Any) -> Console:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # a terminal without Unicode shows a question mark
    width = None if stream.isatty() else _PLAIN_WIDTH
    plain = False if os.environ.get("NO_COLOR") else None
    return Console(file=stream, width=width, highlight=False, force_terminal=plain)
