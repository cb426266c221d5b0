"""Reading a tar archive from front to back, once, without trusting what it says of itself."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from pointlora_cli.errors import IntegrityError

LARGEST_RATIO = 200  # unpacked to packed bytes; text and arrays of points stay below 20, a bomb is at 1,000
_SLACK = 2**20  # bytes that may be as regular as they like
_LARGEST_HEADER = 2**20
_BLOCK = 2**16
_EXTRA_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip


class _Header(tarfile.TarInfo):
    """Refuses what would make tarfile take memory, or turn in circles, on a header's word."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _EXTRA_HEADERS and self.size > _LARGEST_HEADER):
            raise tarfile.ReadError(f"a header claims {self.size:,} bytes")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        if member.size < 0:  # from an extended header
            raise tarfile.ReadError(f"a member claims {member.size:,} bytes")
        return member


class _Counted:
    """The bytes of a tar stream; refuses a stream that unpacks to far more than it is packed from."""

    def __init__(self, source: IO[bytes], packed: IO[bytes], name: str) -> None:
        self._source, self._packed, self._name = source, packed, name
        self._produced = 0
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._produced += len(block)
        self._tail = (self._tail + block)[-tarfile.BLOCKSIZE :]
        if self._produced > _SLACK + LARGEST_RATIO * self._packed.tell():
            raise IntegrityError(
                f"{self._name}: archive refused: {self._packed.tell():,} bytes of it unpack to more than "
                f"{self._produced:,}, as a bomb does",
                remedy="If you trust it, unpack it by hand and import the folder with --from-dir.",
            )
        return block

    def finish(self) -> None:
        """Read to the end, so that the checksum of the whole is looked at, and require the closing block."""
        while self.read(_BLOCK):
            continue
        if self._tail != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it ends before its end marker")


def tar_members(
    stream: IO[bytes], name: str, *, is_packed: bool
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Yield each member and, for a file, its content, which must be read before the next one.

    Raises:
        IntegrityError: it unpacks to far more than it is packed from.
        tarfile.TarError, OSError, EOFError, zlib.error and others: it is damaged.
    """
    source = cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if is_packed else stream
    counted = _Counted(source, stream, name)
    with tarfile.open(fileobj=cast(IO[bytes], counted), mode="r|", tarinfo=_Header) as archive:
        while (member := archive.next()) is not None:
            content = archive.extractfile(member) if member.isreg() else None
            yield member, content or io.BytesIO()
    counted.finish()
