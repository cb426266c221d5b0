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
