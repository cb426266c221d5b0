"""What the cache knows about each file: its record, and the hash that was trusted first."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pointlora_cli.catalog.members import unsafe_reason
from pointlora_cli.errors import IntegrityError
from pointlora_cli.files import synced, write_text

SCHEMA_VERSION = 1
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Member:
    """One file that came out of an archive, or out of a folder imported in its place."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """What was put in the cache, and where it came from."""

    entry: str
    file: str
    source: str  # URL or path
    how: Literal["downloaded", "copied", "linked"]
    size: int | None  # bytes of the file or archive; None for a folder
    sha256: str | None  # of the file or archive; None for a folder
    given: bool = False  # a person named this hash
    at: str = ""  # time in UTC, ISO 8601
    members: Mapping[str, Member] = field(default_factory=dict)  # by path below the entry's folder

    @property
    def bytes(self) -> int:
        """What is there, in bytes."""
        return sum(member.size for member in self.members.values()) if self.members else self.size or 0


@dataclass(frozen=True)
class Pin:
    """The hash that the first download of a file had."""

    sha256: str
    source: str
    at: str


def now() -> str:
    """The time as records state it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none, or none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema_version") != SCHEMA_VERSION:
            return None
        members = {
            name: Member(**value) for name, value in content.pop("members").items() if not unsafe_reason(name)
        }
        record = Record(**content, members=members)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if _is_sound(record) else None


def write_record(path: Path, record: Record) -> None:
    """Write a record atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"schema_version": SCHEMA_VERSION, **asdict(record)}) + "\n")


def read_pin(path: Path) -> Pin | None:
    """The pin in a file, or None where there is none.

    Raises:
        IntegrityError: it is damaged; which hash was trusted cannot be told.
    """
    for _ in range(10):
        try:
            content = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise _damaged_pin(path) from error
        if content:
            break
        time.sleep(0.05)  # another process is writing it, on a file system without hard links
    try:
        pin = Pin(**json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged_pin(path) from error
    if not is_sha256(pin.sha256):
        raise _damaged_pin(path)
    return pin


def write_first_pin(path: Path, pin: Pin) -> bool:
    """Write a pin unless there is one; of processes that race, one is told that it was the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(asdict(pin)).encode()
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with synced(temporary) as file:
            file.write(content)
        os.link(temporary, path)
    except OSError:  # it exists, or there are no hard links here
        return _created(path, content)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def replace_pin(path: Path, pin: Pin) -> None:
    """Write a pin over what was trusted before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asdict(pin)))


def is_sha256(value: object) -> bool:
    """Whether a value is a SHA-256 in lower-case hexadecimal."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= _HEX


def _created(path: Path, content: bytes) -> bool:
    try:
        with synced(path) as file:
            file.write(content)
    except FileExistsError:
        return False
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return True


def _is_sound(record: Record) -> bool:
    def is_size(value: Any) -> bool:
        return type(value) is int and value >= 0

    texts = (record.entry, record.file, record.source, record.how, record.at)
    return (
        all(isinstance(text, str) for text in texts)
        and (record.sha256 is None or is_sha256(record.sha256))
        and (record.size is None or is_size(record.size))
        and all(is_size(member.size) and is_sha256(member.sha256) for member in record.members.values())
        and (bool(record.members) or (record.size is not None and record.sha256 is not None))
    )


def _damaged_pin(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path}: damaged: it should hold the SHA-256 that was trusted first",
        remedy="Remove this file to trust the next download, or give the hash you know with --sha256.",
    )
