"""Text that comes from outside, made safe to show."""

from __future__ import annotations

from rich.markup import escape


def literal(text: object) -> str:
    """The text as rich shall print it: no markup, control characters and broken Unicode spelled out.

    The name of a file may hold anything, an escape sequence too.
    """
    return escape(
        "".join(
            char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii")
            for char in str(text)
        )
    )


def file_size(size: int) -> str:
    """A size in bytes, as people write it: "1.7 GB"."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
