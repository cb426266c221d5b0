"""Google Drive's confirmation page: large files come only after a form on it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

_HOSTS = (".google.com", ".googleusercontent.com")
_FORM = "download-form"


def confirmed_url(page: str, url: str, cookies: Iterable[tuple[str, str]]) -> str | None:
    """The URL that confirms the download a page at `url` asks about; None if the page asks nothing.

    Knows the form `download-form`, and the older pages with a link or a cookie that holds the confirmation.
    A page may send us only to Google, by https, or back to the server it came from.
    """
    try:
        return next((found for found in _candidates(page, url, cookies) if _is_allowed(found, url)), None)
    except (AssertionError, ValueError):  # the parsers' ways to say that a page or an address is hopeless
        return None


def _candidates(page: str, url: str, cookies: Iterable[tuple[str, str]]) -> Iterator[str]:
    reader = _PageReader()
    reader.feed(page)
    reader.close()
    if reader.action is not None:
        yield _with_query(urljoin(url, reader.action), reader.inputs)
    for link in reader.links:
        if _is_confirmed(link):
            yield urljoin(url, link)
    for name, value in cookies:
        if name.startswith("download_warning"):
            yield _with_query(url, {"confirm": value})


class _PageReader(HTMLParser):
    """Collects the download form's action and hidden inputs, and the links."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.inputs: dict[str, str] = {}
        self.links: list[str] = []
        self._in_form = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("id") == _FORM and self.action is None:
            self.action, self._in_form = given.get("action", ""), True
        elif tag == "input" and self._in_form and given.get("name"):
            self.inputs[given["name"]] = given.get("value", "")
        elif tag == "a" and given.get("href"):
            self.links.append(given["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._in_form = False


def _with_query(url: str, more: dict[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | more)))


def _is_confirmed(link: str) -> bool:
    return any(name == "confirm" for name, _ in parse_qsl(link.partition("?")[2]))


def _is_allowed(target: str, url: str) -> bool:
    there, here = urlsplit(target), urlsplit(url)
    if (there.scheme, there.netloc) == (here.scheme, here.netloc):
        return True
    return there.scheme == "https" and f".{there.hostname or ''}".endswith(_HOSTS)
