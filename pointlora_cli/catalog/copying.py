"""Reading and copying what a person hands over, with hashes and progress."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from pointlora_cli.catalog.cache import Cache
from pointlora_cli.catalog.events import CatalogListener, WorkProgress
from pointlora_cli.catalog.failures import writing
from pointlora_cli.catalog.records import Member
from pointlora_cli.errors import DataError
from pointlora_cli.files import synced

_BLOCK = 2**20


class Reading:
    """Hashes or copies one file or several, telling how far all of them are."""

    def __init__(self, name: str, what: str, total: int, listen: CatalogListener) -> None:
        self._name, self._what, self._total, self._listen = name, what, total, listen
        self._done = 0

    def hashed(self, source: Path) -> Member:
        """Size and hash of one file.

        Raises:
            DataError: it cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        for block in self._blocks(source):
            digest.update(block)
            size += len(block)
        return Member(size, digest.hexdigest())

    def copied(self, source: Path, target: Path) -> Member:
        """Copy one file to a new name, on disk when this returns; size and hash of what was copied.

        Raises:
            DataError: it cannot be read.
            UsageError: the copy cannot be written.
        """
        digest, size = hashlib.sha256(), 0
        with writing(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            with synced(target) as stream:
                for block in self._blocks(source):
                    digest.update(block)
                    size += len(block)
                    stream.write(block)
        return Member(size, digest.hexdigest())

    def _blocks(self, source: Path) -> Iterator[bytes]:
        with readable(source), source.open("rb") as stream:
            while block := stream.read(_BLOCK):
                self._done += len(block)
                total = max(self._done, self._total)  # the file may grow meanwhile
                self._listen(WorkProgress(self._name, self._what, self._done, total))
                yield block


@contextlib.contextmanager
def fresh_folder(cache: Cache, what: str) -> Iterator[Path]:
    """A folder in `work` that is gone afterwards, with all that was not moved out of it."""
    folder = cache.fresh(what)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def readable(source: Path) -> Iterator[None]:
    """Turn the system's refusals to read `source` into one readable error.

    Raises:
        DataError: it cannot be read.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DataError(f"{source}: cannot be read: {reason or error}") from error


def require_readable(source: Path) -> None:
    """Raise unless `source` is a file or folder that can be read.

    Raises:
        DataError: what is wrong with it.
    """
    with readable(source):
        if source.is_dir():
            next(source.iterdir(), None)
            return
        if source.is_file():
            source.open("rb").close()
            return
        problem = "is neither a file nor a folder" if source.exists() else "there is no such file or folder"
    raise DataError(f"{source}: {problem}", remedy="Give what you fetched by hand.")


def is_same(source: Path, target: Path) -> bool:
    """Whether two paths lead to one file, and the second is no link to it."""
    try:
        return source.samefile(target) and not target.is_symlink()
    except OSError:
        return False
