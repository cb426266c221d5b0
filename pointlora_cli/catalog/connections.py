"""Asking servers: headers, proxies and certificates, redirects, and what went wrong in plain words."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pointlora_cli import __version__
from pointlora_cli.catalog.failures import SourceError, TemporaryError
from pointlora_cli.catalog.pages import readable
from pointlora_cli.catalog.retrying import Patience

if TYPE_CHECKING:
    from requests import Response

BLOCK = (
    2**15
)  # reading waits for a whole block: what a slow connection shows at once, and a killed process loses
_MOST_REDIRECTS = 10
_LARGEST_PAGE = 2**18
_CA_REMEDY = "if your network has a certificate authority of its own, set REQUESTS_CA_BUNDLE to its PEM file"


class Connection:
    """Asks servers as the environment says (HTTP_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE, .netrc), with one cookie jar."""

    def __init__(self, patience: Patience) -> None:
        import requests

        self._patience = patience
        self._session = requests.Session()
        # A compressed body would have another size, and other parts, than the file.
        self._session.headers.update(
            {"User-Agent": f"pointlora/{__version__}", "Accept-Encoding": "identity", "Accept": "*/*"}
        )

    def close(self) -> None:
        """Close all sockets."""
        self._session.close()

    @property
    def cookies(self) -> list[tuple[str, str]]:
        """Name and value of all cookies so far."""
        return [(cookie.name, cookie.value or "") for cookie in self._session.cookies]

    def ask(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        """The answer behind at most 10 redirects, its body still unread.

        Raises:
            TemporaryError: no connection or no answer.
            SourceError: not an HTTP address, a redirect that is not followed, or an untrusted certificate.
        """
        if not _is_http(url):
            raise SourceError("this is not an http or https address")
        for _ in range(_MOST_REDIRECTS + 1):
            with self._in_plain_words():
                response = self._send(method, url, headers)
                if not response.is_redirect:
                    return response
                response.close()
                target = response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")
                previous, url = url, urljoin(url, target)
            if not _is_http(url):
                raise SourceError(f"redirects to {readable(url, 200)}, which is not an http or https address")
            if urlsplit(previous).scheme == "https" and urlsplit(url).scheme == "http":
                raise SourceError("redirects from https to http, which is not followed")
        raise SourceError(f"redirects more than {_MOST_REDIRECTS} times")

    def read(self, response: Response) -> bytes:
        """The next block of a body as it was sent; empty at its end.

        Raises:
            TemporaryError: the connection was cut, or nothing came in time.
        """
        with self._in_plain_words():
            block: bytes = response.raw.read(BLOCK, decode_content=False)
        return block

    def read_page(self, response: Response) -> bytes:
        """A page, or the start of a long one, uncompressed.

        Raises:
            TemporaryError: as for `read`.
        """
        with self._in_plain_words():
            page: bytes = response.raw.read(_LARGEST_PAGE, decode_content=True)
        return page

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        # requests' own way of following redirects would read their bodies, however long, and follow any scheme.
        import requests

        session = self._session
        prepared = session.prepare_request(requests.Request(method, url, dict(headers)))
        address = prepared.url or url
        options = session.merge_environment_settings(address, {}, True, None, None)
        timeout = (self._patience.connect, self._patience.read)
        response = session.get_adapter(address).send(
            prepared,
            stream=True,
            timeout=timeout,
            verify=options["verify"] or True,
            cert=options["cert"],
            proxies=options["proxies"],
        )
        requests.cookies.extract_cookies_to_jar(session.cookies, prepared, response.raw)  # type: ignore[no-untyped-call]
        return response

    @contextlib.contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        from requests import exceptions
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (exceptions.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> TemporaryError | SourceError:
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                reason = f"its certificate is not trusted ({readable(cause.verify_message)})"
                return SourceError(reason, remedy=_CA_REMEDY)
        if "CA certificate bundle" in str(error):
            path = readable(str(error).rpartition("invalid path: ")[2], 200)
            return SourceError(f"there is no certificate file {path}", remedy="set REQUESTS_CA_BUNDLE to one")
        if isinstance(error, ValueError):
            return SourceError(f"cannot be asked: {readable(str(error))}")
        return TemporaryError(self._reason(causes))

    def _reason(self, causes: list[BaseException]) -> str:
        from requests import exceptions
        from urllib3 import exceptions as low

        def any_is(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        through = "through the proxy: " if any_is(exceptions.ProxyError, low.ProxyError) else ""
        if any_is(socket.gaierror):
            return f"{through}the name of the server cannot be resolved"
        if any_is(ConnectionRefusedError):
            return f"{through}the connection was refused"
        if any_is(exceptions.ConnectTimeout, low.ConnectTimeoutError):
            return f"{through}no connection within {self._patience.connect:g} s"
        if any_is(TimeoutError, exceptions.ReadTimeout, low.ReadTimeoutError):
            return f"{through}nothing came for {self._patience.read:g} s"
        if any_is(ConnectionError, low.IncompleteRead, HTTPException):
            return f"{through}the connection was cut"
        return f"{through}{readable(str(causes[-1])) or type(causes[-1]).__name__}"


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it stems from, the outermost first."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        others = [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]
        waiting += [other for other in others if isinstance(other, BaseException)]
