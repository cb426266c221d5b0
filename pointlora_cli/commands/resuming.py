"""What a command that goes on where it stopped says when it is stopped."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from pointlora_cli.errors import InterruptedRunError


def stopped(
    stop: InterruptedRunError | KeyboardInterrupt, standing: str, context: typer.Context
) -> InterruptedRunError:
    """The interruption, with what stands and how to go on."""
    from pointlora_cli.errors import ExitCode, InterruptedRunError, Terminated

    if isinstance(stop, InterruptedRunError):
        what, terminated = stop.message, stop.exit_code == ExitCode.TERMINATED
    else:
        terminated = isinstance(stop, Terminated)
        what = "terminated" if terminated else "interrupted"
    again = f"Go on with: {_same_command(context)}"
    return InterruptedRunError(f"{what}; {standing}", again, terminated=terminated)


def _same_command(context: typer.Context) -> str:
    """What was asked for, as one would type it."""
    words = ["pointlora", context.info_name or ""]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if value is None or value == option.default:
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            words += [option.opts[0]] if one is True else [option.opts[0], str(one)]
    return shlex.join(words)
