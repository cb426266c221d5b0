"""Google Drive's pages: the confirmation is sent, and a page that cannot be passed is named."""

from urllib.parse import parse_qs, urlsplit

import pytest
from catalog.transfers import random_bytes, sha256
from faulty_server import Reply

from pointlora_cli.catalog.drive import confirmed_url
from pointlora_cli.catalog.fetching import Settings, Source, Wanted, probe
from pointlora_cli.errors import IntegrityError, NetworkError

CONTENT = random_bytes(500_000)
ASKED = "https://drive.usercontent.google.com/download?id=abc&export=download"
HTML = {"Content-Type": "text/html; charset=utf-8"}
FORM = (
    '<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>'
    '<form id="download-form" action="{action}" method="get"><input type="submit" value="Download anyway"/>'
    '<input type="hidden" name="id" value="abc"><input type="hidden" name="export" value="download">'
    '<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="12-34&amp;5"></form>'
    '<form action="/other"><input name="confirm" value="no"></form></body></html>'
)  # fmt: skip


def ask_first(server, page=FORM, **headers):
    """Serve a page at /ask, and the file at /download for those who confirm."""

    def download(exchange):
        query = parse_qs(urlsplit(exchange.target).query)
        return None if query.get("confirm") == ["t"] else Reply(403, body=b"confirm first")

    page = page.format(action=server.url("/download")).encode()
    server.answer("/ask", lambda _: Reply(200, HTML | headers, page))
    server.answer("/download", download)
    return server.serve("/download", CONTENT), Source(server.url("/ask?id=abc"), is_drive=True)


def test_a_file_that_comes_at_once_is_taken(fetching, server):
    server.serve("/a", CONTENT, content_type="text/html", headers={"Content-Disposition": "attachment"})
    assert fetching.fetch(Source(server.url("/a"), is_drive=True)).size == len(CONTENT)


def test_the_form_is_sent(fetching, server):
    _, source = ask_first(server)
    assert fetching.fetch(source).sha256 == sha256(CONTENT)
    query = parse_qs(urlsplit(server.log[1].target).query)
    assert query == {"id": ["abc"], "export": ["download"], "confirm": ["t"], "uuid": ["12-34&5"]}


def test_the_form_is_sent_again_to_resume(fetching, server):
    served, source = ask_first(server)
    served.cuts = [200_000]
    assert fetching.fetch(source).sha256 == sha256(CONTENT)
    assert [exchange.status for exchange in server.log] == [200, 200, 200, 206]
    assert server.log[3].sent <= len(CONTENT) - 200_000 + 2**16


def test_the_older_page_with_a_link_and_the_one_with_a_cookie(fetching, server):
    _, source = ask_first(
        server, '<html><a href="/download?export=download&amp;confirm=t&amp;id=abc">yes</a>'
    )
    assert fetching.fetch(source).sha256 == sha256(CONTENT)
    link = confirmed_url("<html>", ASKED, [("download_warning_13058_abc", "Xy7")])
    assert link == f"{ASKED}&confirm=Xy7"


def test_a_page_that_cannot_be_passed_is_named(fetching, server):
    quota = (
        "<html><title>Google Drive - Quota exceeded</title><p>Too many users have viewed this file.</html>"
    )
    _, source = ask_first(server, quota)
    with pytest.raises(IntegrityError, match="web page, not the file: “Google Drive - Quota exceeded”"):
        fetching.fetch(source)
    server.serve("/mirror", CONTENT)
    assert fetching.fetch(source, server.url("/mirror")).size == len(CONTENT)


def test_a_page_that_asks_for_ever_is_given_up(fetching, server):
    page = FORM.format(action=server.url("/ask")).encode()
    server.answer("/ask", lambda _: Reply(200, HTML, page))
    with pytest.raises(IntegrityError, match="again and again"):
        fetching.fetch(Source(server.url("/ask"), is_drive=True))
    assert len(server.log) < 6


def test_a_page_sends_us_only_to_google(fetching, server):
    for action in (
        "https://example.com/x",
        "http://drive.google.com/x",
        "https://evilgoogle.com/x",
        "file:///x",
    ):
        assert confirmed_url(FORM.format(action=action), ASKED, []) is None
    for action in ("https://docs.google.com/x", "/download", ""):
        assert "confirm=t" in confirmed_url(FORM.format(action=action), ASKED, [])
    _, source = ask_first(server, FORM.format(action="https://example.com/x"))
    with pytest.raises(IntegrityError, match="Virus scan warning"):
        fetching.fetch(source)


@pytest.mark.parametrize(
    "page", ["<![if IE]>" * 9, "<" * 5000, "<form id=download-form action='http://[::1'>", ""]
)
def test_odd_pages_confirm_nothing(page):
    assert confirmed_url(page, ASKED, []) is None


def test_the_page_of_another_server_is_not_taken_for_drives(fetching, server):
    _, source = ask_first(server)
    with pytest.raises(IntegrityError, match="Virus scan warning"):
        fetching.fetch(Source(source.url))


def test_the_size_is_probed_behind_the_form(server, tmp_path):
    _, source = ask_first(server)
    wanted = Wanted("a", (source,), None, None, "")
    assert probe(wanted, Settings(tmp_path)) == len(CONTENT)


def test_a_busy_drive_is_a_matter_of_the_network(fetching, server):
    served, source = ask_first(server)
    served.statuses = [(503, {})] * 9
    with pytest.raises(NetworkError, match="503"):
        fetching.fetch(source)
