"""Names of archive members: which are safe to write, and which are wanted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

LONGEST_PATH = 1024
_LONGEST_PART = 200  # bytes; most file systems take 255, some of which encrypting ones need themselves
_DRIVE = re.compile(r"^[A-Za-z]:")


def unsafe_reason(name: str) -> str | None:
    """Why a path from elsewhere must not be written below a folder of ours, or None if it may."""
    try:
        longest = max(len(part.encode()) for part in name.split("/"))
    except UnicodeEncodeError:
        return "is not Unicode text"
    faults = {
        "is empty": not name,
        "holds control characters": any(ord(letter) < 32 or ord(letter) == 127 for letter in name),
        "is absolute": name.startswith("/") or _DRIVE.match(name) is not None,
        "holds a backslash": "\\" in name,
        "leads outside through '..'": ".." in name.split("/"),
        "is too long": len(name) > LONGEST_PATH or longest > _LONGEST_PART,
    }
    return next((reason for reason, is_there in faults.items() if is_there), None)


def parts_of(name: str) -> tuple[str, ...]:
    """The names in a path, without those that say nothing ('.' and empty ones)."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


def wanted(name: str, patterns: Iterable[str]) -> str | None:
    """The path below the entry's folder at which a member belongs, or None if no pattern asks for it.

    A pattern fits the end of the member's path, part by part; leading folders fall away. Hidden files and
    the companions that macOS adds to archives are never wanted.
    """
    parts = parts_of(name)
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    for pattern in patterns:
        if fits(parts, pattern):
            return "/".join(parts[-len(parts_of(pattern)) :])
    return None


def fits(parts: tuple[str, ...], pattern: str) -> bool:
    """Whether the end of a path fits a pattern."""
    shape = parts_of(pattern)
    if not shape or len(parts) < len(shape):
        return False
    return all(map(fnmatchcase, parts[-len(shape) :], shape))


def without_member(patterns: Iterable[str], targets: Iterable[str]) -> list[str]:
    """The patterns that none of the members below the entry's folder fits."""
    paths = [parts_of(target) for target in targets]
    return [pattern for pattern in patterns if not any(fits(path, pattern) for path in paths)]
