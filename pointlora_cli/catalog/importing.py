"""Putting into the cache what was downloaded, fetched by hand, or sits on a shared disk.

What is put there is first made whole in `work`, looked at, and compared with the hash that is published
or was trusted first; then it takes its place by a rename, and its record is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pointlora_cli.catalog.archives import unpack
from pointlora_cli.catalog.cache import Cache
from pointlora_cli.catalog.copying import Reading, fresh_folder, is_same, readable, require_readable
from pointlora_cli.catalog.entries import Entry, File
from pointlora_cli.catalog.events import CatalogListener, Remark
from pointlora_cli.catalog.failures import check_space, writing
from pointlora_cli.catalog.members import parts_of, without_member
from pointlora_cli.catalog.records import Member, Record, now
from pointlora_cli.catalog.searching import DEEPEST, find_archives, find_files, find_members
from pointlora_cli.catalog.trusting import require_trusted, settle_trust
from pointlora_cli.errors import DataError, UsageError

Check = Callable[[Path, str], None]
"""Looks at a plain file's content, given its path and SHA-256; raises what is wrong with it."""


def import_file(
    cache: Cache,
    entry: Entry,
    file: File,
    source: Path,
    *,
    link: bool,
    sha256: str | None,
    check: Check,
    listen: CatalogListener,
) -> Record:
    """Put a file that is already on this machine into the cache.

    Args:
        cache: where to.
        entry: what it belongs to.
        file: which of the entry's files it is.
        source: the file; of an archive also the folder that it unpacks to; or a folder that holds either.
        link: link to the source instead of copying it; archives are always unpacked.
        sha256: the hash that a person knows it to have; it is trusted from now on.
        check: looks at the content of a plain file before it is published.
        listen: hears of progress, and remarks.

    Raises:
        DataError: the source is missing, cannot be read, or holds nothing of the kind.
        IntegrityError: another hash than the given, published or first trusted one; an archive that is refused.
        UsageError: the cache cannot be written, or has no room.
    """
    require_readable(source)
    return _Import(cache, entry, file, link, sha256, check, listen).take(source)


def import_folder(
    cache: Cache,
    entry: Entry,
    files: Sequence[File],
    source: Path,
    *,
    link: bool,
    check: Callable[[File, Path, str], None],
    listen: CatalogListener,
) -> dict[str, Record]:
    """Put those of an entry's files into the cache that a folder holds, up to four folders down.

    Returns:
        The records by the files' names. What is missing beside others that are there is remarked on.

    Raises:
        DataError: the folder is missing, cannot be read, or holds none of the files.
        IntegrityError: another hash than the published or first trusted one; an archive that is refused.
        UsageError: the cache cannot be written, or has no room.
    """
    require_readable(source)
    records: dict[str, Record] = {}
    missing: list[tuple[File, _NotThereError]] = []
    for file in files:

        def look(path: Path, sha256: str, file: File = file) -> None:
            check(file, path, sha256)

        try:
            records[file.name] = _Import(cache, entry, file, link, None, look, listen).take(source)
        except _NotThereError as error:
            missing.append((file, error))
    if missing and not records:
        raise missing[0][1]
    for file, absent in missing:
        listen(Remark(f"{entry.name}/{file.name}", absent.message))
    return records


def publish_download(
    cache: Cache,
    entry: Entry,
    file: File,
    downloaded: Path,
    sha256: str,
    url: str,
    *,
    listen: CatalogListener,
    given: bool = False,
) -> Record:
    """Record what was fetched; an archive is unpacked first, and then deleted.

    Args:
        cache: where it goes.
        entry: what it belongs to.
        file: which of the entry's files it is.
        downloaded: the archive, anywhere; a plain file, at its place in the cache or elsewhere on its disk.
        sha256: its hash, computed while it was fetched.
        url: where it came from.
        listen: hears of progress, and of a hash that is trusted for the first time.
        given: a person named this hash; it is trusted from now on.

    Raises:
        IntegrityError: another hash than the published or first trusted one; an archive that is refused.
        UsageError: the cache cannot be written, or has no room.
    """
    require_trusted(cache, entry, file, sha256, url, given=sha256 if given else None)
    with writing(cache.home):
        size = downloaded.stat().st_size
    record = Record(entry.name, file.name, url, "downloaded", size, sha256, given, now())
    if file.unpack:
        record = _publish_archive(cache, entry, file, downloaded, record, listen)
        with contextlib.suppress(OSError):
            downloaded.unlink()
    else:
        settle_trust(cache, entry, file, sha256, url, listen, given=sha256 if given else None)
        in_place = is_same(downloaded, cache.path(entry, file))
        cache.publish(entry, file, record, None if in_place else downloaded)
    return record


class _NotThereError(DataError):
    """A folder holds nothing of a file."""


@dataclass(frozen=True)
class _Import:
    """One file that is to be put into the cache."""

    cache: Cache
    entry: Entry
    file: File
    link: bool
    sha256: str | None
    check: Check
    listen: CatalogListener

    @property
    def name(self) -> str:
        return f"{self.entry.name}/{self.file.name}"

    def take(self, source: Path) -> Record:
        """Put what `source` is, or holds, into the cache."""
        if source.is_dir():
            return self._from_folder(source)
        return self._archive(source) if self.file.unpack else self._plain(source)

    def _from_folder(self, source: Path) -> Record:
        looked_for = self.file.name
        if self.file.unpack:
            members = find_members(source, self.file.unpack.members)
            if members:
                return self._members(source, members)
            looked_for = f"{', '.join(self.file.unpack.members)}, or the archive {self.file.name}"
        found = find_files(source, self.file.name)[:1]
        if not found and self.file.unpack:
            found = find_archives(source)
        if len(found) > 1:
            raise DataError(
                f"{source}: holds several archives: {', '.join(path.name for path in found[:10])}",
                remedy="Name the one that is meant with --from-file.",
            )
        if not found:
            raise _NotThereError(
                f"{self.name} is not in {source}: looked for {looked_for}, up to {DEEPEST} folders down",
                remedy="Give the folder that holds it, or the file itself with --from-file.",
            )
        return self.take(found[0])

    def _plain(self, source: Path) -> Record:
        target = self.cache.path(self.entry, self.file)
        with readable(source):
            size = source.stat().st_size
        in_place = is_same(source, target)
        with fresh_folder(self.cache, "copy") as folder:
            made = folder / Path(self.file.name).name  # the suffix tells what it is
            if self.link or in_place:
                member = Reading(self.name, "reading", size, self.listen).hashed(source)
            else:
                check_space(folder, size)
                member = Reading(self.name, "copying", size, self.listen).copied(source, made)
            self.check(source if self.link or in_place else made, member.sha256)
            settle_trust(
                self.cache, self.entry, self.file, member.sha256, str(source.absolute()), self.listen,
                given=self.sha256,
            )  # fmt: skip
            if self.link and not in_place:
                with writing(folder):
                    made.symlink_to(source.resolve())
            how: Literal["copied", "linked"] = "linked" if self.link and not in_place else "copied"
            record = self._record(source, how, member.size, member.sha256)
            self.cache.publish(self.entry, self.file, record, None if in_place else made)
        return record

    def _archive(self, source: Path) -> Record:
        with readable(source):
            size = source.stat().st_size
        member = Reading(self.name, "reading", size, self.listen).hashed(source)
        origin = str(source.absolute())
        require_trusted(self.cache, self.entry, self.file, member.sha256, origin, given=self.sha256)
        if self.link:
            self.listen(Remark(self.name, "unpacked into the cache: an archive cannot be linked"))
        record = self._record(source, "copied", member.size, member.sha256)
        return _publish_archive(self.cache, self.entry, self.file, source, record, self.listen)

    def _members(self, source: Path, found: dict[str, Path]) -> Record:
        """Put the files of an unpacked archive beside those of an earlier import."""
        if self.sha256 is not None:
            raise UsageError(f"a SHA-256 is that of one file; {source} is a folder of several")
        folder = self.cache.folder(self.entry)
        with readable(source):
            total = sum(path.stat().st_size for path in found.values())
        in_place = all(is_same(path, folder / target) for target, path in found.items())
        in_place = in_place and not any((folder / top).is_symlink() for top in _tops(found))
        with fresh_folder(self.cache, "copy") as made:
            if self.link or in_place:
                reading = Reading(self.name, "reading", total, self.listen)
                members = {target: reading.hashed(path) for target, path in found.items()}
            else:
                check_space(made, total)
                reading = Reading(self.name, "copying", total, self.listen)
                members = {target: reading.copied(path, made / target) for target, path in found.items()}
            if self.link and not in_place:
                _link_tops(found, made)
            kept = self._kept(members)
            how: Literal["copied", "linked"] = "linked" if self.link and not in_place else "copied"
            record = self._record(source, how, None, None, dict(sorted({**kept, **members}.items())))
            self.cache.publish(self.entry, self.file, record, None if in_place else made)
        _remark_missing(self.file, record, self.listen)
        return record

    def _kept(self, new: dict[str, Member]) -> dict[str, Member]:
        """What an earlier import brought that the new one leaves in its place."""
        record, folder = self.cache.record(self.entry, self.file), self.cache.folder(self.entry)
        if record is None or not self.cache.is_cached(self.entry, self.file):
            return {}
        replaced = {top for top in _tops(new) if self.link or (folder / top).is_symlink()}
        return {path: member for path, member in record.members.items() if not _tops([path]) & replaced}

    def _record(
        self,
        source: Path,
        how: Literal["copied", "linked"],
        size: int | None,
        sha256: str | None,
        members: dict[str, Member] | None = None,
    ) -> Record:
        given = self.sha256 is not None
        return Record(
            self.entry.name, self.file.name, str(source.absolute()), how, size, sha256, given, now(),
            members or {},
        )  # fmt: skip


def _publish_archive(
    cache: Cache, entry: Entry, file: File, archive: Path, record: Record, listen: CatalogListener
) -> Record:
    """Unpack an archive, and give `record` the members."""
    assert file.unpack is not None
    with fresh_folder(cache, "unpack") as made:
        members = unpack(archive, file.unpack.members, made, listen, f"{entry.name}/{file.name}")
        record = replace(record, members=dict(sorted(members.items())))
        sha256 = str(record.sha256)
        given = sha256 if record.given else None
        settle_trust(cache, entry, file, sha256, record.source, listen, given=given)
        cache.publish(entry, file, record, made)
    _remark_missing(file, record, listen)
    return record


def _remark_missing(file: File, record: Record, listen: CatalogListener) -> None:
    missing = without_member(file.unpack.members if file.unpack else (), record.members)
    if missing:
        listen(Remark(f"{record.entry}/{record.file}", f"not there: {', '.join(missing)}"))


def _tops(targets: Iterable[str]) -> set[str]:
    return {parts_of(target)[0] for target in targets}


def _link_tops(found: dict[str, Path], made: Path) -> None:
    """Link each first name of the layout to where it really is."""
    with writing(made):
        for target, path in found.items():
            top, *below = parts_of(target)
            if not (made / top).is_symlink():
                real = path.absolute()
                for _ in below:
                    real = real.parent
                (made / top).symlink_to(real.resolve())
