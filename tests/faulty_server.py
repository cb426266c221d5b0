"""A real HTTP server on this machine that misbehaves as it is told, and remembers what it was asked.

    with FaultyServer() as server:
        file = server.serve("/a.pth", content, cuts=[1000])   # the first answer ends after 1000 bytes
        ...                                                   # fetch server.url("/a.pth")
        server.log[1].headers["Range"], server.log[1].sent

It also answers as an HTTP proxy for any host (`server.proxy`), and speaks TLS if given a certificate.
"""

from __future__ import annotations

import gzip
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import yaml

_BLOCK = 2**14
_ENTRY = {"kind": "dataset", "title": "Mine", "license": "mine", "homepage": "here", "citation": "me"}


@dataclass
class Served:
    """A file, and how it is served; the tests change it while the server runs."""

    content: bytes
    etag: str | None = '"version-1"'
    last_modified: str | None = None
    content_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    statuses: list[tuple[int, dict[str, str]]] = field(
        default_factory=list
    )  # answered first, one per request
    cuts: list[int] = field(default_factory=list)  # body bytes after which the connection ends, per request
    stall_after: int | None = None  # body bytes after which nothing more comes
    throttle: float | None = None  # bytes per second
    ranges: bool = True  # False: every request gets the whole file
    framing: str = "length"  # "chunked"; "close": no length, the end of the connection ends the file
    stated_length: int | None = None  # a Content-Length that is not true
    gzip: bool = False  # compressed, although nobody asked


@dataclass
class Reply:
    """An answer made by a test."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Exchange:
    """A request, and what was sent for it."""

    method: str
    target: str  # as on the request line: an absolute URL if the client took the server for a proxy
    headers: dict[str, str]
    status: int = 0
    sent: int = 0  # bytes of the body


class FaultyServer:
    """The server; `with` starts and stops it."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.log: list[Exchange] = []
        self.files: dict[str, Served] = {}
        self.answers: dict[str, Callable[[Exchange], Reply | None]] = {}
        self.closing = threading.Event()
        self._http = _Threads(("127.0.0.1", 0), _Handler)
        self._http.faulty = self
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self._scheme = "https"

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, content: bytes, **faults) -> Served:
        """Serve a file under a path; see `Served` for the faults."""
        self.files[path] = Served(content, **faults)
        return self.files[path]

    def answer(self, path: str, make: Callable[[Exchange], Reply | None]) -> None:
        """Answer requests for a path with what `make` returns; None: with the file there."""
        self.answers[path] = make

    def sent(self, path: str) -> int:
        """Bytes of bodies sent for a path."""
        return sum(exchange.sent for exchange in self.log if urlsplit(exchange.target).path == path)

    def __enter__(self) -> FaultyServer:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


def served(server: FaultyServer, path: Path, name: str = "/pretrain.pth", **faults) -> str:
    """The address of a file that is served now."""
    server.serve(name, path.read_bytes(), **faults)
    return server.url(name)


def catalogue(monkeypatch, folder: Path, server: FaultyServer, files: dict[str, bytes], **entry) -> None:
    """A catalogue whose entry `mine` has these files, served by the server."""
    listed = []
    for name, content in files.items():
        server.serve(f"/{name}", content)
        listed.append({"name": name, "locations": [{"url": server.url(f"/{name}")}]})
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump({"mine": {**_ENTRY, **entry, "files": listed}}))
    monkeypatch.setenv("POINTLORA_CATALOG", str(path))


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        """Silent."""

    def do_GET(self) -> None:
        faulty = self.server.faulty
        self.exchange = Exchange(self.command, self.path, dict(self.headers))
        faulty.log.append(self.exchange)
        path = urlsplit(self.path).path
        reply = faulty.answers[path](self.exchange) if path in faulty.answers else None
        if reply is not None:
            self._reply(reply)
        elif path in faulty.files:
            self._file(faulty.files[path])
        else:
            self._reply(Reply(404, body=b"not here"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.exchange.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _reply(self, reply: Reply) -> None:
        self._head(reply.status, {"Content-Length": str(len(reply.body))} | reply.headers)
        if self.command != "HEAD":
            self.wfile.write(reply.body)
            self.exchange.sent = len(reply.body)

    def _file(self, file: Served) -> None:
        if file.statuses:
            status, headers = file.statuses.pop(0)
            self._reply(Reply(status, headers, b"busy"))
            return
        body = gzip.compress(file.content) if file.gzip else file.content
        start = self._start(file)
        headers = {"Content-Type": file.content_type} | file.headers
        headers |= {"ETag": file.etag} if file.etag else {}
        headers |= {"Last-Modified": file.last_modified} if file.last_modified else {}
        headers |= {"Content-Encoding": "gzip"} if file.gzip else {}
        if start is not None and start >= len(body):
            self._reply(Reply(416, {"Content-Range": f"bytes */{len(body)}"}))
            return
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start or 0 :]
        if file.framing == "length":
            stated = len(rest) if file.stated_length is None else file.stated_length
            headers["Content-Length"] = str(stated)
        elif file.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        if file.framing == "close" or file.stated_length is not None:
            headers["Connection"] = "close"
            self.close_connection = True
        self._head(200 if start is None else 206, headers)
        if self.command != "HEAD":
            self._send(file, rest)

    def _start(self, file: Served) -> int | None:
        """Where the part that is asked for starts; None: the whole file is sent."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None or not file.ranges:
            return None
        condition = self.headers.get("If-Range")
        if condition is not None and condition not in {file.etag, file.last_modified}:
            return None
        return int(asked[1])

    def _send(self, file: Served, body: bytes) -> None:
        end = min(file.cuts.pop(0), len(body)) if file.cuts else len(body)
        is_cut = end < len(body)
        if file.stall_after is not None and file.stall_after < end:
            end = file.stall_after
        step = _BLOCK if file.throttle is None else max(1, int(file.throttle * 0.01))
        for position in range(0, end, step):
            block = body[position : min(position + step, end)]
            framed = b"%x\r\n%s\r\n" % (len(block), block) if file.framing == "chunked" else block
            self.wfile.write(framed)
            self.exchange.sent += len(block)
            if file.throttle is not None and self.server.faulty.closing.wait(len(block) / file.throttle):
                return
        if is_cut:
            self.close_connection = True
        elif end < len(body):
            self.server.faulty.closing.wait(60)
        elif file.framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")
