"""Run directories: made once, never overwritten, found again."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from pointlora_cli import __version__
from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.files import nearest_existing, write_text, written_atomically
from pointlora_cli.models.base_weights import PRETRAINED
from pointlora_cli.specs.loading import dump_run_spec
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import RECORD, WEIGHTS

ADAPTER = "adapter"
_SPEC = "spec.yaml"
_ENVIRONMENT = "environment.json"
_METRICS = "metrics.jsonl"
_LOG = "log.txt"
_RESULT = "result.json"
_LOCK = ".lock"
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

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

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
            write_text(run.path / _ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
            write_text(run.path / _SPEC, dump_run_spec(spec))  # last: with it, the run can be gone on with
        except OSError as error:
            raise UsageError(
                f"{error.filename or parent}: cannot be written: {(error.strerror or str(error)).lower()}",
                remedy=_OTHER_FOLDER,
            ) from error
        return run

    @classmethod
    def find(cls, path: Path) -> RunDirectory:
        """The run directory that is at `path`.

        Raises:
            DataError: none is.
        """
        if not path.is_dir():
            raise DataError(f"{path}: no such run directory")
        if not (path / _SPEC).is_file():
            raise DataError(f"{path}: not a run directory (no {_SPEC})")
        return cls(path)

    @property
    def spec_file(self) -> Path:
        """The file of the spec."""
        return self.path / _SPEC

    def require_writable(self) -> None:
        """Raise unless files can be written here.

        Raises:
            UsageError: they cannot.
        """
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise UsageError(
                f"{self.path}: cannot be written",
                remedy="Make it writable, or copy it to where you may write.",
            )

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / _RESULT).is_file()

    @property
    def began_with(self) -> dict[str, Any]:
        """The versions and the machine that the run began with, as far as they can be read."""
        try:
            found = json.loads((self.path / _ENVIRONMENT).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from going on with the run meanwhile; where locks do nothing, none is kept.

        Raises:
            UsageError: another process is at it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"{self.path}: another process is at work on this run", remedy="Wait for it, or stop it."
            ) from error
        except (OSError, NotImplementedError):  # of which Timeout is one: the order counts
            lock.release()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if lock.is_locked:
                    (self.path / _LOCK).unlink(missing_ok=True)
                lock.release()

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl, and see that it reaches the disk."""
        self._append(_METRICS, json.dumps(row), to_disk=True)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        text = (self.path / _METRICS).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def rewind(self, epochs: int) -> None:
        """Bring metrics.jsonl back to where the first `epochs` epochs were done.

        Raises:
            DataError: not all of them are in it.
            OSError: it cannot be read or written.
        """
        path, lines = self.path / _METRICS, self._metrics_lines()
        whole = sum(1 for _ in takewhile(_is_of_its_epoch, enumerate(lines, start=1)))
        if whole < epochs:
            raise DataError(
                f"{path}: holds {whole} epochs, and the checkpoint was saved after {epochs}",
                remedy="Put the file back as the run left it.",
            )
        if len(lines) > epochs:
            with written_atomically(path) as file:
                file.write(b"".join(lines[:epochs]))

    def require_unbegun(self, command: str) -> None:
        """Raise where a run without a checkpoint once had one: it is not to be run over.

        Args:
            command: that starts such a run.

        Raises:
            DataError: more was done than what comes before a first checkpoint.
            OSError: metrics.jsonl cannot be read.
        """
        if self.adapter.exists() or (self.path / PRETRAINED).exists() or len(self._metrics_lines()) > 1:
            raise DataError(
                f"{self.path}: epochs were done, and there is no checkpoint to go on from",
                remedy=f"Start another run with its spec: pointlora {command} --spec {self.spec_file}",
            )

    def drop_half_written(self) -> None:
        """Remove what a killed process left half-written."""
        for folder in (self.path, self.adapter):
            for half in folder.glob(".*.part"):
                half.unlink(missing_ok=True)

    def _metrics_lines(self) -> list[bytes]:
        path = self.path / _METRICS
        return path.read_bytes().splitlines(keepends=True) if path.exists() else []

    def log(self, line: str) -> None:
        """Add a line to log.txt."""
        self._append(_LOG, f"{datetime.now():%H:%M:%S} {line}")

    def logged(self) -> set[str]:
        """What the lines of log.txt say."""
        try:
            text = (self.path / _LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return set()
        return {line.partition(" ")[2] for line in text.split("\n")}

    def drop_checkpoints(self) -> None:
        """Remove the checkpoints, as far as that can be done."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def finish(self, result: dict[str, Any]) -> None:
        """Write what the run came to; it is finished then.

        Raises:
            OSError: the folder cannot be written.
        """
        write_text(self.path / _RESULT, json.dumps(result, indent=2) + "\n")

    def _append(self, name: str, line: str, *, to_disk: bool = False) -> None:
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            if to_disk:
                file.flush()
                os.fsync(file.fileno())


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


def _is_of_its_epoch(numbered: tuple[int, bytes]) -> bool:
    """Whether a line of metrics.jsonl, numbered from 1, is whole."""
    number, line = numbered
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return line.endswith(b"\n") and isinstance(row, dict) and row.get("epoch") == number


def _make_new(parent: Path, stem: str) -> Path:
    for attempt in range(1, _TRIES + 1):
        path = parent / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise UsageError(f"{parent}: {_TRIES} runs named {stem} exist already")
