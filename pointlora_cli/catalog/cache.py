"""Where downloads live, and what is known about them.

    <home>/checkpoints/<entry>/<file>        a checkpoint
    <home>/datasets/<entry>/...              a data set's file, or what came out of its archive
    <home>/records/<entry>/<file>.json       what is there: sizes, hashes, where from
    <home>/pins/<entry>/<file>.json          the hash that was trusted first; survives removal
    <home>/work/                             what is being fetched, unpacked or copied
    <home>/converted/                        what others derive from data sets

A file counts as cached when its record is there and the file has the recorded size. The record goes
before the file changes and comes after it is in place, so a process killed anywhere in between leaves
something that is not cached, and that running again repairs.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from pointlora_cli.catalog.entries import Entry, File
from pointlora_cli.catalog.events import CatalogListener, WorkProgress
from pointlora_cli.catalog.failures import writing
from pointlora_cli.catalog.placing import difference, move_into, size_of, unlink_below
from pointlora_cli.catalog.records import (
    Pin,
    Record,
    now,
    read_pin,
    read_record,
    replace_pin,
    write_first_pin,
    write_record,
)
from pointlora_cli.catalog.searching import members_in
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.errors import IntegrityError
from pointlora_cli.files import sync_folder

_SAMPLE = 50
_A_DAY = 24 * 3600
_LEFTOVERS = ("unpack-", "copy-")


class Cache:
    """The folder that holds everything that was downloaded; safe to use from several processes at once."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def work(self) -> Path:
        """Holds what is not finished; on the same file system, so that a rename publishes it."""
        return self.home / "work"

    @property
    def converted(self) -> Path:
        """Holds what is derived from data sets."""
        return self.home / "converted"

    def folder(self, entry: Entry) -> Path:
        """The folder of an entry."""
        return self.home / f"{entry.kind}s" / entry.name

    def path(self, entry: Entry, file: File) -> Path:
        """Where a file is when it is cached; of an archive, the folder its members are in."""
        return self.folder(entry) if file.unpack else self.folder(entry) / file.name

    def record(self, entry: Entry, file: File) -> Record | None:
        """What is known about a file; None where there is nothing, or it is damaged."""
        record = read_record(self._record_path(entry, file))
        return record if record is not None and bool(record.members) == bool(file.unpack) else None

    def is_cached(self, entry: Entry, file: File) -> bool:
        """Whether a file is there, by its record and its size; of many members, by the first and last."""
        record = self.record(entry, file)
        if record is None or (file.sha256 and record.sha256 not in (None, file.sha256) and not record.given):
            return False
        if not file.unpack:
            return size_of(self.path(entry, file)) == record.size
        names = list(record.members)
        looked_at = names if len(names) <= 2 * _SAMPLE else names[:_SAMPLE] + names[-_SAMPLE:]
        folder = self.folder(entry)
        return all(size_of(folder / name) == record.members[name].size for name in looked_at)

    def size(self, entry: Entry, file: File) -> int:
        """Bytes of a file that is cached; 0 of one that is not."""
        record = self.record(entry, file)
        return record.bytes if record is not None and self.is_cached(entry, file) else 0

    def pinned(self, entry: Entry, file: File) -> str | None:
        """The SHA-256 that was trusted first, or that a person gave.

        Raises:
            IntegrityError: the pin is damaged.
        """
        pin = read_pin(self._pin_path(entry, file))
        return pin.sha256 if pin else None

    def pin(self, entry: Entry, file: File, sha256: str, source: str) -> bool:
        """Trust a hash if it is the first; tells whether it was.

        Raises:
            IntegrityError: another hash is trusted, or the pin is damaged.
            UsageError: the cache cannot be written.
        """
        path = self._pin_path(entry, file)
        with writing(self.home):
            # Looked for before writing: a read-only cache may hold it.
            if read_pin(path) is None and write_first_pin(path, Pin(sha256, source, now())):
                return True
        self.require_pinned(entry, file, sha256, source)
        return False

    def require_pinned(self, entry: Entry, file: File, sha256: str, source: str) -> None:
        """Raise if another hash is trusted.

        Raises:
            IntegrityError: both hashes, and where and when the trusted one came from; or the pin is damaged.
        """
        first = read_pin(self._pin_path(entry, file))
        if first is not None and first.sha256 != sha256:
            name = f"{entry.name}/{file.name}"
            raise IntegrityError(
                f"{name} from {source} is not the file that was fetched first: its SHA-256 is {sha256}; "
                f"that of {first.at} from {first.source} was {first.sha256}",
                remedy="If you know the new file to be right: "
                f"pointlora download {entry.name}/{file.stem} --sha256 {sha256} {_option_for(source)}",
            )

    def repin(self, entry: Entry, file: File, sha256: str, source: str) -> None:
        """Trust a hash that a person gave, whatever was trusted before.

        Raises:
            UsageError: the cache cannot be written.
        """
        with writing(self.home):
            replace_pin(self._pin_path(entry, file), Pin(sha256, source, now()))

    def verify(self, entry: Entry, file: File, listen: CatalogListener) -> list[str]:
        """Read everything again and tell what is not as recorded; nothing if all is intact."""
        name = f"{entry.name}/{file.name}"
        record = self.record(entry, file)
        if record is None:
            return [f"{name}: not in the cache, or its record is damaged"]
        problems = []
        if file.unpack:
            expected = {self.folder(entry) / path: (m.size, m.sha256) for path, m in record.members.items()}
        else:
            expected = {self.path(entry, file): (record.size or 0, record.sha256 or "")}
        problems += self._distrust(entry, file, record)
        done, total = 0, record.bytes
        for path, (size, sha256) in expected.items():
            problem = difference(path, size, sha256)
            problems += [f"{path}: {problem}"] if problem else []
            done += size
            listen(WorkProgress(name, "verifying", done, total))
        return problems

    def publish(self, entry: Entry, file: File, record: Record, made: Path | None = None) -> None:
        """Put a finished file, or a folder of finished members, in its place and write its record.

        `made` is a file, a symbolic link, or for an archive a folder laid out like the entry's; what is in it
        moves. None: everything is in its place already. Two processes may publish the same at once.

        Raises:
            UsageError: the cache cannot be written.
        """
        path, kept = self._record_path(entry, file), self.record(entry, file)
        with writing(self.home):
            # Unless it says the same, the old record is wrong from the first byte that changes.
            if kept is None or (kept.sha256, dict(kept.members)) != (record.sha256, dict(record.members)):
                path.unlink(missing_ok=True)
            if made is not None and file.unpack:
                for name in set(kept.members if kept else ()) - set(record.members):
                    unlink_below(self.folder(entry), name)  # first: a link that takes its place must stay
                self.folder(entry).mkdir(parents=True, exist_ok=True)
                move_into(made, self.folder(entry))
            elif made is not None:
                target = self.path(entry, file)
                target.parent.mkdir(parents=True, exist_ok=True)
                made.replace(target)
                sync_folder(target.parent)
            write_record(path, record)

    def remove(self, entry: Entry, file: File) -> int:
        """Remove a file and its record, and tell how many bytes that freed; what it linked to stays.

        Raises:
            UsageError: the cache cannot be written.
        """
        record, folder = self.record(entry, file), self.folder(entry)
        names = [file.name]
        if file.unpack:  # without a record, what a killed process left
            names = list(record.members if record else members_in(folder, file.unpack.members))
        freed = 0
        with writing(self.home):
            self._record_path(entry, file).unlink(missing_ok=True)
            for name in names:
                freed += unlink_below(folder, name)
            for emptied in (folder, self._record_path(entry, file).parent):
                with contextlib.suppress(OSError):  # others' files are in it, or it is not there
                    emptied.rmdir()
        return freed

    def fresh(self, what: str) -> Path:
        """A new empty folder in `work`, called after what is done in it.

        Raises:
            UsageError: the cache cannot be written.
        """
        with writing(self.home):
            self.work.mkdir(parents=True, exist_ok=True)
            self._sweep()
            folder = self.work / f"{what}-{secrets.token_hex(8)}"
            folder.mkdir()
        return folder

    def _distrust(self, entry: Entry, file: File, record: Record) -> list[str]:
        """What speaks against the record itself."""
        if record.sha256 is None or record.given:
            return []
        try:
            trusted = file.sha256 or self.pinned(entry, file)
        except IntegrityError as error:
            return [error.message]
        if trusted in (None, record.sha256):
            return []
        return [
            f"{entry.name}/{file.name}: its record says SHA-256 {record.sha256}; the one to trust is {trusted}"
        ]

    def _sweep(self) -> None:
        """Remove what killed processes left behind a day ago or earlier."""
        for leftover in self.work.iterdir():
            if leftover.name.startswith(_LEFTOVERS):
                with contextlib.suppress(OSError):
                    if time.time() - leftover.lstat().st_mtime > _A_DAY:
                        shutil.rmtree(leftover)

    def _record_path(self, entry: Entry, file: File) -> Path:
        return self.home / "records" / entry.name / f"{file.name}.json"

    def _pin_path(self, entry: Entry, file: File) -> Path:
        return self.home / "pins" / entry.name / f"{file.name}.json"


def _option_for(source: str) -> str:
    return (
        f"--url {quote(source)}" if source.startswith(("http:", "https:")) else f"--from-file {quote(source)}"
    )


class CachedFile(NamedTuple):
    """A file that is cached."""

    path: Path
    sha256: str | None  # it had when it came; None of an archive that was imported as a folder


def cached_file(reference: str, settings: Settings) -> CachedFile | None:
    """What `entry` (its first default file), `entry/file` or `entry/stem` is, or None if it is not cached.

    Raises:
        UsageError: there is no such entry or file.
    """
    from pointlora_cli.catalog.loading import load_catalog, resolve

    entry, files = resolve(load_catalog(settings), reference)
    cache = Cache(settings.home)
    record = cache.record(entry, files[0])
    if record is None or not cache.is_cached(entry, files[0]):
        return None
    return CachedFile(cache.path(entry, files[0]), record.sha256)


def cached_folder(entry_name: str, settings: Settings) -> Path | None:
    """The folder of an entry any of whose files is cached, or None.

    Raises:
        UsageError: there is no such entry.
    """
    from pointlora_cli.catalog.loading import find_entry, load_catalog

    entry = find_entry(load_catalog(settings), entry_name)
    cache = Cache(settings.home)
    return cache.folder(entry) if any(cache.is_cached(entry, file) for file in entry.files) else None
