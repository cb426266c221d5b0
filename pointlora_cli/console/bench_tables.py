"""What a benchmark found, for a terminal of 80 columns: a column for each setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console

from pointlora_cli.console.tables import plain_table
from pointlora_cli.console.wording import file_size, literal

Document = Mapping[str, Any]


def draw_benchmark(console: Console, document: Document) -> None:
    """Draw the JSON document of a benchmark."""
    settings = document["settings"]
    first = settings[0]
    _draw_steps(console, settings, str(document["compared"]))
    _draw_stages(console, settings)
    if document["ratio"] is not None:
        ratio = document["ratio"]
        console.print(
            f"first / second: {ratio['median']:.2f} times the time of a step "
            f"({ratio['first_quartile']:.2f} to {ratio['third_quartile']:.2f} in half of {ratio['count']} rounds, "
            f"{ratio['least']:.2f} to {ratio['most']:.2f} in all)",
            soft_wrap=True,
        )
    machine = first["machine"]
    load = "" if machine["load"] is None else f", load {machine['load']:.1f} before"
    console.print(
        f"{literal(machine['name'])}: {machine['threads']} of {machine['cores']} cores used by PyTorch "
        f"{machine['torch']}{load}",
        soft_wrap=True,
    )


def _draw_steps(console: Console, settings: Sequence[Document], compared: str) -> None:
    first = settings[0]
    columns = ["", compared] if len(settings) > 1 else [""]
    console.print(
        f"{literal(first['name'])}: {first['backbone']} with {first['method']}, {first['mode']}, "
        f"{first['points']:,} points",
        soft_wrap=True,
    )
    table = plain_table("a step", *map(literal, columns), right=columns)
    rows: dict[str, Callable[[Document], str]] = {
        "clouds": lambda one: str(one["batch"]),
        "arithmetic in": lambda one: f"{one['precision']} on {one['machine']['device']}",
        "median": lambda one: _milliseconds(one["step_seconds"]["median"]),
        "half of them": lambda one: _range(one["step_seconds"], "first_quartile", "third_quartile"),
        "all of them": lambda one: (
            f"{_range(one['step_seconds'], 'least', 'most')} ({one['step_seconds']['count']})"
        ),
        "steps per second": lambda one: f"{one['steps_per_second']:,.2f}",
        "clouds per second": lambda one: f"{one['clouds_per_second']:,.1f}",
        "peak memory": lambda one: (
            "–" if one["peak_memory_bytes"] is None else file_size(one["peak_memory_bytes"])
        ),
        "arithmetic": lambda one: f"{one['flops_per_step'] / 1e9:,.1f} GFLOP",
        "of the matrix rate": lambda one: _share(
            one["share_of_matrix_rate"], one["machine"]["matrix_flops_per_second"], "GFLOP/s"
        ),
        "memory traffic": lambda one: f"{one['bytes_per_step'] / 1e9:,.1f} GB",
        "of the bandwidth": lambda one: _share(
            one["share_of_memory_rate"], one["machine"]["memory_bytes_per_second"], "GB/s"
        ),
    }
    for name, text in rows.items():
        table.add_row(name, *(text(one) for one in settings))
    console.print(table)


def _draw_stages(console: Console, settings: Sequence[Document]) -> None:
    columns = [column for number in range(1, len(settings) + 1) for column in (f"ms {number}", f"% {number}")]
    if len(settings) == 1:
        columns = ["ms", "%"]
    table = plain_table("stage", *columns, right=columns)
    totals = [sum(one["stage_seconds"].values()) for one in settings]
    for stage in dict.fromkeys(stage for one in settings for stage in one["stage_seconds"]):
        cells = []
        for one, total in zip(settings, totals, strict=True):
            seconds = one["stage_seconds"].get(stage)
            cells += (
                ["–"] * 2 if seconds is None else [f"{1e3 * seconds:,.2f}", f"{100 * seconds / total:.1f}"]
            )
        table.add_row(stage, *cells)
    console.print(table)


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.2f} ms"


def _range(values: Document, low: str, high: str) -> str:
    return f"{1e3 * values[low]:,.2f} to {_milliseconds(values[high])}"


def _share(share: float, rate: float, unit: str) -> str:
    return f"{100 * share:.0f} % of {rate / 1e9:,.0f} {unit}"
