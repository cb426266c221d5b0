"""Recognising a web page or an error document where a file was expected."""

from __future__ import annotations

import html
import re
from pathlib import PurePosixPath

_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<title", b"<script", b"<meta")
_XML_ERRORS = (b"<error", b"<?xml")


def page_problem(name: str, head: bytes, content_type: str) -> str | None:
    """What a file's first bytes are, if they are a page and not the file `name`; None if they may be the file.

    A server's content type alone proves nothing: many call every file text/html.
    """
    kind = content_type.partition(";")[0].strip().lower()
    own = PurePosixPath(name).suffix.lower()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    if own not in {".html", ".htm"} and (start.startswith(_HTML) or (_is_html(kind) and start[:1] == b"<")):
        return f"sends a web page, not the file{_quoted(_title(head))}"
    if own != ".xml" and start.startswith(_XML_ERRORS):
        return f"sends an XML document, not the file{_quoted(_tag_text(head, b'message') or _tag_text(head, b'code'))}"
    if own != ".json" and start[:1] == b"{" and kind.endswith("json"):
        return f"sends a JSON document, not the file{_quoted(head)}"
    return None


def readable(text: str, longest: int = 80) -> str:
    """A stranger's text for one line on a terminal: no control characters, not long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _is_html(kind: str) -> bool:
    return kind in {"text/html", "application/xhtml+xml"}


def _title(head: bytes) -> bytes:
    return _tag_text(head, b"title")


def _tag_text(head: bytes, tag: bytes) -> bytes:
    found = re.search(rb"<%s\b[^>]{0,200}>(.{0,1000}?)</%s" % (tag, tag), head, re.IGNORECASE | re.DOTALL)
    return found[1] if found else b""


def _quoted(text: bytes) -> str:
    words = readable(html.unescape(text[:2000].decode("utf-8", "replace")))
    return f": “{words}”" if words else ""
