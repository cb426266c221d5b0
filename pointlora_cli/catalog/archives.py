"""Taking what is needed out of an archive that nobody vouches for."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pointlora_cli.catalog.events import CatalogListener, WorkProgress
from pointlora_cli.catalog.failures import check_space, writing
from pointlora_cli.catalog.members import parts_of, unsafe_reason, wanted
from pointlora_cli.catalog.records import Member
from pointlora_cli.catalog.tar_stream import LARGEST_RATIO, tar_members
from pointlora_cli.errors import IntegrityError, PointLoRAError
from pointlora_cli.files import sync_folder

MOST_BYTES = 64 * 2**30
RATIO_FROM = 2**20  # bytes; what is smaller may be as regular as it likes
MOST_MEMBERS = 1_000_000
_BLOCK = 2**20
_SYNCED_ONE_BY_ONE = 200
_BY_HAND = "If you trust it, unpack it by hand and import the folder with --from-dir."


def unpack(
    archive: Path, members: tuple[str, ...], into: Path, listen: CatalogListener, name: str
) -> dict[str, Member]:
    """Unpack the wanted members of a zip, tar or tar.gz (told by content) into the empty folder `into`.

    Args:
        archive: the file.
        members: patterns as `catalog.entries.Unpack` has them; leading folders of a member fall away.
        into: an existing, empty folder on the disk of the cache; removed if anything goes wrong.
        listen: hears of progress in bytes.
        name: what the events and errors call the archive.

    Returns:
        Size and SHA-256 of each file, by its path below `into`.

    Raises:
        IntegrityError: the archive is damaged or of another kind, holds nothing that is wanted, or anything that
            no honest archive holds: names that lead outside, links, devices, names given twice, bombs.
        UsageError: the disk is full, or the folder cannot be written.
    """
    try:
        with writing(into.parent), archive.open("rb") as stream:
            writer = _Writer(archive, into, members, name)
            if _is_zip(stream):
                _unpack_zip(stream, writer, listen)
            else:
                _unpack_tar(stream, writer, listen)
            if not writer.written:
                raise _nothing_wanted(name, members, writer.seen)
            _flush(into, writer.written)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return writer.written


def refusal(name: str, reason: str, remedy: str = _BY_HAND) -> IntegrityError:
    """The error of an archive that is not unpacked."""
    return IntegrityError(f"{name}: archive refused: {reason}", remedy=remedy)


def _shown(name: str) -> str:
    return ascii(name[:80])


class _Writer:
    """Holds the rules that do not depend on the kind of archive, and writes what is wanted."""

    def __init__(self, archive: Path, into: Path, members: tuple[str, ...], name: str) -> None:
        self.archive, self.into, self.members, self.name = archive, into, members, name
        self.written: dict[str, Member] = {}
        self.seen: list[str] = []  # the first names, for the error that nothing fits
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()
        self._left = MOST_BYTES

    def admit(self, name: str, *, is_folder: bool) -> str | None:
        """Check a member's name and tell where it belongs, or None if it is not wanted."""
        reason = unsafe_reason(name)
        if reason:
            raise refusal(self.name, f"the name {_shown(name)} {reason}")
        if len(self._files) + len(self._folders) > MOST_MEMBERS:
            raise refusal(self.name, f"it holds more than {MOST_MEMBERS:,} names")
        parts = parts_of(name)
        parents = {parts[:end] for end in range(1, len(parts))}
        if is_folder:
            parents.add(parts)
        elif parts in self._files or not parts:
            raise refusal(self.name, f"it holds {_shown(name)} twice")
        else:
            self._files.add(parts)
        self._folders |= parents
        clash = next((at for at in (*parents, parts) if at in self._files and at in self._folders), None)
        if clash:
            raise refusal(self.name, f"{_shown('/'.join(clash))} is both a file and a folder in it")
        if is_folder:
            return None
        if len(self.seen) < 6:
            self.seen.append(name)
        return wanted(name, self.members)

    def require_room(self, size: int) -> None:
        """Refuse what is too much or would fill the disk, before it is written."""
        if size > self._left:
            raise refusal(self.name, f"it unpacks to more than {MOST_BYTES:,} bytes")
        check_space(self.into, size)

    def write(self, target: str, source: IO[bytes], size: int) -> Iterator[int]:
        """Write one member of a declared size; yields the bytes of each block."""
        if target in self.written:
            raise refusal(self.name, f"two of its members belong at {_shown(target)}")
        self.require_room(size)
        path = self.into / target
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, done = hashlib.sha256(), 0
        with path.open("xb") as file:
            while block := source.read(_BLOCK):
                done += len(block)
                if done > size:
                    raise refusal(self.name, f"{_shown(target)} is larger than the archive says")
                digest.update(block)
                file.write(block)
                yield len(block)
        if done != size:
            raise IntegrityError(
                f"{self.name}: the archive is damaged: {target} holds {done:,} of {size:,} bytes"
            )
        self._left -= done
        self.written[target] = Member(done, digest.hexdigest())


def _is_zip(stream: IO[bytes]) -> bool:
    head = stream.read(4)
    stream.seek(0)
    return head in (b"PK\x03\x04", b"PK\x05\x06")


def _is_packed_tar(stream: IO[bytes], name: str) -> bool:
    """Whether a tar archive is a packed one; refuses what is none."""
    head = stream.read(512)
    stream.seek(0)
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return head[:2] == b"\x1f\x8b"
    is_page = head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))
    raise IntegrityError(
        f"{name}: not a zip, tar or tar.gz archive{', but a web page, perhaps of a login' if is_page else ''}",
        remedy="Fetch it by hand, look at it, and import it with --from-file.",
    )


def _unpack_zip(stream: IO[bytes], writer: _Writer, listen: CatalogListener) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            chosen = [
                (target, info)
                for info in archive.infolist()
                if (target := _admit_zip(writer, info)) is not None
            ]
            packed = sum(info.compress_size for _, info in chosen)
            if packed > writer.archive.stat().st_size:
                raise refusal(writer.name, "its members overlap")
            total, done = sum(info.file_size for _, info in chosen), 0
            writer.require_room(total)
            for target, info in chosen:
                with archive.open(info) as source:
                    for size in writer.write(target, source, info.file_size):
                        done += size
                        listen(WorkProgress(writer.name, "unpacking", done, total))
    except (PointLoRAError, OSError):
        raise
    except Exception as error:  # zipfile lets many kinds of exception out of a damaged archive
        raise _damaged(writer.name, error) from error


def _admit_zip(writer: _Writer, info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16
    target = writer.admit(info.orig_filename, is_folder=info.is_dir())
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refusal(writer.name, f"{_shown(info.filename)} is a link or a special file")
    if target is None:
        return None
    if info.flag_bits & 1:
        raise refusal(writer.name, f"{_shown(info.filename)} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refusal(writer.name, f"{_shown(info.filename)} has a compression that is not read here")
    if info.file_size > max(RATIO_FROM, LARGEST_RATIO * info.compress_size):
        raise refusal(
            writer.name,
            f"{_shown(info.filename)} unpacks from {info.compress_size:,} to {info.file_size:,} bytes, as a "
            "bomb does",
        )
    return target


def _unpack_tar(stream: IO[bytes], writer: _Writer, listen: CatalogListener) -> None:
    is_packed, total = _is_packed_tar(stream, writer.name), writer.archive.stat().st_size
    try:
        for member, source in tar_members(stream, writer.name, is_packed=is_packed):
            target = writer.admit(member.name, is_folder=member.isdir())
            if member.issparse() or not (member.isreg() or member.isdir()):
                raise refusal(writer.name, f"{_shown(member.name)} is a link or a special file")
            if target is None:
                continue
            for _ in writer.write(target, source, member.size):
                listen(WorkProgress(writer.name, "unpacking", min(stream.tell(), total), total))
    except PointLoRAError:
        raise
    except Exception as error:  # tarfile, gzip and zlib let many kinds of exception out of a damaged archive
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not gzip's
            raise
        raise _damaged(writer.name, error) from error


def _damaged(name: str, error: Exception) -> IntegrityError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return IntegrityError(
        f"{name}: the archive is damaged: {reason}",
        remedy="Fetch it again; if it stays so, unpack it by hand and import the folder with --from-dir.",
    )


def _nothing_wanted(name: str, members: tuple[str, ...], seen: list[str]) -> IntegrityError:
    holds = ", ".join(_shown(found) for found in seen[:5]) or "no files at all"
    more = ", ..." if len(seen) > 5 else ""
    return IntegrityError(
        f"{name}: the archive holds nothing of what is needed ({', '.join(members)}); it holds {holds}{more}",
        remedy="It may be another archive than the one that is published.",
    )


def _flush(into: Path, unpacked: dict[str, Member]) -> None:
    """Bring everything to disk; of thousands of files, with all else the system has to write."""
    if len(unpacked) > _SYNCED_ONE_BY_ONE and hasattr(os, "sync"):
        os.sync()
        return
    for target in unpacked:
        with (into / target).open("rb+") as file:
            os.fsync(file.fileno())
    for folder in {(into / target).parent for target in unpacked}:
        sync_folder(folder)
