"""Running the command line in tests: in this process, or in one of its own where the process matters."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from pointlora_cli.app import run

SCALES = "method.scales=[{centers: 8, neighbors: 8, keep: 2}]"
TINY_SIZES = (
    "backbone.width=24",
    "backbone.depth=1",
    "backbone.heads=2",
    "backbone.encoder_widths=[8,16,32]",
    "backbone.position_width=8",
    "tokenizer.centers=8",
    "tokenizer.neighbors=8",
)
TINY_BACKBONE = ("backbone.init=random", *TINY_SIZES)
TINY_DATA = ("data.clouds_per_class=4", "data.test_clouds_per_class=2", "data.points=64", "data.occlusion=0")
TINY_TRAINING = ("train.epochs=1", "train.batch_size=16", "train.eval_every=1", "train.device=cpu")


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout; numbers that JSON does not have are refused."""

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is not JSON")

        return json.loads(self.out, parse_constant=refuse)


def sets(*changes: str) -> list[str]:
    """`--set` before each change."""
    return [part for change in changes for part in ("--set", change)]


def tiny(*changes: str, scales: bool = True) -> list[str]:
    """Options of a network and a data set that train an epoch in well under a second."""
    method = (SCALES,) if scales else ()
    return [
        "--preset",
        "quickstart",
        *sets(*TINY_DATA, *TINY_BACKBONE, *TINY_TRAINING, *method, *changes),
    ]


def call(*arguments: str | Path) -> Outcome:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


def environment(**changes: str) -> dict[str, str]:
    """The environment of a command's own process, without what would colour its output."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    }
    return kept | {"PYTHONIOENCODING": "utf-8"} | changes


def start(*arguments: str | Path, cwd: Path | None = None, **changes: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own, which heeds Ctrl-C even where this one does not."""
    return subprocess.Popen(
        [sys.executable, "-m", "pointlora_cli", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(**changes),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def launch(*arguments: str | Path, cwd: Path | None = None, **changes: str) -> Outcome:
    """Run a command in a process of its own."""
    process = start(*arguments, cwd=cwd, **changes)
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)


def python(code: str, *, cwd: Path | None = None, **changes: str) -> Outcome:
    """Run Python code in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(**changes),
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def only_run(folder: Path) -> Path:
    """The one run directory in `folder`."""
    (found,) = folder.iterdir()
    return found


def metrics_rows(run_directory: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (run_directory / "metrics.jsonl").read_text().splitlines()]
