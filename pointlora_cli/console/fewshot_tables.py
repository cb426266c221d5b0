"""Tables of the few-shot protocol."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from pointlora_cli.console.tables import percent, plain_table


def mean_and_deviation(mean: float, deviation: float) -> str:
    """Shares as the papers print them, in per cent with one decimal: 96.3 ± 2.5."""
    return f"{100 * mean:.1f} ± {100 * deviation:.1f}"


def fold_table(
    columns: Sequence[str], accuracies: Sequence[Sequence[float]], summary: Sequence[str]
) -> Table:
    """The accuracy of each fold in per cent, a column for each setting, and below it `summary`.

    Args:
        columns: names of the settings.
        accuracies: of each setting, one share for each fold.
        summary: of each setting, mean and deviation.
    """
    table = plain_table("fold", *columns, right=columns, title="Test accuracy (%)")
    for fold, row in enumerate(zip(*accuracies, strict=True)):
        table.add_row(str(fold), *map(percent, row))
    table.add_section()
    table.add_row("[bold]mean ± std[/]", *(f"[bold]{text}[/]" for text in summary))
    return table
