"""Download, or import by hand, what is published."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from pointlora_cli.catalog.cache import Cache
from pointlora_cli.catalog.entries import Entry, File
from pointlora_cli.catalog.events import CatalogListener, Remark
from pointlora_cli.catalog.failures import shown
from pointlora_cli.catalog.fetching import Source, Wanted, fetch, probe
from pointlora_cli.catalog.importing import import_file, import_folder, publish_download
from pointlora_cli.catalog.loading import load_catalog, resolve
from pointlora_cli.catalog.records import Record
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.errors import InterruptedRunError, PointLoRAError, Terminated, UsageError, combined
from pointlora_cli.services.threads import run_all

_DRIVE_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")


@dataclass(frozen=True)
class Item:
    """One file of the catalogue that was asked for."""

    entry: Entry
    file: File

    @property
    def name(self) -> str:
        """<entry>/<file>."""
        return f"{self.entry.name}/{self.file.name}"

    @property
    def reference(self) -> str:
        """What `pointlora download` calls it and nothing else."""
        is_only = self.entry.default_files == (self.file,)
        return self.entry.name if is_only else f"{self.entry.name}/{self.file.stem}"


@dataclass(frozen=True)
class Here:
    """A file that is in the cache now."""

    item: Item
    path: Path
    record: Record
    how: str  # "cached", "downloaded" or "imported"


@dataclass(frozen=True)
class Origin:
    """Where the user says that a file is; nothing: where it is published."""

    url: str | None = None
    file: Path | None = None
    folder: Path | None = None
    link: bool = False  # link to a file or folder instead of copying it
    sha256: str | None = None  # what the user knows it to be


def find_items(names: Sequence[str], settings: Settings, *, every: bool = False) -> list[Item]:
    """The files that these names ask for, each once.

    Args:
        names: `entry` for its default files, or `entry/file`.
        settings: of the cache.
        every: take all files of an entry, not the default ones alone.

    Raises:
        UsageError: a name is unknown.
    """
    catalog = load_catalog(settings)
    items: dict[str, Item] = {}
    for name in names:
        entry, files = resolve(catalog, name)
        for file in entry.files if every and "/" not in name else files:
            item = Item(entry, file)
            items[item.name] = item
    return list(items.values())


def download(
    items: Sequence[Item], origin: Origin, settings: Settings, listen: CatalogListener, *, jobs: int
) -> list[Here]:
    """Bring files into the cache, several at once; those that are there already are left alone.

    Raises:
        PointLoRAError: of the one file that failed, or of all of them; the others are there.
        InterruptedRunError: Ctrl-C or SIGTERM; what was received is kept.
    """
    require_sensible(items, origin)
    cache = Cache(settings.home)
    if origin.folder is not None:
        with_folder = _by_entry(items)
        return [here for group in with_folder for here in _import_folder(cache, group, origin, listen)]
    tasks = [_task(cache, item, origin, settings, listen) for item in items]
    try:
        outcomes = run_all(tasks, jobs=jobs)
    except KeyboardInterrupt as stop:
        is_terminated = isinstance(stop, Terminated)
        raise InterruptedRunError(
            f"{'terminated' if is_terminated else 'interrupted'}: what was received is kept",
            remedy="Run the same command again to go on from there.",
            terminated=is_terminated,
        ) from None
    errors = [outcome for outcome in outcomes if isinstance(outcome, PointLoRAError)]
    if errors:
        raise combined(errors, f"{len(errors)} of {len(items)} files could not be had:")
    return [outcome for outcome in outcomes if isinstance(outcome, Here)]


def require_sensible(items: Sequence[Item], origin: Origin) -> None:
    """Refuse options that do not fit together.

    Raises:
        UsageError: which, and why.
    """
    given = [
        option
        for option, value in (
            ("--url", origin.url),
            ("--from-file", origin.file),
            ("--from-dir", origin.folder),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} cannot be given together")
    if origin.link and origin.file is None and origin.folder is None:
        raise UsageError("--link links to what --from-file or --from-dir names; neither is given")
    if origin.folder is not None and origin.sha256 is not None:
        raise UsageError("--sha256 is the hash of one file; it does not go with --from-dir")
    one_file = [*given, *(["--sha256"] if origin.sha256 else [])]
    if one_file and origin.folder is None and len(items) != 1:
        raise UsageError(
            f"{one_file[0]} is for one file, and {len(items)} are asked for: "
            f"{', '.join(item.name for item in items)}",
            remedy=f"Name one of them, e.g. pointlora download {items[0].entry.name}/{items[0].file.stem}",
        )
    if origin.sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", origin.sha256):
        raise UsageError(f"--sha256 takes 64 hexadecimal digits, got '{origin.sha256[:80]}'")
    if origin.url is not None and urlsplit(origin.url).scheme not in ("http", "https"):
        raise UsageError(
            f"--url takes an http or https address, got '{shown(origin.url)[:200]}'",
            remedy="For a file on this machine use --from-file.",
        )


def _by_entry(items: Sequence[Item]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.entry.name, []).append(item)
    return list(groups.values())


def _task(
    cache: Cache, item: Item, origin: Origin, settings: Settings, listen: CatalogListener
) -> Callable[[], Here]:
    def run() -> Here:
        record = cache.record(item.entry, item.file)
        if record is not None and is_here(cache, item, origin):
            return Here(item, cache.path(item.entry, item.file), record, "cached")
        if origin.file is not None:
            record = import_file(
                cache,
                item.entry,
                item.file,
                origin.file,
                link=origin.link,
                sha256=origin.sha256,
                check=_content_check(item, listen),
                listen=listen,
            )
            return Here(item, cache.path(item.entry, item.file), record, "imported")
        record = _fetch(cache, item, origin, settings, listen)
        return Here(item, cache.path(item.entry, item.file), record, "downloaded")

    return run


def is_here(cache: Cache, item: Item, origin: Origin) -> bool:
    """Whether there is nothing to do: the file is cached, and no other place or hash was given."""
    if origin.url is not None or origin.file is not None or not cache.is_cached(item.entry, item.file):
        return False
    record = cache.record(item.entry, item.file)
    return origin.sha256 is None or (record is not None and record.sha256 == origin.sha256.lower())


def _import_folder(cache: Cache, group: list[Item], origin: Origin, listen: CatalogListener) -> list[Here]:
    assert origin.folder is not None  # the caller looked
    by_name = {item.file.name: item for item in group}
    records = import_folder(
        cache,
        group[0].entry,
        [item.file for item in group],
        origin.folder,
        link=origin.link,
        check=lambda file, path, sha256: _content_check(by_name[file.name], listen)(path, sha256),
        listen=listen,
    )
    return [
        Here(by_name[name], cache.path(group[0].entry, by_name[name].file), record, "imported")
        for name, record in records.items()
    ]


def _content_check(item: Item, listen: CatalogListener) -> Callable[[Path, str], None]:
    """What a checkpoint must hold; the readers of data sets look into theirs."""

    def check(path: Path, sha256: str) -> None:
        if item.entry.kind == "checkpoint":
            from pointlora_cli.models.published import check_published

            found = check_published(path, item.file.layout, item.file.keys, item.name)
            listen(Remark(item.name, f"checked: {found}"))

    return check


def _fetch(cache: Cache, item: Item, origin: Origin, settings: Settings, listen: CatalogListener) -> Record:
    """Fetch one file, look into it, and give it its place."""
    entry, file = item.entry, item.file
    sources = _sources(item, origin.url, settings)
    if not sources:
        raise _only_by_hand(item)
    expected, hash_from = _expected_hash(cache, item, origin)
    wanted = Wanted(
        name=item.name,
        sources=sources,
        size=file.size if origin.url is None else None,
        sha256=expected,
        by_hand=f"pointlora download {item.reference} --from-file {Path(file.name).name}",
        hash_from=hash_from,
    )
    destination = cache.path(entry, file) if file.unpack is None else cache.work / f"{entry.name}-{file.name}"
    fetched = fetch(
        wanted,
        destination,
        work=cache.work,
        settings=settings,
        listen=listen,
        check=_content_check(item, listen),
    )
    return publish_download(
        cache,
        entry,
        file,
        fetched.path,
        fetched.sha256,
        fetched.url,
        listen=listen,
        given=origin.sha256 is not None,
    )


def _expected_hash(cache: Cache, item: Item, origin: Origin) -> tuple[str | None, str]:
    """The hash that a file must have, and whose it is."""
    if origin.sha256 is not None:
        return origin.sha256.lower(), ", which you gave"
    if item.file.sha256 is not None:
        return item.file.sha256, ", which is published"
    return cache.pinned(item.entry, item.file), ", recorded when it was fetched first"


def _sources(item: Item, url: str | None, settings: Settings) -> tuple[Source, ...]:
    """Where to ask: the user's address alone, else the mirrors and then what is published."""
    if url is not None:
        return (Source(url, is_drive=urlsplit(url).hostname in _DRIVE_HOSTS),)
    mirrored = [Source(f"{mirror}/{quote(item.name)}") for mirror in settings.mirrors]
    published = [Source(place.address, is_drive=place.drive is not None) for place in item.file.locations]
    return (*mirrored, *published)


def expected_size(
    item: Item, url: str | None, settings: Settings
) -> tuple[int | None, bool, tuple[str, ...]]:
    """The bytes a download would transfer (None: nobody says), whether that is exact, and from where."""
    sources = _sources(item, url, settings)
    addresses = tuple(shown(source.url) for source in sources)
    if item.file.size is not None and url is None:
        return item.file.size, True, addresses
    wanted = Wanted(item.name, sources, None, None, by_hand="")
    stated = probe(wanted, settings) if sources else None
    if stated is not None:
        return stated, True, addresses
    return item.file.approximate_size if url is None else None, False, addresses


def _only_by_hand(item: Item) -> UsageError:
    """Why there is no address to ask, and how to go on."""
    entry = item.entry
    options = "--from-dir DIR (or --from-file FILE, or --url ADDRESS)"
    if entry.is_gated:
        return UsageError(
            f"{entry.title} is given out to those who accept its terms: {entry.terms}",
            remedy=f"Accept them at {entry.homepage}, then: pointlora download {item.reference} {options}",
        )
    return UsageError(
        f"{item.name} cannot be fetched without a browser: it is shared at {' and '.join(entry.pages)}",
        remedy=f"Fetch it there, then: pointlora download {item.reference} {options}",
    )
