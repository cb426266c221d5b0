"""Rows of numbers in text: numpy's parser in C, with the exact line number when a row is wrong."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import cloud_error, quoted, truncated

# Microsoft's C library writes these for NaN and infinity.
_ODD_NUMBERS = re.compile(r"[-+]?(?:1\.#\w+|nan\(\w*\))", re.IGNORECASE)
_PARSER_REASON = re.compile(r"could not convert string (?P<text>'.*') to float64")


@dataclass(frozen=True)
class Promise:
    """What a header says of the rows to come: how many of which things, of how many values each."""

    rows: int
    width: int
    things: str


class NumberedLines:
    """Lines of text that remember the number (from 1) and content of the one taken last.

    With a `limit`, blank lines are left out, the others are counted in `given`, and no line is taken after
    that many.
    """

    def __init__(self, lines: Iterable[str], first: int = 1, limit: int | None = None) -> None:
        self._lines = lines
        self._first = first
        self._limit = limit
        self.number = first - 1
        self.given = 0
        self.text = ""

    def __iter__(self) -> Iterator[str]:
        numbered = enumerate(self._lines, self._first)
        if self._limit is None:
            for self.number, self.text in numbered:
                yield self.text
            return
        if not self._limit:
            return
        for self.number, self.text in numbered:
            if self.text.strip():
                self.given += 1
                yield self.text
                if self.given == self._limit:
                    return

    @property
    def at_cut(self) -> bool:
        """Whether the line taken last has no line end: the file stops in it."""
        return bool(self.text) and not self.text.endswith("\n")


def parse_rows(
    path: Path,
    open_lines: Callable[[], NumberedLines],
    columns: tuple[int, ...] = (0, 1, 2),
    *,
    delimiter: str | None = None,
    comments: str | None = "#",
    quote: str | None = None,
    promise: Promise | None = None,
) -> tuple[NDArray[np.float64], NumberedLines]:
    """Reads columns of numbers, by default the first three; blank lines and comments are skipped.

    Args:
        path: the file, for messages.
        open_lines: gives the lines anew; called again if the file holds spellings of NaN that C does not
            know.
        columns: which to read, k of them, from 0.
        delimiter: one character, or None for white space.
        comments: character after which a line is ignored.
        quote: character that encloses a value.
        promise: fewer rows than this are an error, and so is a shorter last row where the file ends in it;
            the lines must have `promise.rows` as their limit.

    Returns:
        Values (N, k) and the lines they came from, which know the last line read.

    Raises:
        CloudError: a row holds too few numbers or something else; the message names the line. Or there
            are fewer rows than promised; the message counts them.
    """
    rows, lines, problem = _parse(open_lines, columns, delimiter, comments, quote)
    if promise:
        cut = lines.at_cut and (problem is not None or len(lines.text.split(delimiter)) < promise.width)
        whole = lines.given - 1 if cut else lines.given
        if whole < promise.rows and (cut or not problem):
            raise truncated(path, whole, promise.rows, promise.things)
    if problem:
        raise cloud_error(path, f"line {lines.number:,}: {problem}", "correct or remove that line")
    return rows, lines


def _parse(
    open_lines: Callable[[], NumberedLines],
    columns: tuple[int, ...],
    delimiter: str | None,
    comments: str | None,
    quote: str | None,
) -> tuple[NDArray[np.float64], NumberedLines, str | None]:
    """The rows, the lines they came from, and what is wrong with the last of these if anything."""
    lines = open_lines()
    try:
        return _load(lines, columns, delimiter, comments, quote), lines, None
    except ValueError as error:
        reason = _reason(error, lines.text, columns)
    if _ODD_NUMBERS.search(lines.text):
        lines = open_lines()
        plain = (_ODD_NUMBERS.sub("nan", line) for line in lines)
        try:
            return _load(plain, columns, delimiter, comments, quote), lines, None
        except ValueError as error:
            reason = _reason(error, lines.text, columns)
    return np.empty((0, len(columns))), lines, reason


def _load(
    lines: Iterable[str],
    columns: tuple[int, ...],
    delimiter: str | None,
    comments: str | None,
    quote: str | None,
) -> NDArray[np.float64]:
    iterator = iter(lines)
    for first in iterator:  # to the first row: of no rows at all, loadtxt would warn
        text = first.strip()
        if text and not (comments and text.startswith(comments)):
            break
    else:
        return np.empty((0, len(columns)))
    rows: NDArray[np.float64] = np.loadtxt(
        itertools.chain([first], iterator),
        dtype=np.float64,
        comments=comments,
        delimiter=delimiter,
        quotechar=quote,
        usecols=columns,
        ndmin=2,
    )
    return rows.reshape(-1, len(columns))


def _reason(error: ValueError, line: str, columns: tuple[int, ...]) -> str:
    """What numpy's parser means, in the user's words."""
    found = _PARSER_REASON.search(str(error))
    if found:
        return f"{quoted(found['text'][1:-1])} is not a number"
    if "column" in str(error):
        return f"fewer than {max(columns) + 1} numbers: {quoted(line)}"
    return f"not a row of numbers: {quoted(line)}"
