"""What arrives is the file, or nothing: hashes, sizes, pages, compressed bodies, checks, mirrors."""

import gzip

import pytest
from catalog.transfers import BY_HAND, random_bytes, sha256
from faulty_server import Reply

from pointlora_cli.errors import DataError, ExitCode, IntegrityError, NetworkError

CONTENT = random_bytes(300_000)
PAGE = b"<!DOCTYPE html><html><head><title>Sign in\x1b[31m &amp; accept\n our terms</title></head><body></body></html>"
S3_ERROR = (
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
)


def refused(fetching, kind, *urls, **wanted):
    with pytest.raises(kind) as caught:
        fetching.fetch(*urls, **wanted)
    assert not fetching.destination.exists()
    assert fetching.left_over == []
    return caught.value


def test_wrong_bytes_name_both_hashes_and_the_url(fetching, server):
    served = server.serve("/a.pth", CONTENT)
    error = refused(fetching, IntegrityError, server.url("/a.pth"), sha256="0" * 64)
    assert error.exit_code == ExitCode.INTEGRITY
    assert all(part in error.message for part in (sha256(served.content), "0" * 64, server.url("/a.pth")))
    assert BY_HAND in error.remedy
    assert len(server.log) == 1


def test_after_wrong_bytes_the_next_source_is_asked(fetching, server):
    server.serve("/a.pth", random_bytes(300_000, seed=1))
    server.serve("/b.pth", CONTENT)
    fetched = fetching.fetch(server.url("/a.pth"), server.url("/b.pth"), sha256=sha256(CONTENT))
    assert fetched.url == server.url("/b.pth")
    assert fetching.destination.read_bytes() == CONTENT


def test_when_all_sources_fail_each_is_named_with_its_reason(fetching, server):
    server.serve("/a.pth", PAGE)
    server.serve("/c.pth", CONTENT)
    urls = [server.url(path) for path in ("/a.pth", "/b.pth", "/c.pth")]
    error = refused(fetching, IntegrityError, *urls, sha256="0" * 64)
    lines = error.message.splitlines()[1:]
    assert [line.strip("- ").partition(": ")[0] for line in lines] == urls
    assert "web page" in lines[0]
    assert "404" in lines[1]
    assert "SHA-256" in lines[2]


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream", ""])
def test_a_web_page_is_recognised_and_quoted(fetching, server, content_type):
    server.serve("/a.pth", PAGE, content_type=content_type)
    error = refused(fetching, IntegrityError, server.url("/a.pth"), size=len(CONTENT))
    assert "web page, not the file: “Sign in [31m & accept our terms”" in error.message


def test_a_page_is_refused_before_all_of_it_is_here(fetching, server):
    served = server.serve("/a.pth", PAGE + b" " * 20_000_000, content_type="text/html")
    refused(fetching, IntegrityError, server.url("/a.pth"))
    assert server.log[0].sent < len(served.content) / 2


def test_a_long_title_is_cut(fetching, server):
    server.serve("/a.pth", b"\xef\xbb\xbf\n<html><title>" + b"quota " * 500)
    assert len(refused(fetching, IntegrityError, server.url("/a.pth")).message) < 250


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (S3_ERROR, "application/xml", "XML document, not the file: “Request has expired”"),
        (b'{"error": "rate limit"}', "application/json", "JSON document, not the file: “{\"error\": \"rate limit"),
        (b"<p>Bandwidth limit</p>", "text/html", "web page"),
        (b"", "application/octet-stream", "empty"),
    ],
)  # fmt: skip
def test_other_documents_in_place_of_the_file(fetching, server, body, content_type, words):
    server.serve("/a.pth", body, content_type=content_type)
    assert words in refused(fetching, IntegrityError, server.url("/a.pth")).message


@pytest.mark.parametrize(
    ("name", "content", "content_type"),
    [
        ("x/list.json", b'{"train": [1, 2]}', "application/json"),
        ("x/page.html", PAGE, "text/html"),
        ("x/a.pth", b"PK\x03\x04" + CONTENT, "text/html"),
        ("x/a.txt", b"{0.1, 0.2}", "text/plain"),
    ],
)
def test_files_that_only_look_like_pages_are_taken(fetching, server, name, content, content_type):
    server.serve("/a", content, content_type=content_type)
    assert fetching.fetch(server.url("/a"), name=name).sha256 == sha256(content)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_file_without_a_stated_size_arrives(fetching, server, framing):
    server.serve("/a.pth", CONTENT, framing=framing)
    assert fetching.fetch(server.url("/a.pth")).sha256 == sha256(CONTENT)
    assert any("does not state the size" in remark for remark in fetching.remarks) == (framing == "close")


def test_a_cut_of_a_chunked_file_is_noticed(fetching, server):
    server.serve("/a.pth", CONTENT, framing="chunked", cuts=[150_000])
    assert fetching.fetch(server.url("/a.pth")).sha256 == sha256(CONTENT)
    assert len(server.log) == 2


def test_a_cut_of_a_file_of_known_size_is_noticed_whatever_the_server_says(fetching, server):
    server.serve("/a.pth", CONTENT, framing="close", cuts=[150_000])
    assert fetching.fetch(server.url("/a.pth"), size=len(CONTENT)).sha256 == sha256(CONTENT)


def test_a_body_shorter_than_stated_is_not_published(fetching, server):
    server.serve("/a.pth", CONTENT, stated_length=len(CONTENT) + 1, etag=None)
    with pytest.raises(NetworkError):
        fetching.fetch(server.url("/a.pth"))
    assert not fetching.destination.exists()


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("difference", [-1, 1])
def test_another_size_than_published_is_an_integrity_error(fetching, server, framing, difference):
    server.serve("/a.pth", CONTENT, framing=framing)
    error = refused(fetching, IntegrityError, server.url("/a.pth"), size=len(CONTENT) + difference)
    assert f"{len(CONTENT) + difference:,}" in error.message
    assert len(server.log) == 1


def test_a_body_without_end_is_stopped(fetching, server):
    served = server.serve("/a.pth", random_bytes(20_000_000), framing="close")
    refused(fetching, IntegrityError, server.url("/a.pth"), size=1000)
    assert server.log[0].sent < len(served.content) / 2


def test_a_compressed_body_is_refused_and_the_next_source_asked(fetching, server):
    server.serve("/a.pth", b"0" * 100_000, gzip=True)
    server.serve("/b.pth", b"0" * 100_000)
    assert fetching.fetch(server.url("/a.pth"), server.url("/b.pth")).size == 100_000
    assert server.log[0].headers["Accept-Encoding"] == "identity"
    assert "compressed ('gzip')" in fetching.remarks[0]


def test_a_compressed_page_is_still_recognised(fetching, server):
    server.serve("/a.pth", PAGE, gzip=True)
    assert "Sign in" in refused(fetching, IntegrityError, server.url("/a.pth")).message


def test_a_broken_compressed_body_is_no_bug_of_ours(fetching, server):
    headers = {"Content-Encoding": "gzip"}
    server.answer("/a.pth", lambda _: Reply(200, headers, gzip.compress(CONTENT)[:20] + b"\xff" * 200))
    with pytest.raises(NetworkError):
        fetching.fetch(server.url("/a.pth"))


def test_what_a_check_raises_is_raised_and_nothing_is_published(fetching, server):
    server.serve("/a.pth", CONTENT)

    def check(path, digest):
        assert path.read_bytes() == CONTENT
        assert digest == sha256(CONTENT)
        raise DataError("not a checkpoint", remedy="look at it")

    error = refused(fetching, DataError, server.url("/a.pth"), check=check)
    assert (error.message, error.remedy) == ("not a checkpoint", "look at it")


def test_after_a_failed_check_the_next_source_is_asked(fetching, server):
    server.serve("/a.pth", CONTENT)
    server.serve("/b.pth", CONTENT[::-1])

    def check(_, digest):
        if digest == sha256(CONTENT):
            raise IntegrityError("not what it was the first time", remedy="remove the record")

    fetched = fetching.fetch(server.url("/a.pth"), server.url("/b.pth"), check=check)
    assert fetched.sha256 == sha256(CONTENT[::-1])
    fetching.destination.unlink()
    error = refused(fetching, IntegrityError, server.url("/a.pth"), server.url("/none"), check=check)
    assert "not what it was the first time" in error.message
    assert "Remove the record; or" in error.remedy


def test_an_earlier_file_is_replaced_only_by_a_good_one(fetching, server):
    fetching.destination.write_bytes(b"earlier")
    server.serve("/a.pth", CONTENT)
    with pytest.raises(IntegrityError):
        fetching.fetch(server.url("/a.pth"), sha256="0" * 64)
    assert fetching.destination.read_bytes() == b"earlier"
    fetching.fetch(server.url("/a.pth"))
    assert fetching.destination.read_bytes() == CONTENT
