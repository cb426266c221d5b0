"""What `pointlora predict` shows: tables of classes and of parts, and the same as a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console

from pointlora_cli.console.screen import Screen
from pointlora_cli.console.tables import plain_table
from pointlora_cli.console.wording import literal
from pointlora_cli.errors import ExitCode, combined
from pointlora_cli.services.predict import Classified
from pointlora_cli.services.predict_parts import Labelled, Part
from pointlora_cli.services.predict_rows import prediction_row
from pointlora_cli.services.predict_saved import Tally
from pointlora_cli.services.predictor import Unreadable
from pointlora_cli.services.trained_model import TrainedModel

MOST_ERRORS = 20
"""Shown of those on unreadable files: a folder may hold thousands."""

_NOTICES = 5  # shown of those on readable files
_ROWS = 50  # of a table on a terminal; elsewhere somebody wants them all
_FIRST = 20  # shown of a longer one

Prediction = TypeVar("Prediction", Classified, Labelled)


def show_classes(
    screen: Screen, trained: TrainedModel, found: Sequence[Classified | Unreadable], top: int
) -> None:
    """Show the classes of clouds; exit as the first error says, if there is any.

    Raises:
        SeveralErrors: none could be read.
    """
    good = _readable(screen, found)
    _show(screen, trained, found, lambda console: _draw_classes(console, trained.record.classes, good, top))


def show_parts(
    screen: Screen, trained: TrainedModel, found: Sequence[Labelled | Unreadable], parts: Sequence[Part]
) -> None:
    """Show the parts of clouds; exit as the first error says, if there is any.

    Raises:
        SeveralErrors: none could be read.
    """
    good = _readable(screen, found)
    _show(screen, trained, found, lambda console: _draw_parts(console, parts, good))


def show_tally(screen: Screen, trained: TrainedModel, saved: Path, tally: Tally) -> None:
    """Show what is saved; exit with 3 where a file could not be read."""
    screen.result(
        "predict",
        {
            "adapter": str(trained.folder),
            "task": trained.record.task,
            "saved": str(saved),
            "files": tally.files,
            "predicted": tally.predicted,
            "unreadable": tally.unreadable,
            "earlier": tally.earlier,
            "answers": tally.answers,
        },
        lambda console: _draw_tally(console, trained.record.task, saved, tally),
    )
    if tally.unreadable:
        _tell_count(screen, tally.unreadable, tally.files)
        raise typer.Exit(int(ExitCode.DATA))


def _show(
    screen: Screen,
    trained: TrainedModel,
    found: Sequence[Classified | Labelled | Unreadable],
    draw: Callable[[Console], None],
) -> None:
    rows = [prediction_row(trained.record.classes, prediction) for prediction in found]
    document = {"adapter": str(trained.folder), "task": trained.record.task, "predictions": rows}
    screen.result("predict", document, draw)
    broken = [prediction.error for prediction in found if isinstance(prediction, Unreadable)]
    if broken:
        _tell_count(screen, len(broken), len(found))
        raise typer.Exit(int(broken[0].exit_code))


def _tell_count(screen: Screen, unreadable: int, files: int) -> None:
    screen.err.print(f"[bold red]error:[/] {unreadable:,} of {files:,} files could not be read")


def _readable(screen: Screen, found: Sequence[Prediction | Unreadable]) -> list[Prediction]:
    """Those that could be read; tells of the others, and of what was repaired."""
    broken = [prediction.error for prediction in found if isinstance(prediction, Unreadable)]
    good = [prediction for prediction in found if not isinstance(prediction, Unreadable)]
    if broken and not good:
        first = f"; the first {MOST_ERRORS}" if len(broken) > MOST_ERRORS else ""
        raise combined(list(broken[:MOST_ERRORS]), f"none of {len(broken):,} files could be read{first}:")
    notices = [f"{prediction.path}: {notice}" for prediction in good for notice in prediction.notices]
    _tell(screen.note, notices, most=_NOTICES)
    _tell(screen.note, [f"left out: {error.message}" for error in broken], most=MOST_ERRORS)
    return good


def _tell(note: Callable[[str], None], notices: Sequence[str], *, most: int) -> None:
    for notice in notices[:most]:
        note(notice)
    if len(notices) > most:
        note(f"{len(notices) - most:,} more of this kind; --json lists them all")


def _draw_classes(console: Console, classes: Sequence[str], good: Sequence[Classified], top: int) -> None:
    table = plain_table("file", "class", "probability", "then", right=("probability",))
    for prediction in _first(console, good):
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
    if _tell_rest(console, good):
        counts = Counter(classes[int(prediction.probabilities.argmax())] for prediction in good)
        _draw_counts(console, "class", dict(counts.most_common()))


def _draw_parts(console: Console, parts: Sequence[Part], good: Sequence[Labelled]) -> None:
    table = plain_table("file", "category", "points", "label: share", "written", right=("points",))
    for prediction in _first(console, good):
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
    _tell_rest(console, good)
    legend = plain_table("part", "label", "color", right=("label",))
    for part in parts:
        color = part.hex_color
        legend.add_row(literal(part.name), str(part.label), f"[{color}]██[/] {color}")
    console.print(legend)


def _first(console: Console, good: Sequence[Prediction]) -> Sequence[Prediction]:
    """Those that are shown: on a terminal, thousands of lines would hide everything else."""
    return good if len(good) <= _ROWS or not console.file.isatty() else good[:_FIRST]


def _tell_rest(console: Console, good: Sequence[Prediction]) -> bool:
    """Say how many are not shown; whether there are any."""
    hidden = len(good) - len(_first(console, good))
    if hidden:
        console.print(f"{hidden:,} more; --json shows all, and --save FILE records them")
    return hidden > 0


def _draw_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    table = plain_table(title, "files", right=("files",))
    for answer, count in counts.items():
        table.add_row(literal(answer), f"{count:,}")
    console.print(table)


def _draw_tally(console: Console, task: str, saved: Path, tally: Tally) -> None:
    if tally.answers:
        _draw_counts(console, "class" if task == "classification" else "category", tally.answers)
    earlier = f", {tally.earlier:,} of them by earlier calls" if tally.earlier else ""
    files = f"{tally.files:,} file{'s' if tally.files != 1 else ''}"
    console.print(f"{literal(saved)}: {files}{earlier}; {tally.unreadable:,} could not be read")
