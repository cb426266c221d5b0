"""Comparing the hash of a file with the one to trust."""

from __future__ import annotations

from pointlora_cli.catalog.cache import Cache
from pointlora_cli.catalog.entries import Entry, File
from pointlora_cli.catalog.events import CatalogListener, Remark
from pointlora_cli.errors import IntegrityError


def require_trusted(
    cache: Cache, entry: Entry, file: File, found: str, source: str, *, given: str | None
) -> None:
    """Compare the hash that was found with the one a person gave, else the published, else the first trusted.

    Raises:
        IntegrityError: it is another.
    """
    expected = given.lower() if given else file.sha256
    if expected and expected != found:
        says = "you gave" if given else "published is"
        raise IntegrityError(
            f"{entry.name}/{file.name} from {source} is not the expected file: its SHA-256 is {found}; "
            f"{says} {expected}",
            remedy="Fetch it from another place; if you know this file to be right, give its hash with --sha256.",
        )
    if not expected:
        cache.require_pinned(entry, file, found, source)


def settle_trust(
    cache: Cache,
    entry: Entry,
    file: File,
    found: str,
    source: str,
    listen: CatalogListener,
    *,
    given: str | None,
) -> None:
    """As `require_trusted`; then trust the given hash from now on, or the first where none is published.

    To be called when all else that could be wrong with the file was looked at: a hash that is trusted stays.

    Raises:
        IntegrityError: it is another.
        UsageError: the cache cannot be written.
    """
    require_trusted(cache, entry, file, found, source, given=given)
    if given:
        cache.repin(entry, file, found, source)
    elif not file.sha256 and cache.pin(entry, file, found, source):
        listen(Remark(f"{entry.name}/{file.name}", _first(file, found)))


def _first(file: File, found: str) -> str:
    trusted = f"no SHA-256 is published; {found[:16]}… is recorded and trusted from now on"
    if file.reported_sha256 is None:
        return trusted
    if file.reported_sha256 == found:
        return f"{trusted}; it is the one that others report"
    return f"{trusted}, but others report {file.reported_sha256[:16]}… for the published file"
