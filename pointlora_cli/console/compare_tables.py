"""The table of a comparison, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from pointlora_cli.console.tables import percent, plain_table
from pointlora_cli.console.wording import file_size, literal

_MINUTES, _HOURS = 100.0, 6000.0  # seconds from which on a time is given in these


@dataclass(frozen=True)
class ComparedMethod:
    """A row: None where it is not known, or not yet."""

    name: str
    trained: int | None  # parameters
    total: int | None  # parameters
    mean: float | None  # share
    deviation: float | None  # share
    finished: int  # seeds
    seeds: int
    peak_memory: int | None  # bytes
    seconds: float | None
    published: str = ""  # a figure, with the mark of its note


@dataclass(frozen=True)
class ComparedTable:
    """A whole table."""

    title: str
    score_name: str
    rows: tuple[ComparedMethod, ...]
    notes: tuple[str, ...]  # below it, a line each

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns; that of published figures only where there is one."""
        plain = ("method", "trained M", "%", f"{self.score_name} %", "memory", "time")
        return (*plain, "published") if any(row.published for row in self.rows) else plain

    @property
    def best(self) -> ComparedMethod | None:
        """The row with the highest mean."""
        known = [row for row in self.rows if row.mean is not None]
        return max(known, key=lambda row: row.mean or 0.0, default=None)

    def cells(self, row: ComparedMethod) -> tuple[str, ...]:
        """A row's texts, as many as there are columns."""
        cells = (
            row.name,
            "–" if row.trained is None else f"{row.trained / 1e6:.3f}",
            "–" if row.trained is None or not row.total else f"{100 * row.trained / row.total:.2f}",
            _score(row),
            "–" if row.peak_memory is None else file_size(row.peak_memory),
            "–" if row.seconds is None else duration(row.seconds),
            row.published,
        )
        return cells[: len(self.headings)]


def duration(seconds: float) -> str:
    """A time as people write it: "41.3 s", "12.5 min", "3.2 h"."""
    if seconds < _MINUTES:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < _HOURS else f"{seconds / 3600:.1f} h"


def draw_comparison(console: Console, table: ComparedTable) -> None:
    """Draw the table and its notes; the best mean is bold."""
    first, *others = table.headings
    drawn = plain_table(first, *others, right=others, title=table.title)
    for row in table.rows:
        style = "bold" if row is table.best else None
        drawn.add_row(*map(literal, table.cells(row)), style=style)
    console.print(drawn)
    for note in table.notes:
        console.print(literal(note), soft_wrap=True)


def comparison_markdown(table: ComparedTable) -> str:
    """The table and its notes as Markdown; the best mean is bold."""
    lines = [f"### {_plain(table.title)}", "", _line(table.headings)]
    lines.append(_line([":--", *("--:" for _ in table.headings[1:])]))
    for row in table.rows:
        cells = table.cells(row)
        lines.append(_line([f"**{cell}**" if cell else "" for cell in cells] if row is table.best else cells))
    lines += ["", *(f"- {_plain(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _score(row: ComparedMethod) -> str:
    if row.mean is None:
        return "–"
    text = percent(row.mean)
    if row.deviation is not None:
        text += f" ± {percent(row.deviation)}"
    return text if row.finished == row.seeds else f"{text} ({row.finished} of {row.seeds})"


def _line(cells: Sequence[str]) -> str:
    safe = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(safe)} |"


def _plain(text: str) -> str:
    return " ".join(text.split())
