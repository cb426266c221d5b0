"""`pointlora predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pointlora_cli.commands.options import DEFAULT_RUNS, AsJson, Base, Device, Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.predict import Classified, Unreadable
    from pointlora_cli.services.predict_parts import Labelled, Part
    from pointlora_cli.services.trained_model import TrainedModel

Prediction = TypeVar("Prediction", "Classified", "Labelled")

_NOTICES = 5  # shown of those on readable files: a folder may hold thousands
_ERRORS = 20  # shown of those on unreadable files
_TOP = 3
_PARTS = Path("parts")


def predict(
    clouds: Annotated[list[Path], typer.Argument(help="Point clouds, meshes, or folders of them.")],
    adapter: Annotated[
        Path | None,
        typer.Option("--adapter", "-a", help="A run directory or an adapter; without it, the newest run."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, help=f"Classification: how many classes to show for each cloud ({_TOP})."
        ),
    ] = None,
    selection: Annotated[
        Path | None,
        typer.Option(
            "--selection",
            help="Classification: a folder for one PLY per cloud, as the model sees it, coloured by what the token "
            "selection keeps.",
        ),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(
            "--category",
            "-c",
            help="Part segmentation: the category of the clouds; may be left out where the model knows one.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help=f"Part segmentation: the folder for one PLY per cloud ({_PARTS}/)."
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Part segmentation: ask the model at each point also of clouds of more than 65,536 points, where "
            "else those in one small cell get one label; slow on a CPU.",
        ),
    ] = False,
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
    """
    from pointlora_cli.console.screen import Screen

    screen = Screen(as_json=as_json)
    from pointlora_cli.services import predict as service
    from pointlora_cli.services.runs import find_adapter
    from pointlora_cli.services.trained_model import load_trained_model

    service.find_clouds(clouds)  # before the model is loaded, which takes a while
    folder = find_adapter(adapter, runs)
    if adapter is None:
        screen.note(f"using the newest run, {folder}")
    trained = load_trained_model(folder, base=base, device=device)
    if trained.record.task == "part-segmentation":
        _refuse(trained, {"--top": top is not None, "--selection": selection is not None})
        written = output or _PARTS
        paths = service.find_clouds(clouds, written)
        _label(screen, trained, paths, written, category, exact=exact)
        return
    _refuse(trained, {"--category": category is not None, "--output": output is not None, "--exact": exact})
    paths = service.find_clouds(clouds, selection)
    if selection is None:
        found = list(service.predict(trained, paths))
    else:
        found = _predict_and_show(trained, paths, selection)
        screen.note(f"what the selection keeps of each cloud is in {selection}")
    _classify(screen, trained, found, top or _TOP)


def _refuse(trained: TrainedModel, given: dict[str, bool]) -> None:
    """Raise for options that are of no use with this model."""
    from pointlora_cli.errors import UsageError

    useless = [name for name, is_given in given.items() if is_given]
    if useless:
        raise UsageError(
            f"the task of {trained.folder} is {trained.record.task}, for which there is no {' or '.join(useless)}",
            remedy=f"Leave out {' and '.join(useless)}, or give another model with --adapter.",
        )


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


def _classify(screen: Screen, trained: TrainedModel, found: list[Classified | Unreadable], top: int) -> None:
    good = _readable(screen, found)
    screen.result(
        "predict",
        _document(trained, [_class_row(trained.record.classes, prediction) for prediction in found]),
        lambda console: _draw_classes(console, trained.record.classes, good, top),
    )
    _end(screen, found)


def _label(
    screen: Screen,
    trained: TrainedModel,
    paths: Sequence[Path],
    folder: Path,
    category: str | None,
    *,
    exact: bool,
) -> None:
    from pointlora_cli.services.predict_parts import PartPredictor

    predictor = PartPredictor(trained, folder, category=category, each_point=exact)
    found = list(predictor.predict(paths))
    good = _readable(screen, found)
    screen.result(
        "predict",
        _document(trained, [_part_row(prediction) for prediction in found]),
        lambda console: _draw_parts(console, predictor.parts, good),
    )
    _end(screen, found)


def _readable(screen: Screen, found: Sequence[Prediction | Unreadable]) -> list[Prediction]:
    """Those that could be read; tells of the others, and of what was repaired.

    Raises:
        SeveralErrors: none could.
    """
    from pointlora_cli.errors import combined
    from pointlora_cli.services.predict import Unreadable

    broken = [prediction.error for prediction in found if isinstance(prediction, Unreadable)]
    good = [prediction for prediction in found if not isinstance(prediction, Unreadable)]
    if broken and not good:
        first = f"; the first {_ERRORS}" if len(broken) > _ERRORS else ""
        raise combined(list(broken[:_ERRORS]), f"none of {len(broken):,} files could be read{first}:")
    notices = [f"{prediction.path}: {notice}" for prediction in good for notice in prediction.notices]
    _tell(screen.note, notices, most=_NOTICES)
    _tell(screen.note, [f"left out: {error.message}" for error in broken], most=_ERRORS)
    return good


def _end(screen: Screen, found: Sequence[Classified | Labelled | Unreadable]) -> None:
    """Exit as the first error says, if there is any."""
    from pointlora_cli.services.predict import Unreadable

    broken = [prediction.error for prediction in found if isinstance(prediction, Unreadable)]
    if broken:
        screen.err.print(f"[bold red]error:[/] {len(broken):,} of {len(found):,} files could not be read")
        raise typer.Exit(int(broken[0].exit_code))


def _tell(note: Callable[[str], None], notices: Sequence[str], *, most: int) -> None:
    for notice in notices[:most]:
        note(notice)
    if len(notices) > most:
        note(f"{len(notices) - most:,} more of this kind; --json lists them all")


def _document(trained: TrainedModel, rows: list[dict[str, object]]) -> dict[str, object]:
    return {"adapter": str(trained.folder), "task": trained.record.task, "predictions": rows}


def _class_row(classes: Sequence[str], prediction: Classified | Unreadable) -> dict[str, object]:
    from pointlora_cli.services.predict import Unreadable

    if isinstance(prediction, Unreadable):
        return _error_row(prediction)
    best = int(prediction.probabilities.argmax())
    return {
        "path": str(prediction.path),
        "class": classes[best],
        "probability": float(prediction.probabilities[best]),
        "probabilities": dict(zip(classes, prediction.probabilities.tolist(), strict=True)),
        "points": prediction.points,
        "notices": list(prediction.notices),
    }


def _part_row(prediction: Labelled | Unreadable) -> dict[str, object]:
    from pointlora_cli.services.predict import Unreadable

    if isinstance(prediction, Unreadable):
        return _error_row(prediction)
    return {
        "path": str(prediction.path),
        "category": prediction.category,
        "parts": [
            {"name": part.name, "label": part.label, "color": part.hex_color, "points": count}
            for part, count in zip(prediction.parts, prediction.counts, strict=True)
        ],
        "points": prediction.points,
        "written": str(prediction.written),
        "notices": list(prediction.notices),
    }


def _error_row(prediction: Unreadable) -> dict[str, object]:
    error = prediction.error
    return {"path": str(prediction.path), "error": error.message, "remedy": error.remedy}


def _draw_classes(console: Console, classes: Sequence[str], good: Sequence[Classified], top: int) -> None:
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


def _draw_parts(console: Console, parts: Sequence[Part], good: Sequence[Labelled]) -> None:
    from pointlora_cli.console.tables import plain_table
    from pointlora_cli.console.wording import literal

    table = plain_table("file", "category", "points", "label: share", "written", right=("points",))
    for prediction in good:
        shares = [
            f"{part.label}: {count / prediction.points:.1%}"
            for part, count in zip(parts, prediction.counts, strict=True)
            if count
        ]
        table.add_row(
            literal(prediction.path),
            literal(prediction.category),
            f"{prediction.points:,}",
            ", ".join(shares),
            literal(prediction.written),
        )
    console.print(table)
    legend = plain_table("part", "label", "color", right=("label",))
    for part in parts:
        color = part.hex_color
        legend.add_row(literal(part.name), str(part.label), f"[{color}]██[/] {color}")
    console.print(legend)
