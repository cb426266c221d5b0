"""The Typer application, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from pointlora_cli import __version__
from pointlora_cli.commands import (
    bench,
    compare,
    doctor,
    download,
    evaluate,
    fewshot,
    finetune,
    inspect,
    merge,
    predict,
    presets,
    pretrain,
    validate,
)
from pointlora_cli.errors import (
    DataError,
    ExitCode,
    InterruptedRunError,
    PointLoRAError,
    ToldError,
    UsageError,
)
from pointlora_cli.signals import stopped_by_signals

app = typer.Typer(
    name="pointlora",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

COMMANDS: dict[str, Callable[..., None]] = {
    "download": download.download,
    "pretrain": pretrain.pretrain,
    "finetune": finetune.finetune,
    "fewshot": fewshot.fewshot,
    "compare": compare.compare,
    "evaluate": evaluate.evaluate,
    "predict": predict.predict,
    "inspect": inspect.inspect,
    "merge": merge.merge,
    "validate": validate.validate,
    "bench": bench.bench,
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


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Fine-tune pre-trained 3D point-cloud transformers with a few per cent of their weights.

    Start with: pointlora finetune --preset quickstart, then pointlora predict cloud.ply
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(int(ExitCode.USAGE))


def run(arguments: Sequence[str]) -> int:  # noqa: PLR0911 - one return for each way to end
    """Run the command line; return its exit code."""
    with stopped_by_signals() as received:
        try:
            code = app(list(arguments), prog_name="pointlora", standalone_mode=False, obj=tuple(arguments))
            sys.stdout.flush()
        except ToldError as error:
            return int(error.exit_code)
        except PointLoRAError as error:
            return _report(error, arguments)
        except _ParserError as error:
            return _report(_usage_error(error), arguments)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
                return _without_reader()
            if received or isinstance(error, typer.Abort):  # libraries turn an interruption into anything
                return _report(_interruption(received), arguments)
            if isinstance(error, OSError) and error.filename is not None:
                reason = (error.strerror or str(error)).lower()
                return _report(DataError(f"{error.filename}: {reason}"), arguments)
            return _report(_bug(error), arguments)
        if received and code:  # the parser turns an interruption into an exit code
            return _report(_interruption(received), arguments)
        return int(code or 0)


def _without_reader() -> int:
    """The reader went away, as in `pointlora … | head`: give the interpreter nothing to flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return ExitCode.DONE


def _report(error: PointLoRAError, arguments: Sequence[str]) -> int:
    from pointlora_cli.console.screen import Screen

    Screen(as_json="--json" in arguments).error(error)
    if os.environ.get("POINTLORA_DEBUG"):
        traceback.print_exception(error)
    return int(error.exit_code)


def _interruption(received: Sequence[int]) -> InterruptedRunError:
    terminated = signal.SIGTERM in received
    return InterruptedRunError("terminated" if terminated else "interrupted", terminated=terminated)


def _usage_error(error: Exception) -> UsageError:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    where = getattr(context, "command_path", None) or "pointlora"
    return UsageError(message, remedy=f"See {where} --help.")


def _bug(error: BaseException) -> PointLoRAError:
    place = traceback.extract_tb(error.__traceback__)[-1]
    bug = PointLoRAError(
        f"a bug in pointlora {__version__}: {type(error).__name__}: {error} "
        f"(in {place.name}, {os.path.basename(place.filename)}:{place.lineno})",  # noqa: PTH119
        remedy="Run again with POINTLORA_DEBUG=1 for the traceback, and please report it.",
    )
    bug.__cause__ = error
    return bug
