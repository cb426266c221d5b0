"""Tables of results."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from pointlora_cli.console.wording import literal
from pointlora_cli.datasets.base import SPARE
from pointlora_cli.training.metrics import Metrics

_WORST = 10  # confusions listed where the whole matrix is too wide
_UNLIMITED = 100_000  # columns

SELECTION_WORDS = {
    "last": "the last epoch",
    "best-val": "the best epoch on a validation split of the training set",
    "best-test": "the best epoch on the test set (the field's habit; not an unbiased estimate)",
}
"""Which epoch is kept, for every table that shows an accuracy."""


def plain_table(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    """An empty table with these columns; those in `right` are aligned right. Long cells fold, never vanish."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def percent(share: float) -> str:
    """A share as a percentage with two decimals; a dash for NaN."""
    return "–" if math.isnan(share) else f"{100 * share:.2f}"


def class_table(classes: Sequence[str], metrics: Metrics) -> Table:
    """Recall and precision of each class."""
    right = ("clouds", "correct %", "precision %")
    table = plain_table("class", *right, right=right, title="By class")
    for index in _worth_showing(classes, metrics):
        recall, precision = metrics.class_accuracy[index], metrics.class_precision[index]
        count = f"{metrics.class_counts[index]:,}"
        table.add_row(literal(classes[index]), count, percent(recall), percent(precision))
    return table


def _worth_showing(classes: Sequence[str], metrics: Metrics) -> list[int]:
    """All classes, but for the spare outputs of a head that nothing chose."""
    seen = metrics.confusion.sum(axis=0) + metrics.confusion.sum(axis=1)
    return [index for index, name in enumerate(classes) if seen[index] or not name.startswith(SPARE)]


def confusion_table(classes: Sequence[str], metrics: Metrics, console: Console) -> Table:
    """The confusion matrix; where `console` is too narrow for it, its largest entries off the diagonal."""
    table = plain_table("truth \\ predicted", title="Confusion")
    table.padding = 0  # the line between columns is a space already
    shown = _worth_showing(classes, metrics)
    for number in range(1, len(shown) + 1):
        table.add_column(str(number), justify="right")
    for number, row in enumerate(shown, start=1):
        cells = [
            f"[bold]{count}[/]" if row == column else (str(count) if count else "[dim]·[/]")
            for column, count in zip(shown, metrics.confusion[row, shown], strict=True)
        ]
        table.add_row(f"{number:>2} {literal(classes[row])}", *cells)
    needed = Measurement.get(console, console.options.update(max_width=_UNLIMITED), table).maximum
    return table if needed <= console.width else _worst_confusions(classes, metrics)


def _worst_confusions(classes: Sequence[str], metrics: Metrics) -> Table:
    table = plain_table("truth", "predicted", "clouds", right=("clouds",), title="Most frequent confusions")
    entries = [
        (int(metrics.confusion[i, j]), i, j)
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j
    ]
    for count, truth, predicted in sorted(entries, reverse=True)[:_WORST]:
        if count:
            table.add_row(literal(classes[truth]), literal(classes[predicted]), str(count))
    return table
