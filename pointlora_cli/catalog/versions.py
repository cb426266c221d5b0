"""Which version of a file a server sends: its validators, its size, the part that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

_LONGEST = 1000  # characters of a header or URL that are remembered


@dataclass(frozen=True)
class Origin:
    """Where the bytes of a partial file come from, and which version of the file they belong to."""

    url: str
    etag: str | None
    last_modified: str | None
    total: int | None  # bytes of the whole file

    @property
    def validator(self) -> str | None:
        """What If-Range may hold: a strong ETag, else the date; None if there is neither."""
        if self.etag is not None and self.etag.startswith('"'):
            return self.etag
        return self.last_modified

    def is_same_version(self, headers: Mapping[str, str]) -> bool:
        """Whether a later answer's validators contradict none of these."""
        etag = headers.get("ETag")
        if self.etag is not None and etag is not None:
            return self.etag == etag
        date = headers.get("Last-Modified")
        return self.last_modified is None or date is None or self.last_modified == date

    def as_json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> Origin | None:
        """Read `as_json` back; None if it was damaged."""
        url, etag, date, total = (fields.get(key) for key in ("url", "etag", "last_modified", "total"))
        if not _is_header(url) or not all(value is None or _is_header(value) for value in (etag, date)):
            return None
        if total is not None and (type(total) is not int or total < 0):
            return None
        return cls(url, etag, date, total)  # type: ignore[arg-type] # checked just above


def origin_of(url: str, headers: Mapping[str, str]) -> Origin:
    """What the headers of a whole file's answer say."""
    etag, date = headers.get("ETag"), headers.get("Last-Modified")
    return Origin(
        url,
        etag if _is_header(etag) else None,
        date if _is_header(date) else None,
        content_length(headers),
    )


def content_length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body, where the server says so."""
    if is_chunked(headers):
        return None
    text = headers.get("Content-Length", "").strip()
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether the body comes in chunks, and so says where it ends."""
    return "chunked" in headers.get("Transfer-Encoding", "").lower()


def content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None] | None:
    """(start, total) of a Content-Range header, None where it has `*`; None if there is no readable one."""
    found = re.fullmatch(
        r"bytes\s+(?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", headers.get("Content-Range", "").strip()
    )
    if found is None:
        return None
    return (int(found[1]) if found[1] else None), (int(found[2]) if found[2] != "*" else None)


def _is_header(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()
