"""Writing files so that nothing half-made is ever seen, and naming them by their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_BLOCK = 2**20


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path`; on leaving, flush it to disk and rename it to `path`.

    After an exception nothing is left behind and `path` is as it was.

    Raises:
        OSError: the folder is missing, not writable, or full.
    """
    # A short name of fixed length: beside a name as long as the system allows there is no room for a longer one.
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with synced(temporary) as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def synced(path: Path) -> Iterator[IO[bytes]]:
    """Create a file, and flush it to disk on leaving.

    Raises:
        OSError: it exists, or the folder is missing, not writable, or full.
    """
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable, where the system allows it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def nearest_existing(path: Path) -> Path:
    """`path` where it is there, else the nearest folder above it that is (or a file in its way)."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with written_atomically(path) as file:
        file.write(text.encode())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
