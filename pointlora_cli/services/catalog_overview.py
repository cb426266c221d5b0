"""What exists, what is here, and whether it is still intact."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointlora_cli.catalog.cache import Cache
from pointlora_cli.catalog.entries import Entry, File
from pointlora_cli.catalog.events import CatalogListener
from pointlora_cli.catalog.failures import shown
from pointlora_cli.catalog.loading import load_catalog
from pointlora_cli.catalog.partials import Partials
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.errors import IntegrityError
from pointlora_cli.files import nearest_existing
from pointlora_cli.services.download import (
    Item,
    Origin,
    expected_size,
    find_items,
    is_here,
    require_sensible,
)


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
    source: str | None  # where it came from

    @property
    def remedy(self) -> str:
        """What to do about them."""
        reference = f"{self.item.entry.name}/{self.item.file.stem}"
        published = {shown(location.address) for location in self.item.file.locations}
        if self.source in {None, *published}:
            return (
                f"Fetch it again: pointlora download {reference} --remove && pointlora download {reference}"
            )
        return (
            f"Run pointlora download {reference} --remove, and bring it in again: it came from {self.source}"
        )


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
        _pinned(cache, entry, file),
    )


def _pinned(cache: Cache, entry: Entry, file: File) -> str | None:
    with contextlib.suppress(IntegrityError):  # whoever uses it is told that it is damaged
        return cache.pinned(entry, file)
    return None


def plan(items: Sequence[Item], url: str | None, settings: Settings) -> Plan:
    """What downloading these would transfer; the servers are asked for sizes that are not known.

    Raises:
        UsageError: `url` is no address, or there is more than one file.
    """
    origin = Origin(url=url)
    require_sensible(items, origin)
    cache = Cache(settings.home)
    files = []
    for item in items:
        path = cache.path(item.entry, item.file)
        if is_here(cache, item, origin):
            files.append(Planned(item, True, cache.size(item.entry, item.file), True, path, ()))
        else:
            size, is_exact, sources = expected_size(item, url, settings)
            files.append(Planned(item, False, size, is_exact, path, sources))
    return Plan(tuple(files), shutil.disk_usage(nearest_existing(settings.home)).free)


def recorded_items(names: Sequence[str], settings: Settings) -> list[Item]:
    """What was put into the cache under these names, or under any if there are none, intact or not.

    A name of which nothing is there stands for its default files.

    Raises:
        UsageError: a name is unknown.
    """
    cache = Cache(settings.home)

    def recorded(name: str) -> list[Item]:
        return [
            item
            for item in find_items([name], settings, every=True)
            if cache.record(item.entry, item.file) is not None
        ]

    if not names:
        return [item for name in load_catalog(settings) for item in recorded(name)]
    found = [item for name in names for item in recorded(name) or find_items([name], settings)]
    return list(dict.fromkeys(found))


def verify(items: Sequence[Item], settings: Settings, listen: CatalogListener) -> list[Checked]:
    """Hash files again and compare them with what was recorded."""
    cache = Cache(settings.home)
    checked = []
    for item in items:
        record = cache.record(item.entry, item.file)
        problems = (
            ["it is not in the cache"] if record is None else cache.verify(item.entry, item.file, listen)
        )
        checked.append(Checked(item, tuple(problems), record.source if record else None))
    return checked


def remove(items: Sequence[Item], settings: Settings) -> list[tuple[Item, int]]:
    """Remove files from the cache, and what is left of unfinished downloads; the bytes that each gave back.

    Raises:
        UsageError: the cache cannot be written.
    """
    cache = Cache(settings.home)
    removed = []
    for item in items:
        was_there = cache.record(item.entry, item.file) is not None
        partials = Partials(cache.work, item.name)
        unfinished = partials.present()
        partials.sweep()
        freed = unfinished - partials.present() + cache.remove(item.entry, item.file)
        if was_there or freed:
            removed.append((item, freed))
    return removed
