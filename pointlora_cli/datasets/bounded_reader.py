"""Reading binary files whose lengths are not to be believed."""

from __future__ import annotations

import os
import struct
from typing import IO


class Damaged(Exception):  # noqa: N818 - it says what the file is
    """The file is not what it should be, or not the whole of it."""


class BoundedReader:
    """Reads no more than there is, and takes memory for no more, whatever lengths a file claims."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.position = 0

    def take(self, count: int) -> bytes:
        """So many bytes; raises `Damaged` where there are fewer."""
        if not 0 <= count <= self.size - self.position:
            raise Damaged(f"it ends in the middle (at byte {self.size:,})")
        self.position += count
        return self._file.read(count)

    def number(self, layout: str) -> int:
        """One little-endian integer of a `struct` layout."""
        value: int = struct.unpack(f"<{layout}", self.take(struct.calcsize(layout)))[0]
        return value

    def line(self, longest: int = -1) -> bytes:
        """The bytes up to a line end, without it; raises `Damaged` where there is none, or not soon enough."""
        text = self._file.readline(longest)
        self.position += len(text)
        if not text.endswith(b"\n"):
            raise Damaged(f"it ends in the middle, or a line is too long (at byte {self.position:,})")
        return text[:-1]
