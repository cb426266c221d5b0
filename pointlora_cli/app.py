"""The Typer application, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer
from typer._click.exceptions import ClickException

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
