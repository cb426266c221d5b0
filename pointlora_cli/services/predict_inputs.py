"""Which files to predict: those named, those in folders, those that a pattern fits, those in a list."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pointlora_cli.clouds.reading import is_readable
from pointlora_cli.clouds.writing import is_written_here
from pointlora_cli.errors import DataError

STDIN = Path("-")


def find_clouds(named: Sequence[Path], *, output: Path | None = None) -> list[Path]:
    """The files named, and every readable file in the folders named, hidden ones excepted, sorted within each.

    A pattern that is no path stands for what the shell would make of it (`**` for folders of any depth); one
    that fits nothing stays as it is, a file that is not there.

    Args:
        named: files, folders and patterns.
        output: the folder that results are written to. In a folder above it, what lies in it is left out;
            where it is itself named, those of its files that an earlier call wrote.

    Raises:
        DataError: a folder holds nothing readable.
    """
    written = None if output is None else output.expanduser().resolve()
    found: list[Path] = []
    for name in named:
        for path in _fitting(name):
            if not path.is_dir():
                found.append(path)
                continue
            inside = _readable_files(path, written)
            if not inside:
                raise DataError(f"{path}: no point-cloud or mesh file in this folder")
            found += inside
    return found


def read_list(where: Path) -> list[Path]:
    """The paths in a file, or on standard input where it is `-`: one in each line, empty lines left out.

    Raises:
        DataError: it cannot be read, or lists nothing.
    """
    try:
        content = sys.stdin.buffer.read() if where == STDIN else where.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataError(f"{where}: the list cannot be read: {reason.lower()}") from error
    lines = (line.rstrip(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    paths = [Path(os.fsdecode(line)) for line in lines if line.strip()]
    if not paths:
        name = "standard input" if where == STDIN else str(where)
        raise DataError(f"{name}: lists no file", remedy="Write one path into each line.")
    return paths


def _fitting(name: Path) -> Iterable[Path]:
    text = str(name)
    if not glob.has_magic(text) or "\0" in text or os.path.lexists(name):
        return [name]
    return [Path(path) for path in sorted(glob.glob(text, recursive=True))] or [name]  # noqa: PTH207 - absolute ones


def _readable_files(folder: Path, written: Path | None) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if is_readable(file) and _is_shown(file, folder) and not _is_result(file, folder, written)
    )


def _is_result(file: Path, folder: Path, written: Path | None) -> bool:
    """Whether a file in a folder that was named is a result, not a cloud to look at."""
    if written is None or written not in file.resolve().parents:
        return False
    return folder.resolve() in written.parents or is_written_here(file)


def _is_shown(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.is_file()
