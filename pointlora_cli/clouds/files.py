"""What every reader needs of the file system: one kind of error, a checked path, the bytes of a file."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.errors import CloudError

EXPORT_AGAIN = "export the file again, or fetch a complete copy of it"


def shown(path: Path | str) -> str:
    """The path for one line of a message: control characters and broken Unicode are escaped."""
    text = str(path)
    return text if text.isprintable() else text.encode("unicode_escape", "backslashreplace").decode("ascii")


def quoted(content: str | bytes) -> str:
    """A piece of a file's content, shortened and escaped for one line of a message."""
    text = content.decode("latin-1") if isinstance(content, bytes) else content
    return ascii(text.strip() if len(text) <= 40 else text.strip()[:37] + "...")


def cloud_error(path: Path, problem: str, remedy: str | None = None) -> CloudError:
    """The error for `path`: its message begins with the path."""
    return CloudError(f"{shown(path)}: {problem}", remedy)


def truncated(path: Path, present: int, promised: int, things: str) -> CloudError:
    """The error for a file that ends early: how many of how many things it holds."""
    problem = f"truncated: the file holds {present:,} of the {promised:,} {things} that it promises"
    return cloud_error(path, problem, EXPORT_AGAIN)


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Turns what the operating system says about `path`, or about memory, into a `CloudError`."""
    try:
        yield
    except FileNotFoundError:
        raise cloud_error(path, "there is no such file", "check the path") from None
    except IsADirectoryError:
        raise cloud_error(path, "is a folder, not a file", "name a file in it") from None
    except PermissionError:
        raise cloud_error(path, "no permission to read it", "change its permissions (chmod u+r)") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = "check the path" if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP) else None
        raise cloud_error(path, f"cannot be read: {reason}", remedy) from None
    except MemoryError:
        raise cloud_error(path, "does not fit into memory", "thin the cloud out before reading it") from None


def checked_size(path: Path) -> int:
    """Size in bytes of the regular, non-empty file at `path`.

    Raises:
        CloudError: it is missing, a folder, a device or pipe (which could block for ever) or empty.
        OSError: anything else the operating system reports; `system_errors` words it.
    """
    try:
        status = path.stat()
    except ValueError:  # a NUL character, or text that the file system cannot encode
        raise cloud_error(path, "is not a valid path", "check the path") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(status.st_mode):
        raise cloud_error(path, "is a device or pipe, not a file", "save the cloud to a file first")
    if status.st_size == 0:
        raise cloud_error(path, "the file is empty (0 bytes)", EXPORT_AGAIN)
    return status.st_size


def load_bytes(path: Path) -> NDArray[np.uint8]:
    """The file's bytes (size,), mapped and not copied, so that large files cost no memory."""
    return np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
