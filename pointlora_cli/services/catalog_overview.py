"""What exists, what is here, and whether it is still intact."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.catalog.cache import Cache
from pointlora_cli.catalog.entries import Entry, File
from pointlora_cli.catalog.events import CatalogListener
from pointlora_cli.catalog.loading import load_catalog
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.services.download import Item, expected_size


@dataclass(frozen=True)
class FileState:
    """A file of the catalogue, and what the cache has of it."""

    file: File
    is_cached: bool
    bytes: int | None  # in the cache
    path: Path | None  # in the cache
    pinned: str | None  # the SHA-256 that was trusted on first use


@dataclass(frozen=True)
class EntryState:
    """An entry of the catalogue, and what the cache has of it."""

    entry: Entry
    files: tuple[FileState, ...]

    @property
    def cached(self) -> int:
        """Files that are here."""
        return sum(file.is_cached for file in self.files)

    @property
    def bytes(self) -> int:
        """What they take."""
        return sum(file.bytes or 0 for file in self.files)


@dataclass(frozen=True)
class Planned:
    """What a download would do for one file."""

    item: Item
    is_cached: bool
    bytes: int | None  # to be transferred, or what is there; None: nobody says
    is_exact: bool  # known or stated by the server, not a rough figure
    path: Path
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a download would do."""

    files: tuple[Planned, ...]
    free: int  # bytes, where the cache is

    @property
    def needed(self) -> int:
        """Bytes still to come, as far as is known."""
        return sum(file.bytes or 0 for file in self.files if not file.is_cached)


@dataclass(frozen=True)
class Checked:
    """A file that was read again from end to end."""

    item: Item
    problems: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """What to do about them."""
        reference = f"{self.item.entry.name}/{self.item.file.stem}"
        return f"Fetch it again: pointlora download {reference} --remove && pointlora download {reference}"


def overview(settings: Settings) -> list[EntryState]:
    """Every entry of the catalogue.

    Raises:
        UsageError: the user's own catalogue is broken.
    """
    cache = Cache(settings.home)
    return [
        EntryState(entry, tuple(_state(cache, entry, file) for file in entry.files))
        for entry in load_catalog(settings).values()
    ]


def _state(cache: Cache, entry: Entry, file: File) -> FileState:
    is_cached = cache.is_cached(entry, file)
    return FileState(
        file,
        is_cached,
        cache.size(entry, file) if is_cached else None,
        cache.path(entry, file) if is_cached else None,
        cache.pinned(entry, file),
    )


def plan(items: Sequence[Item], url: str | None, settings: Settings) -> Plan:
    """What downloading these would transfer; the servers are asked for sizes that are not known."""
    cache = Cache(settings.home)
    files = []
    for item in items:
        path = cache.path(item.entry, item.file)
        if cache.is_cached(item.entry, item.file):
            files.append(Planned(item, True, cache.size(item.entry, item.file), True, path, ()))
        else:
            size, is_exact, sources = expected_size(item, url, settings)
            files.append(Planned(item, False, size, is_exact, path, sources))
    return Plan(tuple(files), _free(settings.home))


def _free(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def cached_items(settings: Settings) -> list[Item]:
    """Everything that is in the cache."""
    cache = Cache(settings.home)
    return [
        Item(entry, file)
        for entry in load_catalog(settings).values()
        for file in entry.files
        if cache.is_cached(entry, file)
    ]


def verify(items: Sequence[Item], settings: Settings, listen: CatalogListener) -> list[Checked]:
    """Hash files again and compare them with what was recorded."""
    cache = Cache(settings.home)
    checked = []
    for item in items:
        if cache.record(item.entry, item.file) is None:
            problems = ["it is not in the cache"]
        else:
            problems = cache.verify(item.entry, item.file, listen)
        checked.append(Checked(item, tuple(problems)))
    return checked


def remove(items: Sequence[Item], settings: Settings) -> list[tuple[Item, int]]:
    """Remove files from the cache; the bytes that each gave back."""
    cache = Cache(settings.home)
    there = [item for item in items if cache.record(item.entry, item.file) is not None]
    return [(item, cache.remove(item.entry, item.file)) for item in there]
