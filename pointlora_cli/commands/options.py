"""Options that several subcommands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pointlora_cli.specs.run import RunSpec


def _checked_device(name: str | None) -> str | None:
    if name is None or re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        return name
    raise typer.BadParameter(f"must be auto, cpu, cuda or cuda:N, got '{name}'")


Preset = Annotated[
    str | None, typer.Option("--preset", "-p", help="A shipped run spec; `pointlora presets` lists them.")
]
SpecFile = Annotated[
    Path | None, typer.Option("--spec", "-s", help="A run spec of your own (YAML or JSON), over the preset.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", "-d", help="Your folder of clouds: DIR/<class>/<file>, or with train/ and test/."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one option, e.g. --set train.epochs=50; repeatable."
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method", "-m", help="Another method than the preset's, in its own settings for these data."
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The folder for run directories.")]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Go on with a run directory that was stopped, bit for bit as if it had not been, on the same "
        "machine's CPU; with as many --devices.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Make every check and one real step; write nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of tables.")]
Device = Annotated[
    str | None, typer.Option("--device", callback=_checked_device, help="auto, cpu, cuda or cuda:N.")
]
Base = Annotated[
    Path | None,
    typer.Option("--base", help="The base checkpoint, where it is not at the path it was trained from."),
]
Runs = Annotated[Path, typer.Option("--runs", help="The folder of runs, where the newest is looked for.")]

Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=0,
        max=1024,
        help="Runs at once, each in a process of its own; the CPU's threads are divided among them, and GPUs "
        "are taken in turn. 0: the first alone, then as many as free memory holds with half as much again to "
        "spare, and at most one per core.",
    ),
]

DEFAULT_RUNS = Path("runs")
_FIRST = {"folder": "quickstart"}


def load_spec(
    preset: str | None,
    spec_file: Path | None,
    data: Path | None,
    overrides: list[str] | None,
    *,
    method: str | None = None,
    base: Path | None = None,
    device: str | None = None,
    output: Path | None = None,
    otherwise: str = "folder",
) -> RunSpec:
    """The run spec that these options ask for; `--data` alone means the preset `otherwise`.

    Raises:
        UsageError: none of preset, spec and data is given, or the spec is wrong.
    """
    import json

    from pointlora_cli.errors import UsageError
    from pointlora_cli.specs.loading import load_run_spec

    if base is not None:
        from pointlora_cli.services.pretrained_base import base_changes
    if preset is None and spec_file is None:
        if data is None:
            raise UsageError(
                "nothing says what to run: give --preset NAME, --spec FILE or --data DIR",
                remedy=f"Try --preset {_FIRST.get(otherwise, otherwise)}; `pointlora presets` lists the others.",
            )
        preset = otherwise
    changes = [*(base_changes(base) if base is not None else []), *(overrides or [])]
    # In quotes: a folder's name may look like a number.
    changes += [f"train.device={json.dumps(device, ensure_ascii=False)}"] if device else []
    changes += [f"output.dir={json.dumps(str(output), ensure_ascii=False)}"] if output else []
    return load_run_spec(preset=preset, spec_file=spec_file, data_root=data, method=method, overrides=changes)


def resumable_spec(
    run: Path | None,
    preset: str | None,
    file: Path | None,
    data: Path | None,
    *,
    output: Path | None,
    dry_run: bool,
) -> Path | None:
    """The spec file to read: where `--resume` goes on with `run` and nothing else names a spec, that of the run.

    Raises:
        UsageError: an option does not go with it.
        DataError: there is no such run.
    """
    from pointlora_cli.errors import UsageError
    from pointlora_cli.services.runs import RunDirectory

    if run is None:
        return file
    given = "--output" if output is not None else "--dry-run" if dry_run else None
    if given is not None:
        raise UsageError(
            f"{given} does not go with --resume: the run goes on where it is", remedy=f"Leave out {given}."
        )
    RunDirectory.find(run)
    return run / "spec.yaml" if file is None and preset is None and data is None else file


def refuse_pretraining(spec: RunSpec) -> None:
    """Raise where a spec is of a pre-training, which has a command of its own.

    Raises:
        UsageError: it is.
    """
    from pointlora_cli.errors import UsageError

    if spec.task == "pretraining":
        raise UsageError(
            f"{spec.name}: the task pretraining has a command of its own", remedy="Use pointlora pretrain."
        )
