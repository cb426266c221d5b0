"""Redirects, proxies, certificates, offline, and what a server is asked."""

import contextlib
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from catalog.transfers import BY_HAND, QUICK, random_bytes, sha256
from faulty_server import FaultyServer, Reply

import pointlora_cli
from pointlora_cli.catalog.fetching import Settings, Source, Wanted, probe
from pointlora_cli.errors import ExitCode, IntegrityError, NetworkError, UsageError

CONTENT = random_bytes(100_000)
# Made for these tests: a key and a certificate that no one else trusts.
CERTIFICATE = Path(__file__).parents[1] / "data" / "localhost.pem"


@pytest.fixture
def secure():
    with FaultyServer(CERTIFICATE) as server:
        yield server


def redirect(server, path, target, status=302):
    server.answer(path, lambda _: Reply(status, {"Location": target}, b"elsewhere" * 1000))


def test_the_server_learns_our_name(fetching, server):
    server.serve("/a.pth", CONTENT)
    fetching.fetch(server.url("/a.pth"))
    assert server.log[0].headers["User-Agent"] == f"pointlora/{pointlora_cli.__version__}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_resumed_through(fetching, server, status):
    redirect(server, "/a", "b", status)
    redirect(server, "/b", server.url("/c%20d.pth"), status)
    server.serve("/c%20d.pth", CONTENT, cuts=[40_000])
    assert fetching.fetch(server.url("/a")).sha256 == sha256(CONTENT)
    assert [exchange.status for exchange in server.log] == [status, status, 200, status, status, 206]


def test_redirects_without_end_are_given_up(fetching, server):
    redirect(server, "/a", "/a")
    with pytest.raises(NetworkError, match="redirects more than 10 times"):
        fetching.fetch(server.url("/a"))
    assert len(server.log) == 11


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://[::1"])
def test_redirects_to_anything_but_http_are_refused(fetching, server, target):
    redirect(server, "/a", target)
    with pytest.raises(NetworkError):
        fetching.fetch(server.url("/a"))
    assert len(server.log) == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "nonsense", "http://", "http://[::1", "http://a:99999999/"]
)
def test_addresses_that_cannot_be_asked_are_errors_of_one_line(fetching, url):
    with pytest.raises(NetworkError) as caught:
        fetching.fetch(url)
    assert "\n" not in caught.value.message


def test_https_does_not_lead_to_http(fetching, server, secure, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    server.serve("/a.pth", CONTENT)
    redirect(secure, "/a.pth", server.url("/a.pth"))
    with pytest.raises(NetworkError, match="from https to http"):
        fetching.fetch(secure.url("/a.pth"))
    assert server.log == []


def test_a_certificate_of_ones_own_is_taken_from_the_environment(fetching, secure, monkeypatch):
    secure.serve("/a.pth", CONTENT)
    start = time.monotonic()
    with pytest.raises(NetworkError, match="certificate is not trusted") as caught:
        fetching.fetch(secure.url("/a.pth"))
    assert "REQUESTS_CA_BUNDLE" in caught.value.remedy
    assert time.monotonic() - start < 1
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    assert fetching.fetch(secure.url("/a.pth")).sha256 == sha256(CONTENT)


def test_a_missing_certificate_file_is_named(fetching, secure, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    with pytest.raises(NetworkError, match=r"/no/such\.pem"):
        fetching.fetch(secure.url("/a.pth"))


def test_the_proxy_of_the_environment_is_asked(fetching, server, monkeypatch):
    server.serve("/a.pth", CONTENT)
    monkeypatch.setenv("HTTP_PROXY", server.proxy)
    monkeypatch.setenv("http_proxy", server.proxy)
    assert fetching.fetch("http://files.invalid/a.pth").sha256 == sha256(CONTENT)
    assert server.log[0].target == "http://files.invalid/a.pth"


def test_a_proxy_that_is_not_there_is_named_as_such(fetching, monkeypatch):
    with FaultyServer() as gone:
        monkeypatch.setenv("http_proxy", gone.proxy)
    with pytest.raises(NetworkError, match="through the proxy: the connection was refused"):
        fetching.fetch("http://files.invalid/a.pth")


def test_a_password_in_an_address_is_used_but_not_shown(fetching, server):
    server.serve("/a.pth", CONTENT, statuses=[(404, {})])
    url = server.url("/a.pth").replace("//", "//me:secret@")
    with pytest.raises(NetworkError) as caught:
        fetching.fetch(url)
    assert server.log[0].headers["Authorization"].startswith("Basic ")
    assert "secret" not in caught.value.message


def test_offline_opens_no_socket_and_says_how_to_do_without(fetching, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(NetworkError) as caught:
        fetching.fetch("http://127.0.0.1:9/a.pth", offline=True)
    assert caught.value.exit_code == ExitCode.NETWORK
    assert BY_HAND in caught.value.remedy
    wanted = Wanted("a", (Source("http://127.0.0.1:9/a.pth"),), None, None, "")
    assert probe(wanted, Settings(tmp_path, offline=True)) is None


def test_the_size_is_probed_without_the_body(server, tmp_path):
    server.serve("/a.pth", CONTENT)
    server.serve("/page", b"<html>", content_type="text/html")
    server.serve("/busy", CONTENT, statuses=[(503, {})] * 9)
    server.serve("/no-length", CONTENT, framing="chunked")

    def refuse_head(exchange):
        return Reply(405) if exchange.method == "HEAD" else None

    big = server.serve("/only-get", random_bytes(20_000_000))
    server.answer("/only-get", refuse_head)

    def size(*paths):
        sources = tuple(Source(server.url(path)) for path in paths)
        return probe(Wanted("a", sources, None, None, ""), Settings(tmp_path), QUICK)

    assert size("/a.pth") == len(CONTENT)
    assert server.log[-1].sent == 0
    assert size("/none", "/page", "/busy", "/a.pth") == len(CONTENT)
    assert size("/no-length") is None
    assert size("/none") is None
    assert size("/only-get") == len(big.content)
    assert server.log[-1].sent < len(big.content)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 5000,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        b"HTTP/1.1 206 Part\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 503 Busy\r\nRetry-After: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe://\xe2\x98\x83\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        OK + b"X: y\r\n" * 500 + b"\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n0\r\n\r\n",
        OK + b"Content-Length: 99999999999999999\r\n\r\nabc",
        OK + b"Content-Length: 5, 6\r\n\r\nabc",
        OK + b"Content-Encoding: br, gzip\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Set-Cookie: \xff=\x00; domain=..; expires=never\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_server_that_talks_nonsense_is_one_readable_error(fetching, garbage):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(garbage)

        threading.Thread(target=talk, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/a.pth"
        with pytest.raises((NetworkError, IntegrityError, UsageError)) as caught:
            fetching.fetch(url, patience=replace(QUICK, tries=2))
        listening.shutdown(socket.SHUT_RDWR)
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()
    assert not fetching.destination.exists()
