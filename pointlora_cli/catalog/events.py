"""What a download tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TransferProgress:
    """Some bytes of a file are here."""

    name: str  # <entry>/<file>
    done: int  # bytes, those of an earlier try included
    total: int | None  # None: the server does not say


@dataclass(frozen=True)
class WorkProgress:
    """Some of the work on a file that is already here is done."""

    name: str
    what: str  # "verifying", "unpacking", "copying"
    done: int
    total: int


@dataclass(frozen=True)
class Remark:
    """Something a person should know: a retry, a resumed file, a hash recorded for the first time."""

    name: str
    message: str


CatalogEvent = TransferProgress | WorkProgress | Remark
CatalogListener = Callable[[CatalogEvent], None]
"""May be called from several threads at once."""
