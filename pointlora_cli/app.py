"""The Typer application, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from pointlora_cli import __version__
from pointlora_cli.commands import doctor, evaluate, finetune, inspect, predict, presets, validate
from pointlora_cli.errors import ExitCode, InterruptedRunError, PointLoRAError, Terminated, UsageError

app = typer.Typer(
    name="pointlora",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

COMMANDS: dict[str, Callable[..., None]] = {
    "finetune": finetune.finetune,
    "evaluate": evaluate.evaluate,
    "predict": predict.predict,
    "inspect": inspect.inspect,
    "validate": validate.validate,
    "doctor": doctor.doctor,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(presets.app, name="presets")

# Every error of the option parser derives from the base of BadParameter.
_ParserError: type[Exception] = typer.BadParameter.__mro__[1]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pointlora {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fine-tune pre-trained 3D point-cloud transformers with a few per cent of their weights.

    Start with: pointlora finetune --preset quickstart, then pointlora predict cloud.ply
    """


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit code."""
    try:
        with _termination_raises():
            code = app(list(arguments), prog_name="pointlora", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except BrokenPipeError:
        # The reader went away, as in `pointlora … | head`; give the interpreter nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except PointLoRAError as error:
        return _report(error, arguments)
    except _ParserError as error:
        return _report(_usage_error(error), arguments)
    except (typer.Abort, KeyboardInterrupt) as stop:
        cause = stop.__cause__ or stop
        return _report(InterruptedRunError("interrupted", terminated=isinstance(cause, Terminated)), arguments)
    except Exception as error:
        return _report(_bug(error), arguments)


def _report(error: PointLoRAError, arguments: Sequence[str]) -> int:
    from pointlora_cli.console.screen import Screen

    Screen(as_json="--json" in arguments).error(error)
    if os.environ.get("POINTLORA_DEBUG"):
        traceback.print_exception(error)
    return int(error.exit_code)


def _usage_error(error: Exception) -> UsageError:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    where = getattr(context, "command_path", None) or "pointlora"
    return UsageError(message, remedy=f"See {where} --help.")


def _bug(error: Exception) -> PointLoRAError:
    place = traceback.extract_tb(error.__traceback__)[-1]
    bug = PointLoRAError(
        f"a bug in pointlora {__version__}: {type(error).__name__}: {error} "
        f"(in {place.name}, {os.path.basename(place.filename)}:{place.lineno})",  # noqa: PTH119
        remedy="Run again with POINTLORA_DEBUG=1 for the traceback, and please report it.",
    )
    bug.__cause__ = error
    return bug


@contextmanager
def _termination_raises() -> Iterator[None]:
    """Let SIGTERM unwind the program as Ctrl-C does, so that a run can say what it kept."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    former = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
