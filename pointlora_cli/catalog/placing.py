"""Moving finished files into their places, and taking them away again."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from pointlora_cli.catalog.members import parts_of
from pointlora_cli.files import file_sha256, sync_folder


def difference(path: Path, size: int, sha256: str) -> str | None:
    """What is wrong with a file of which size and hash are known, or None."""
    present = size_of(path)
    if present is None:
        return "missing"
    if present != size:
        return f"holds {present:,} bytes, recorded were {size:,}"
    try:
        found = file_sha256(path)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if found == sha256 else f"its SHA-256 is {found}, recorded was {sha256}"


def size_of(path: Path) -> int | None:
    """The size of a file, or None if there is no file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):
        return None


def move_into(made: Path, folder: Path) -> None:
    """Move everything in `made` into `folder`, over what is there; a whole folder at once where it is new."""
    for item in sorted(made.iterdir()):
        target = folder / item.name
        is_folder = item.is_dir() and not item.is_symlink()
        if target.is_symlink() and is_folder:
            target.unlink(missing_ok=True)  # never write into what an earlier import linked to
        if not is_folder:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)  # a folder copied earlier gives way to a link
            item.replace(target)
            continue
        try:
            item.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            move_into(item, target)
    sync_folder(folder)


def unlink_below(folder: Path, name: str) -> int:
    """Remove a file below `folder` and the folders that it leaves empty; a link goes, not what is behind it."""
    path = folder
    for part in parts_of(name):
        path = path / part
        if path.is_symlink():
            path.unlink(missing_ok=True)
            return 0
    try:
        size = path.lstat().st_size
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for parent in path.parents:
        if parent == folder:
            break
        with contextlib.suppress(OSError):
            parent.rmdir()
    return size
