"""Files that a command makes for a person to look at, and that replace nothing."""

from __future__ import annotations

import os
from pathlib import Path

from pointlora_cli.errors import UsageError


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it is not there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(f"{folder}: cannot be made: {reason.lower()}") from error


def unused_path(folder: Path, stem: str, suffix: str) -> Path:
    """`folder`/`stem``suffix`, with a number where something of that name is there."""
    path, number = folder / f"{stem}{suffix}", 1
    while os.path.lexists(path):  # it may be the cloud itself, or a file of an earlier call
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path
