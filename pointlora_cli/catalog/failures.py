"""How fetching fails: what may pass, what a source will never deliver, and what the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pointlora_cli.catalog.wanted import Wanted
from pointlora_cli.errors import IntegrityError, NetworkError, PointLoRAError, UsageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SECRET = re.compile(
    r"(?<=[?&])((?:x-\w+-)?(?:\w*token|security-token|signature|sig|credential|password|secret|api_?key|access_?key|auth)=)"
    r"[^&#]+",
    re.IGNORECASE,
)
_OTHER_FOLDER = "set POINTLORA_HOME to another folder"


class TemporaryError(Exception):
    """A try failed in a way that may pass; `retry_after` is the server's wish, in seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class SourceError(Exception):
    """A source will not deliver the file, however often it is asked.

    `is_wrong`: it delivered something, but not the file. `cause`: the finding of a check on a complete file.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_wrong: bool = False,
        remedy: str | None = None,
        cause: PointLoRAError | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_wrong = is_wrong
        self.remedy = remedy
        self.cause = cause


@dataclass(frozen=True)
class Failure:
    """A source that was given up, and why."""

    url: str
    error: SourceError


def shown(url: str) -> str:
    """A URL as people may see it: without user name and password, and without the secrets of signed addresses."""
    return _SECRET.sub(r"\1...", without_login(url))


def without_login(url: str) -> str:
    """A URL without user name and password: what identifies a file on a server."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def all_failed(wanted: Wanted, failures: Sequence[Failure]) -> PointLoRAError:
    """The one error for a file that no source delivered, with the reason of each."""
    if len(failures) == 1 and failures[0].error.cause is not None:
        return failures[0].error.cause
    if not failures:
        return NetworkError(
            f"{wanted.name}: no address to fetch it from is known", remedy=sentence(by_hand(wanted))
        )
    reasons = [f"{shown(failure.url)}: {failure.error.reason}" for failure in failures]
    if len(reasons) == 1:
        message = f"{wanted.name} could not be fetched from {reasons[0]}"
    else:
        message = "\n  - ".join([f"{wanted.name} could not be fetched:", *reasons])
    remedies = [failure.error.remedy for failure in failures if failure.error.remedy]
    remedy = sentence("; or ".join([*dict.fromkeys(remedies), by_hand(wanted)]))
    kind = IntegrityError if any(failure.error.is_wrong for failure in failures) else NetworkError
    return kind(message, remedy=remedy)


def by_hand(wanted: Wanted) -> str:
    """How to do without the network."""
    return f"fetch the file in another way and import it: {wanted.by_hand}"


def sentence(words: str) -> str:
    """Words with a capital at their start."""
    return words[:1].upper() + words[1:]


def check_space(folder: Path, needed: int) -> None:
    """Refuse to start what the disk cannot hold.

    Raises:
        UsageError: fewer than `needed` bytes are free in `folder`.
    """
    if shutil.disk_usage(folder).free < needed:
        raise _no_space(folder, needed)


@contextlib.contextmanager
def writing(folder: Path, needed: int | None = None) -> Iterator[None]:
    """Turn the system's refusals to write in `folder` into one readable error.

    Raises:
        UsageError: no space (`needed` bytes were still to come), no permission, or a broken disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _no_space(folder, needed) from None
        reason = error.strerror or str(error)
        raise UsageError(f"cannot write in {folder}: {reason}", remedy=sentence(_OTHER_FOLDER)) from None


def _no_space(folder: Path, needed: int | None) -> UsageError:
    free = shutil.disk_usage(folder).free
    needs = "the file needs more space than there is" if needed is None else f"needs {needed:,} bytes"
    return UsageError(
        f"not enough space: {needs}; {free:,} bytes free at {folder}",
        remedy=f"Free some space, or {_OTHER_FOLDER}",
    )
