"""Fetching one file: from the first source that has it, resumed where possible, verified before it appears."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from pointlora_cli.catalog.answers import open_source, stated_size
from pointlora_cli.catalog.connections import Connection
from pointlora_cli.catalog.events import CatalogListener
from pointlora_cli.catalog.failures import (
    Failure,
    SourceError,
    TemporaryError,
    all_failed,
    by_hand,
    shown,
    writing,
)
from pointlora_cli.catalog.partials import Partial, Partials
from pointlora_cli.catalog.reporting import Reporter
from pointlora_cli.catalog.retrying import Patience, Retries
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.catalog.transfer import Transfer
from pointlora_cli.catalog.turns import own_turn
from pointlora_cli.catalog.wanted import Fetched, Source, Wanted
from pointlora_cli.errors import NetworkError, PointLoRAError
from pointlora_cli.files import file_sha256

__all__ = ["Fetched", "Patience", "Source", "Wanted", "fetch", "probe"]

_PATIENCE = Patience()
_HASTE = Patience(connect=5.0, read=10.0)  # a size is not worth more

Check = Callable[[Path, str], None]
"""Looks at a complete file and its SHA-256 before it is published; raises what is wrong with it."""


def _accept(path: Path, sha256: str) -> None:
    """No check beyond size and hash."""


def fetch(
    wanted: Wanted,
    destination: Path,
    *,
    work: Path,
    settings: Settings,
    listen: CatalogListener,
    check: Check = _accept,
    patience: Patience = _PATIENCE,
) -> Fetched:
    """Fetch a file; `destination` appears at once and complete, or not at all.

    Partial files live in `work`, on the same file system. They stay there after an error or an interruption,
    and the next call goes on with them. Any number of processes may fetch the same file at once. What `check`
    raises counts against the source, and the next one is asked.

    Raises:
        NetworkError: offline, or no source could be reached or had the file.
        IntegrityError: a source sent something else.
        UsageError: no space, or a folder that cannot be written.
        PointLoRAError: what `check` raised, where there was one source.
    """
    reporter = Reporter(wanted.name, listen)
    if settings.offline:
        raise NetworkError(
            f"{wanted.name} is not here, and nothing is fetched offline",
            remedy=f"Go without --offline and POINTLORA_OFFLINE, or {by_hand(wanted)}",
        )
    for folder in (work, destination.parent):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):  # rather now than after the last byte
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    partials = Partials(work, wanted.name)
    with own_turn(partials, destination, patience, reporter) as has_arrived:
        arrived = _arrived(wanted, destination, check) if has_arrived else None
        return arrived or _Fetch(wanted, destination, partials, reporter, check, patience).run()


def probe(wanted: Wanted, settings: Settings, patience: Patience = _HASTE) -> int | None:
    """The size that the first source which tells one states, without fetching the file; None where unknown."""
    if settings.offline:
        return None
    with contextlib.closing(Connection(patience)) as connection:
        for source in wanted.sources:
            with contextlib.suppress(TemporaryError, SourceError):
                size = _probed(connection, source)
                if size is not None:
                    return size
    return None


def _probed(connection: Connection, source: Source) -> int | None:
    with contextlib.closing(connection.ask("HEAD", source.url, {})) as answer:
        size = stated_size(answer)
    if size is not None:
        return size
    # Some servers do not know HEAD, and Google Drive answers it with a page; a body that is not read costs little.
    with contextlib.closing(open_source(connection, source, {})) as answer:
        return stated_size(answer)


def _arrived(wanted: Wanted, destination: Path, check: Check) -> Fetched | None:
    """What another process has fetched, if it is what is wanted."""
    try:
        size, sha256 = destination.stat().st_size, file_sha256(destination)
    except OSError:
        return None
    if wanted.size not in {None, size} or wanted.sha256 not in {None, sha256}:
        return None
    check(destination, sha256)
    return Fetched(destination, size, sha256, shown(wanted.sources[0].url))


class _Fetch:
    """The sources of one file, one after the other."""

    def __init__(
        self,
        wanted: Wanted,
        destination: Path,
        partials: Partials,
        reporter: Reporter,
        check: Check,
        patience: Patience,
    ) -> None:
        self._wanted = wanted
        self._destination = destination
        self._partials = partials
        self._reporter = reporter
        self._check = check
        self._patience = patience
        self._connection = Connection(patience)
        self._transfer = Transfer(wanted, partials, self._connection, reporter)

    def run(self) -> Fetched:
        """Fetch from the first source that delivers."""
        failures: list[Failure] = []
        try:
            for source in self._wanted.sources:
                if failures:
                    self._reporter.remark(f"{failures[-1].error.reason}; trying {shown(source.url)}")
                try:
                    return self._from_source(source)
                except SourceError as error:
                    failures.append(Failure(source.url, error))
            raise all_failed(self._wanted, failures)
        finally:
            self._transfer.release()
            self._connection.close()

    def _from_source(self, source: Source) -> Fetched:
        partial = self._completed(source)
        try:
            return self._published(partial, source)
        except SourceError as error:
            if not partial.is_pieced:
                raise
            # What an earlier run left may have been damaged: the source itself may be right.
            self._reporter.remark(f"{error.reason}; starting over without what was here before")
        partial = self._completed(source)
        return self._published(partial, source)

    def _completed(self, source: Source) -> Partial:
        """The whole file, after as many tries as it takes."""
        retries = Retries(self._patience, self._transfer.done)
        is_last = source == self._wanted.sources[-1]
        while True:
            try:
                return self._transfer.run(source)
            except TemporaryError as error:
                pause = retries.pause_after(error, self._transfer.done, is_last=is_last)
                if pause is None:
                    raise SourceError(error.reason) from None
                when = f"again in {pause:.0f} s" if pause >= 1 else "trying again"
                self._reporter.remark(f"{error.reason}; {when}")
            self._reporter.wait(pause)

    def _published(self, partial: Partial, source: Source) -> Fetched:
        """Verify a complete file and make it appear."""
        expected = self._wanted.sha256
        try:
            if expected is not None and partial.sha256 != expected:
                raise SourceError(
                    f"SHA-256 is {partial.sha256}, expected {expected}{self._wanted.hash_from}",
                    is_wrong=True,
                    remedy="if you know what came to be right, run the command for this file alone with "
                    f"--sha256 {partial.sha256}",
                )
            partial.flush()
            try:
                self._check(partial.path, partial.sha256)
            except PointLoRAError as error:
                raise SourceError(error.message, is_wrong=True, remedy=error.remedy, cause=error) from None
        except SourceError:
            self._transfer.discard()
            raise
        partial.publish(self._destination)
        self._partials.sweep()
        return Fetched(self._destination, partial.size, partial.sha256, shown(source.url))
