"""A download that was cut goes on where it stopped, and only where the file is still the same."""

import pytest
from catalog.transfers import random_bytes, sha256
from faulty_server import Reply

from pointlora_cli.catalog.connections import BLOCK
from pointlora_cli.errors import IntegrityError, NetworkError

SIZE = 1_000_000
CONTENT = random_bytes(SIZE)
CUT = 400_000
DATE = "Sat, 01 Aug 2026 10:00:00 GMT"


def leave_partial(fetching, server, *, sha=None, **faults):
    """Let a first run end with 40 % of the file; returns the file, whole again, and its URL."""
    served = server.serve("/a.pth", CONTENT, cuts=[CUT, *[0] * 3], **faults)
    with pytest.raises(NetworkError):
        fetching.fetch(server.url("/a.pth"), sha256=sha)
    assert not fetching.destination.exists()
    served.cuts.clear()
    server.log.clear()
    return served, server.url("/a.pth")


def test_a_cut_is_resumed_at_once(fetching, server):
    server.serve("/a.pth", CONTENT, cuts=[CUT])
    fetched = fetching.fetch(server.url("/a.pth"))
    assert (fetched.size, fetched.sha256) == (SIZE, sha256(CONTENT))
    assert fetching.destination.read_bytes() == CONTENT
    assert server.log[1].headers["If-Range"] == '"version-1"'
    assert any(remark.startswith("resuming at") for remark in fetching.remarks)
    assert fetching.left_over == []


def test_the_next_process_asks_only_for_the_rest(fetching, server):
    served = server.serve("/a.pth", CONTENT, cuts=[CUT, *[0] * 3])
    quick = {"first_pause": 0.01, "tries": 4}
    first = fetching.start_child(server.url("/a.pth"), **quick)
    out, err = first.communicate(timeout=30)
    assert '"code": 4' in out, err
    served.cuts.clear()
    server.log.clear()
    second = fetching.start_child(server.url("/a.pth"), **quick)
    out, err = second.communicate(timeout=30)
    assert sha256(CONTENT) in out, err
    (exchange,) = server.log
    assert exchange.headers["Range"].startswith("bytes=")
    assert exchange.headers["If-Range"] == '"version-1"'
    assert exchange.sent <= SIZE - CUT + BLOCK
    assert fetching.destination.read_bytes() == CONTENT


def test_a_date_serves_where_there_is_no_etag(fetching, server):
    _, url = leave_partial(fetching, server, etag=None, last_modified=DATE)
    assert fetching.fetch(url).sha256 == sha256(CONTENT)
    assert server.log[0].headers["If-Range"] == DATE
    assert server.sent("/a.pth") <= SIZE - CUT + BLOCK


def test_a_server_that_ignores_ranges_starts_over(fetching, server):
    served, url = leave_partial(fetching, server)
    served.ranges = False
    assert fetching.fetch(url).sha256 == sha256(CONTENT)
    assert "Range" in server.log[0].headers
    assert server.log[0].status == 200
    assert fetching.destination.read_bytes() == CONTENT


@pytest.mark.parametrize("validator", ["etag", "last_modified"])
def test_a_changed_file_is_not_mixed_with_the_old(fetching, server, validator):
    old = {"etag": None, "last_modified": None} | {validator: '"version-1"' if validator == "etag" else DATE}
    served, url = leave_partial(fetching, server, **old)
    served.content = random_bytes(SIZE, seed=1)
    setattr(served, validator, '"version-2"' if validator == "etag" else DATE.replace("10:", "11:"))
    assert fetching.fetch(url).sha256 == sha256(served.content)
    assert fetching.left_over == []


@pytest.mark.parametrize(
    "lie",
    [
        {"ETag": '"version-2"'},
        {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"},
        {"Content-Range": f"bytes {{start}}-{SIZE}/{SIZE + 1}"},
        {"Content-Range": "nonsense"},
    ],
    ids=["another version", "another start", "another size", "unreadable"],
)
def test_a_part_that_does_not_fit_is_not_appended(fetching, server, lie):
    """A 206 of a server that ignores If-Range and sends a part of something else."""
    _, url = leave_partial(fetching, server)

    def part(exchange):
        if "Range" not in exchange.headers:
            return None
        start = int(exchange.headers["Range"][6:-1])
        honest = {"ETag": '"version-1"', "Content-Range": f"bytes {start}-{SIZE - 1}/{SIZE}"}
        told = {name: value.replace("{start}", str(start)) for name, value in lie.items()}
        return Reply(206, honest | told, b"x" * (SIZE - start))

    server.answer("/a.pth", part)
    assert fetching.fetch(url).sha256 == sha256(CONTENT)
    assert len(server.log) == 2


def test_without_validator_and_hash_nothing_is_resumed(fetching, server):
    _, url = leave_partial(fetching, server, etag='W/"weak"')
    assert fetching.fetch(url).sha256 == sha256(CONTENT)
    assert "Range" not in server.log[0].headers


def test_a_known_hash_vouches_where_there_is_no_validator(fetching, server):
    _, url = leave_partial(fetching, server, etag=None, sha=sha256(CONTENT))
    assert fetching.fetch(url, sha256=sha256(CONTENT)).size == SIZE
    assert "If-Range" not in server.log[0].headers
    assert server.sent("/a.pth") <= SIZE - CUT + BLOCK


def test_a_known_hash_finds_a_change_and_the_file_is_fetched_anew(fetching, server):
    served, url = leave_partial(fetching, server, etag=None, sha=sha256(CONTENT))
    served.content = random_bytes(SIZE, seed=2)
    assert fetching.fetch(url, sha256=sha256(served.content)).size == SIZE
    assert [exchange.status for exchange in server.log] == [206, 200]


def test_a_damaged_partial_file_is_replaced_and_not_blamed_on_the_source(fetching, server):
    _, url = leave_partial(fetching, server)
    content = bytearray(fetching.partial.read_bytes())
    content[1000] ^= 1
    fetching.partial.write_bytes(content)
    assert fetching.fetch(url, sha256=sha256(CONTENT)).size == SIZE
    assert any("starting over" in remark for remark in fetching.remarks)


def test_a_complete_partial_file_is_finished_by_416(fetching, server):
    _, url = leave_partial(fetching, server)
    fetching.partial.write_bytes(CONTENT)
    assert fetching.fetch(url).sha256 == sha256(CONTENT)
    assert [(exchange.status, exchange.sent) for exchange in server.log] == [(416, 0)]


def test_416_for_another_size_starts_over(fetching, server):
    served, url = leave_partial(fetching, server)
    served.content = CONTENT[: CUT // 2]
    assert fetching.fetch(url).sha256 == sha256(served.content)
    assert [exchange.status for exchange in server.log] == [416, 200]


@pytest.mark.parametrize("note", [b"", b"{", b"[" * 9000, b'{"origin": {"url": 3}, "owner": null}', b"null"])
def test_a_partial_file_with_a_damaged_note_is_not_used(fetching, server, note):
    _, url = leave_partial(fetching, server)
    fetching.partial.with_suffix(".json").write_bytes(note)
    assert fetching.fetch(url).sha256 == sha256(CONTENT)
    assert "Range" not in server.log[0].headers


def test_what_one_source_sent_is_gone_on_with_at_another_if_the_hash_is_known(fetching, server):
    server.serve("/a.pth", CONTENT, cuts=[CUT, *[0] * 9])
    server.serve("/b.pth", CONTENT, etag='"of another server"')
    urls = server.url("/a.pth"), server.url("/b.pth")
    assert fetching.fetch(*urls, sha256=sha256(CONTENT)).url == urls[1]
    assert server.sent("/b.pth") <= SIZE - CUT + BLOCK


def test_what_one_source_sent_is_not_mixed_with_another_if_no_hash_is_known(fetching, server):
    server.serve("/a.pth", CONTENT, cuts=[CUT, *[0] * 9])
    other = random_bytes(SIZE, seed=3)
    server.serve("/b.pth", other)
    assert fetching.fetch(server.url("/a.pth"), server.url("/b.pth")).sha256 == sha256(other)


def test_a_long_download_over_a_bad_line_finishes(fetching, server):
    """Each try brings something new, so that more cuts than tries do no harm."""
    server.serve("/a.pth", CONTENT, cuts=[90_000] * 20)
    assert fetching.fetch(server.url("/a.pth")).sha256 == sha256(CONTENT)
    assert len(server.log) > 6
    done = [event.done for event in fetching.progress]
    assert done == sorted(done)
    assert done[-1] == SIZE


def test_a_server_that_cannot_resume_and_always_cuts_is_given_up(fetching, server):
    server.serve("/a.pth", CONTENT, ranges=False, cuts=[CUT] * 50)
    with pytest.raises(NetworkError, match="cut"):
        fetching.fetch(server.url("/a.pth"))
    assert len(server.log) <= 6


def test_a_wrong_file_leaves_nothing_to_resume(fetching, server):
    server.serve("/a.pth", CONTENT)
    with pytest.raises(IntegrityError):
        fetching.fetch(server.url("/a.pth"), sha256="0" * 64)
    assert fetching.left_over == []
