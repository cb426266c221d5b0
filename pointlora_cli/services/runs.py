"""Run directories: made once, never overwritten, found again."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from pointlora_cli import __version__
from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.files import nearest_existing, write_text
from pointlora_cli.specs.loading import dump_run_spec
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import RECORD, WEIGHTS

ADAPTER = "adapter"
_TRIES = 100
_OTHER_FOLDER = "Choose another folder with --output DIR."


class RunDirectory:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def adapter(self) -> Path:
        """The folder of the adapter."""
        return self.path / ADAPTER

    @classmethod
    def create(cls, spec: RunSpec, environment: dict[str, Any]) -> RunDirectory:
        """Make a new directory <dir>/<name>-<time> with the spec and the environment in it.

        Raises:
            UsageError: the folder cannot be written.
        """
        parent = Path(spec.output.dir).expanduser()
        stem = f"{spec.name}-{datetime.now():%Y%m%d-%H%M%S}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            run = cls(_make_new(parent, stem))
            write_text(run.path / "spec.yaml", dump_run_spec(spec))
            write_text(run.path / "environment.json", json.dumps(environment, indent=2) + "\n")
        except OSError as error:
            raise UsageError(
                f"{error.filename or parent}: cannot be written: {(error.strerror or str(error)).lower()}",
                remedy=_OTHER_FOLDER,
            ) from error
        return run

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        self._append("metrics.jsonl", json.dumps(row))

    def log(self, line: str) -> None:
        """Add a line to log.txt."""
        self._append("log.txt", f"{datetime.now():%H:%M:%S} {line}")

    def _append(self, name: str, line: str) -> None:
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def check_output(folder: str) -> None:
    """Raise unless a run directory can be made in `folder`; nothing is made.

    Raises:
        UsageError: it, or the folder it would be made in, is not a folder or not writable.
    """
    path = nearest_existing(Path(folder).expanduser())
    if not path.is_dir():
        reason = "not a folder"
    elif not os.access(path, os.W_OK | os.X_OK):
        reason = "not writable"
    else:
        return
    raise UsageError(f"{folder}: runs cannot be written here: {path} is {reason}", remedy=_OTHER_FOLDER)


def find_adapter(where: Path | None, runs: Path) -> Path:
    """The folder of an adapter.

    Args:
        where: a run directory, an adapter folder, or an adapter file; None: the newest run in `runs`.
        runs: the folder of run directories.

    Raises:
        DataError: nothing of the kind is there.
    """
    if where is None:
        found = sorted(runs.glob(f"*/{ADAPTER}/{WEIGHTS}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise DataError(
                f"no run with an adapter in {runs}/",
                remedy="Train one with `pointlora finetune --preset quickstart`, or give --adapter PATH.",
            )
        return found[-1].parent
    if not where.exists():
        raise DataError(f"{where}: no such run or adapter")
    if where.name in {WEIGHTS, RECORD} and where.is_file():
        where = where.parent
    if (where / WEIGHTS).is_file():
        return where
    if (where / ADAPTER / WEIGHTS).is_file():
        return where / ADAPTER
    raise DataError(
        f"{where}: holds no adapter ({WEIGHTS})",
        remedy=f"Give a run directory, its adapter/ folder, or an {WEIGHTS} file.",
    )


def describe_environment(device: str, precision: str) -> dict[str, Any]:
    """Versions and machine, for environment.json."""
    import numpy as np
    import torch

    return {
        "pointlora": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "command": sys.argv[1:],
    }


def _make_new(parent: Path, stem: str) -> Path:
    for attempt in range(1, _TRIES + 1):
        path = parent / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise UsageError(f"{parent}: {_TRIES} runs named {stem} exist already")
