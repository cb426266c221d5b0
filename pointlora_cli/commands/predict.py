"""`pointlora predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import DEFAULT_RUNS, AsJson, Base, Device, Runs

if TYPE_CHECKING:
    from pointlora_cli.services.trained_model import TrainedModel

_TOP = 3
_PARTS = Path("parts")

_Clouds = Annotated[
    list[Path] | None,
    typer.Argument(help="Point clouds, meshes, folders of them, or patterns in quotes ('**/*.ply')."),
]
_Listing = Annotated[
    Path | None,
    typer.Option("--list", "-l", help="A file with one such path in each line; - is standard input."),
]
_Adapter = Annotated[
    Path | None,
    typer.Option("--adapter", "-a", help="A run directory or an adapter; without it, the newest run."),
]
_Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        help="Record each prediction in this file (JSON Lines) instead of showing it; the same command goes on "
        "after an interruption, and with new files. FILE.parquet is made at the end of the rows in FILE.jsonl, "
        "and needs pyarrow.",
    ),
]
_Retry = Annotated[
    bool,
    typer.Option("--retry", help="With --save: ask again for the files in it that could not be read."),
]
_Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-w",
        min=1,
        max=1024,
        help="Processes that predict (on a GPU: that read); 1: this one alone. Without it, one for each core as "
        "soon as they save time, and as far as memory allows.",
    ),
]
_Top = Annotated[
    int | None,
    typer.Option("--top", min=1, help=f"Classification: how many classes to show for each cloud ({_TOP})."),
]
_Selection = Annotated[
    Path | None,
    typer.Option(
        "--selection",
        help="Classification: a folder for one PLY per cloud, as the model sees it, coloured by what the token "
        "selection keeps.",
    ),
]
_Category = Annotated[
    str | None,
    typer.Option(
        "--category",
        "-c",
        help="Part segmentation: the category of the clouds; may be left out where the model knows one.",
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help=f"Part segmentation: the folder for one PLY per cloud ({_PARTS}/)."),
]
_Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Part segmentation: ask the model at each point also of clouds of more than 65,536 points, where "
        "else those in one small cell get one label; slow on a CPU.",
    ),
]


def predict(
    clouds: _Clouds = None,
    listing: _Listing = None,
    adapter: _Adapter = None,
    save: _Save = None,
    retry: _Retry = False,
    workers: _Workers = None,
    top: _Top = None,
    selection: _Selection = None,
    category: _Category = None,
    output: _Output = None,
    exact: _Exact = False,
    base: Base = None,
    runs: Runs = DEFAULT_RUNS,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Classify clouds and meshes, or label their points by part.

    A model of part segmentation writes a coloured PLY of each cloud with the part of each point as its
    property `label`; of a mesh, 16,384 points of its surface. No file is replaced, and of a folder that is
    given, the results in it are left out.

    A file that cannot be read is reported, and the rest go on (exit 3).

    \b
    Examples:
      pointlora predict cloud.ply
      pointlora predict scans/ --adapter runs/quickstart-20260101-120000 --json
      pointlora predict cloud.ply --selection views/
      pointlora predict chair.ply --category Chair --output parts/
      pointlora predict archive/ 'more/**/*.laz' --save results.jsonl
      find . -name '*.ply' | pointlora predict --list - --save results.parquet
    """
    from pointlora_cli.console.screen import Screen

    named = _named(clouds, listing)
    _refuse_together({"--save": save is not None, "--selection": selection is not None})
    _refuse_together({"--save": save is not None, "--top": top is not None})
    _require_file(save, retry=retry)
    screen = Screen(as_json=as_json)
    from pointlora_cli.commands.predict_job import PredictJob
    from pointlora_cli.services.predict_inputs import find_clouds
    from pointlora_cli.services.predict_parquet import ParquetTable, is_parquet
    from pointlora_cli.services.runs import find_adapter
    from pointlora_cli.services.trained_model import load_trained_model

    table = ParquetTable(save) if save is not None and is_parquet(save) else None
    paths = find_clouds(named)
    folder = find_adapter(adapter, runs)
    if adapter is None:
        screen.note(f"using the newest run, {folder}")
    trained = load_trained_model(folder, base=base, device=device)
    record = save if table is None else table.journal
    job = PredictJob(
        screen, trained, named, paths, save=record, table=table, retry=retry, base=base, workers=workers
    )
    if trained.record.task == "part-segmentation":
        _refuse(trained, {"--top": top is not None, "--selection": selection is not None})
        job.label(output or _PARTS, category, each_point=exact)
    else:
        _refuse(
            trained, {"--category": category is not None, "--output": output is not None, "--exact": exact}
        )
        job.classify(top or _TOP, selection)


def _named(clouds: list[Path] | None, listing: Path | None) -> list[Path]:
    """What the arguments and the list name."""
    from pointlora_cli.errors import UsageError

    if not clouds and listing is None:
        raise UsageError(
            "nothing to predict: name clouds, folders of them, or a list with --list FILE",
            remedy="See pointlora predict --help.",
        )
    from pointlora_cli.services.predict_inputs import read_list

    return [*(clouds or []), *(read_list(listing) if listing is not None else [])]


def _refuse_together(given: dict[str, bool]) -> None:
    """Raise if all of these options are given."""
    from pointlora_cli.errors import UsageError

    if all(given.values()):
        first, second = given
        raise UsageError(f"{first} and {second} do not go together", remedy=f"Leave out {second}.")


def _require_file(save: Path | None, *, retry: bool) -> None:
    """Raise where there is no file to record in."""
    from pointlora_cli.errors import UsageError

    if save == Path("-"):
        raise UsageError("--save needs the name of a file", remedy="On standard output, --json gives all.")
    if retry and save is None:
        raise UsageError(
            "--retry is of use with --save alone", remedy="Leave out --retry, or give --save FILE."
        )


def _refuse(trained: TrainedModel, given: dict[str, bool]) -> None:
    """Raise for options that are of no use with this model."""
    from pointlora_cli.errors import UsageError

    useless = [name for name, is_given in given.items() if is_given]
    if useless:
        raise UsageError(
            f"the task of {trained.folder} is {trained.record.task}, for which there is no {' or '.join(useless)}",
            remedy=f"Leave out {' and '.join(useless)}, or give another model with --adapter.",
        )
