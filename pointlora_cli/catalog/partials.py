"""Unfinished downloads: one private, growing file per process, taken up again by whoever comes next.

Correct without any lock. Each process writes only to a file of its own, whose name holds a random id; a note
beside it says which version of which file the bytes belong to, and who writes it. The note is there before
the first byte, the bytes of one file belong to one version for ever, and they are only ever appended: any
prefix of it that another process copies is valid. A file whose writer is gone is taken over by renaming it,
which only one process can.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pointlora_cli.catalog.failures import writing
from pointlora_cli.catalog.owners import Owner, current_owner
from pointlora_cli.catalog.versions import Origin
from pointlora_cli.errors import UsageError
from pointlora_cli.files import file_sha256, sync_folder

_BLOCK = 2**20
_LONGEST_NOTE = 2**16
_IDLE = 24 * 3600.0  # seconds after which what nobody is known to write is taken for left over


@dataclass(frozen=True)
class Note:
    """What is known of a partial file."""

    origin: Origin
    owner: Owner | None  # None: nobody writes it any more, and all of it is on the disk

    @property
    def is_abandoned(self) -> bool:
        """Nobody will write to the file again."""
        return self.owner is None or self.owner.is_surely_dead

    @property
    def survived(self) -> bool:
        """What was written is there: it was flushed, or this machine has been running since."""
        return self.owner is None or self.owner.boot == current_owner().boot != ""


class Partial:
    """A partial file that this process writes; its note is there already."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path = path
        self.origin = origin
        self.size = 0
        self.is_pieced = False  # not all of it came in one answer
        self._digest = hashlib.sha256()
        with writing(path.parent):
            self._file = path.open("ab", buffering=0)

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in hexadecimal."""
        return self._digest.hexdigest()

    def append(self, block: bytes) -> None:
        """Write more bytes.

        Raises:
            UsageError: the disk is full or refuses; the file is gone then.
        """
        needed = None if self.origin.total is None else self.origin.total - self.size
        try:
            with writing(self.path.parent, needed):
                rest = memoryview(block)
                while rest:
                    rest = rest[self._file.write(rest) :]
        except UsageError:
            self.discard()
            raise
        self._digest.update(block)
        self.size += len(block)

    def take_in(self) -> None:
        """Count the bytes that are there already."""
        with writing(self.path.parent), self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                self._digest.update(block)
                self.size += len(block)

    def forget_version(self) -> None:
        """From now on, bytes of another source follow: only a known hash can vouch for the whole."""
        self.origin = replace(self.origin, etag=None, last_modified=None)
        with writing(self.path.parent):
            _write_note(self.path, Note(self.origin, current_owner()))

    def flush(self) -> None:
        """Make sure that the bytes are on the disk."""
        with writing(self.path.parent):
            os.fsync(self._file.fileno())

    def release(self) -> None:
        """Leave the file to whoever comes next, if it is not published or deleted already."""
        if self._file.closed:
            return
        if self.size == 0:
            self.discard()
            return
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
            self._file.close()
            _write_note(self.path, Note(self.origin, None))

    def discard(self) -> None:
        """Delete the file and its note."""
        with contextlib.suppress(OSError):
            self._file.close()
        _delete(self.path)

    def publish(self, destination: Path) -> None:
        """Make the file, complete and flushed, appear as `destination`.

        Raises:
            UsageError: the folder cannot be written.
        """
        with writing(destination.parent):
            self._file.close()
            try:
                self.path.replace(destination)
            except FileNotFoundError:
                # Another process finished first, and took this one's file for left over.
                if not destination.is_file() or file_sha256(destination) != self.sha256:
                    raise
        sync_folder(destination.parent)
        _delete(self.path)


class Partials:
    """All partial files of one wanted file in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        readable = re.sub(r"[^A-Za-z0-9]+", "-", name)[-40:].strip("-")
        self.key = f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    @property
    def lock(self) -> Path:
        """The file that processes lock to be polite to each other."""
        return self.folder / f"{self.key}.lock"

    def begin(self, origin: Origin) -> Partial:
        """A new, empty partial file of this process.

        Raises:
            UsageError: the folder cannot be written.
        """
        path = self._new_path()
        try:
            with writing(self.folder):
                _write_note(path, Note(origin, current_owner()))
            return Partial(path, origin)
        except UsageError:
            _delete(path)
            raise

    def adopt(self, is_usable: Callable[[Origin], bool], *, is_hash_known: bool) -> Partial | None:
        """The longest partial file that can be gone on with, as one of this process; None if there is none.

        Raises:
            UsageError: the folder cannot be written.
        """
        found = []
        for path, note in self._noted():
            size = _size(path)
            is_fitting = is_usable(note.origin) and size <= (note.origin.total or size)
            # Without a hash, bytes that a crash of the machine may have lost are not built upon.
            if size > 0 and is_fitting and (is_hash_known or note.survived):
                found.append((size, path, note))
            elif note.origin.validator is None and note.is_abandoned:
                _delete(path)  # it would only take up space
        for _, path, note in sorted(found, key=lambda item: item[0], reverse=True):
            # Another user's file may be readable only.
            is_free = note.is_abandoned and os.access(path, os.W_OK)
            partial = (self._take_over(path, note) if is_free else None) or self._copy(path, note)
            if partial is not None:
                return partial
        return None

    def present(self) -> int:
        """Bytes in all partial files: grows as long as any process gets on."""
        return sum(_size(path) for path in self._paths(".part"))

    def sweep(self) -> None:
        """Delete what nobody will go on with: all that is abandoned or has been idle for a day."""
        notes = [*self._paths(".json"), *self._paths(".new")]
        abandoned = {path.stem for path in notes if (note := _read_note(path)) and note.is_abandoned}
        for path in [*self._paths(".part"), *notes]:
            with contextlib.suppress(OSError):
                if path.stem in abandoned or time.time() - path.stat().st_mtime > _IDLE:
                    path.unlink(missing_ok=True)

    def _take_over(self, path: Path, note: Note) -> Partial | None:
        mine = self._new_path()
        with writing(self.folder):
            _write_note(mine, Note(note.origin, current_owner()))
        try:
            path.rename(mine)
        except OSError:  # another process was quicker, or the folder lets only the owner do it
            _delete(mine)
            return None
        _delete(path)
        partial = Partial(mine, note.origin)
        partial.take_in()
        partial.is_pieced = True
        return partial

    def _copy(self, path: Path, note: Note) -> Partial | None:
        partial = self.begin(note.origin)
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    partial.append(block)
        except OSError:
            partial.discard()
            return None
        # The bytes may have been another source's by the time they were read.
        now = _read_note(path.with_suffix(".json"))
        if now is not None and now.origin != note.origin:
            partial.discard()
            return None
        partial.is_pieced = True
        return partial

    def _noted(self) -> Iterator[tuple[Path, Note]]:
        for path in self._paths(".json"):
            note = _read_note(path)
            if note is not None and not path.with_suffix(".part").is_symlink():
                yield path.with_suffix(".part"), note

    def _paths(self, suffix: str) -> list[Path]:
        with contextlib.suppress(OSError):
            return list(self.folder.glob(f"{self.key}.*{suffix}"))
        return []

    def _new_path(self) -> Path:
        return self.folder / f"{self.key}.{secrets.token_hex(8)}.part"


def _write_note(path: Path, note: Note) -> None:
    owner = None if note.owner is None else asdict(note.owner)
    text = json.dumps({"origin": note.origin.as_json(), "owner": owner})
    fresh = path.with_suffix(".new")
    try:
        # Not flushed to the disk: a note that a crash of the machine damages is worth nothing, and does no harm.
        with fresh.open("xb", buffering=0) as file:
            file.write(text.encode())
        fresh.replace(path.with_suffix(".json"))
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def _read_note(path: Path) -> Note | None:
    """What a note says; None if it is missing or damaged."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_LONGEST_NOTE))
        origin = Origin.from_json(content["origin"])
        owner = None if content["owner"] is None else Owner(**content["owner"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if origin is None or (owner is not None and not _is_plausible(owner)):
        return None
    return Note(origin, owner)


def _is_plausible(owner: Owner) -> bool:
    texts = (owner.boot, owner.namespace, owner.started)
    return all(isinstance(text, str) for text in texts) and type(owner.pid) is int and 0 < owner.pid < 2**31


def _delete(path: Path) -> None:
    for suffix in (".part", ".json", ".new"):
        with contextlib.suppress(OSError):
            path.with_suffix(suffix).unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
