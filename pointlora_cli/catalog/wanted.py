"""What is to be fetched, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A place that is asked for a file."""

    url: str
    is_drive: bool = False  # Google Drive: may answer with a confirmation page instead of the file


@dataclass(frozen=True)
class Wanted:
    """A file that is to be fetched."""

    name: str  # for people and events: "point-mae/pretrain.pth"
    sources: tuple[Source, ...]  # tried in order: mirrors first
    size: int | None  # bytes, where known
    sha256: str | None  # where known: published, recorded earlier, or given by the user
    by_hand: str  # the command that imports it by hand, for errors
    hash_from: str = ""  # whose the hash is, for errors: ", which is published"


@dataclass(frozen=True)
class Fetched:
    """A file that is here, complete and checked."""

    path: Path
    size: int
    sha256: str
    url: str
