"""`pointlora predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import DEFAULT_RUNS, AsJson, Base, Device, Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.predict import Classified, Unreadable
    from pointlora_cli.services.trained_model import TrainedModel

_NOTICES = 5  # shown of those on readable files: a folder may hold thousands
_ERRORS = 20  # shown of those on unreadable files


def predict(
    clouds: Annotated[list[Path], typer.Argument(help="Point clouds, meshes, or folders of them.")],
    adapter: Annotated[
        Path | None,
        typer.Option("--adapter", "-a", help="A run directory or an adapter; without it, the newest run."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes to show for each cloud.")] = 3,
    selection: Annotated[
        Path | None,
        typer.Option(
            "--selection",
            help="A folder for one PLY per cloud: as the model sees it, coloured by what the token selection keeps.",
        ),
    ] = None,
    base: Base = None,
    runs: Runs = DEFAULT_RUNS,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Classify point clouds and meshes.

    A file that cannot be read is reported, and the rest go on (exit 3).

    \b
    Examples:
      pointlora predict cloud.ply
      pointlora predict scans/ --adapter runs/quickstart-20260101-120000 --json
      pointlora predict cloud.ply --selection views/
    """
    from pointlora_cli.console.screen import Screen

    screen = Screen(as_json=as_json)
    from pointlora_cli.services import predict as service
    from pointlora_cli.services.runs import find_adapter
    from pointlora_cli.services.trained_model import load_trained_model

    paths = service.find_clouds(clouds)
    folder = find_adapter(adapter, runs)
    if adapter is None:
        screen.note(f"using the newest run, {folder}")
    trained = load_trained_model(folder, base=base, device=device)
    if selection is None:
        found = list(service.predict(trained, paths))
    else:
        found = _predict_and_show(trained, paths, selection)
        screen.note(f"what the selection keeps of each cloud is in {selection}")
    _finish(screen, trained, found, top)


def _predict_and_show(
    trained: TrainedModel, paths: Sequence[Path], folder: Path
) -> list[Classified | Unreadable]:
    from pointlora_cli.services.predict import Classified, predict
    from pointlora_cli.services.selection import SelectionViews

    views = SelectionViews(trained, folder)
    found = []
    for prediction in predict(trained, paths):
        if isinstance(prediction, Classified):
            views.write(prediction.path)
        found.append(prediction)
    return found


def _finish(screen: Screen, trained: TrainedModel, found: list[Classified | Unreadable], top: int) -> None:
    from pointlora_cli.errors import combined
    from pointlora_cli.services.predict import Classified, Unreadable

    broken = [prediction.error for prediction in found if isinstance(prediction, Unreadable)]
    good = [prediction for prediction in found if isinstance(prediction, Classified)]
    if broken and not good:
        first = f"; the first {_ERRORS}" if len(broken) > _ERRORS else ""
        raise combined(list(broken[:_ERRORS]), f"none of {len(broken):,} files could be read{first}:")
    notices = [f"{prediction.path}: {notice}" for prediction in good for notice in prediction.notices]
    _tell(screen.note, notices, most=_NOTICES)
    _tell(screen.note, [f"left out: {error.message}" for error in broken], most=_ERRORS)
    screen.result(
        "predict",
        _document(trained, found),
        lambda console: _draw(console, trained.record.classes, good, top),
    )
    if broken:
        screen.err.print(f"[bold red]error:[/] {len(broken):,} of {len(found):,} files could not be read")
        raise typer.Exit(int(broken[0].exit_code))


def _tell(note: Callable[[str], None], notices: Sequence[str], *, most: int) -> None:
    for notice in notices[:most]:
        note(notice)
    if len(notices) > most:
        note(f"{len(notices) - most:,} more of this kind; --json lists them all")


def _document(trained: TrainedModel, found: Sequence[Classified | Unreadable]) -> dict[str, object]:
    from pointlora_cli.services.predict import Classified

    classes = trained.record.classes
    rows: list[dict[str, object]] = []
    for prediction in found:
        if isinstance(prediction, Classified):
            best = int(prediction.probabilities.argmax())
            probabilities = dict(zip(classes, prediction.probabilities.tolist(), strict=True))
            rows.append(
                {
                    "path": str(prediction.path),
                    "class": classes[best],
                    "probability": float(prediction.probabilities[best]),
                    "probabilities": probabilities,
                    "points": prediction.points,
                    "notices": list(prediction.notices),
                }
            )
        else:
            error = prediction.error
            rows.append({"path": str(prediction.path), "error": error.message, "remedy": error.remedy})
    return {"adapter": str(trained.folder), "predictions": rows}


def _draw(console: Console, classes: Sequence[str], good: Sequence[Classified], top: int) -> None:
    from pointlora_cli.console.tables import plain_table
    from pointlora_cli.console.wording import literal

    table = plain_table("file", "class", "probability", "then", right=("probability",))
    for prediction in good:
        order = prediction.probabilities.argsort()[::-1][:top]
        others = ", ".join(f"{literal(classes[i])} {prediction.probabilities[i]:.1%}" for i in order[1:])
        best = order[0]
        table.add_row(
            literal(prediction.path),
            f"[bold]{literal(classes[best])}[/]",
            f"{prediction.probabilities[best]:.1%}",
            others,
        )
    console.print(table)
