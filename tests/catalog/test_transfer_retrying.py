"""Busy, silent and refusing servers: what is tried again, how often, and what is said in the end."""

import random
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from catalog.transfers import BY_HAND, QUICK, random_bytes, sha256
from faulty_server import FaultyServer

from pointlora_cli.catalog.failures import TemporaryError
from pointlora_cli.catalog.retrying import Patience, Retries, retry_after
from pointlora_cli.errors import ExitCode, NetworkError

CONTENT = random_bytes(100_000)


def test_a_busy_server_is_asked_again_when_it_wishes(fetching, server):
    server.serve("/a.pth", CONTENT, statuses=[(503, {"Retry-After": "1"}), (503, {})])
    start = time.monotonic()
    assert fetching.fetch(server.url("/a.pth")).sha256 == sha256(CONTENT)
    assert 1 <= time.monotonic() - start < 3
    assert fetching.remarks[0] == "busy (503 Service Unavailable); again in 1 s"


def test_a_server_that_stays_busy_is_given_up(fetching, server):
    server.serve("/a.pth", CONTENT, statuses=[(503, {})] * 6)
    patience = replace(QUICK, tries=6)
    with pytest.raises(NetworkError) as caught:
        fetching.fetch(server.url("/a.pth"), patience=patience)
    assert len(server.log) == 6
    assert caught.value.exit_code == ExitCode.NETWORK
    assert server.url("/a.pth") in caught.value.message
    assert "503 Service Unavailable" in caught.value.message
    assert BY_HAND in caught.value.remedy


def test_a_dead_mirror_does_not_hold_up_the_next_source(fetching, server):
    server.serve("/a.pth", CONTENT, statuses=[(503, {})] * 6)
    server.serve("/b.pth", CONTENT)
    patience = replace(QUICK, tries=6)
    fetching.fetch(server.url("/a.pth"), server.url("/b.pth"), patience=patience)
    assert [exchange.status for exchange in server.log] == [503] * 3 + [200]


@pytest.mark.parametrize("wish", [None, 7.0, 3600.0])
def test_six_times_busy_is_over_within_a_minute(monkeypatch, wish):
    """With the pauses of real life, and whatever the server wishes; the clock is turned by hand."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    retries, tries = Retries(Patience(), 0), 0
    while True:
        tries += 1
        pause = retries.pause_after(TemporaryError("busy", wish), 0)
        if pause is None:
            break
        now[0] += pause
    assert 2 <= tries <= 6
    assert now[0] - 1000 < 60


def test_pauses_grow_and_differ_between_clients():
    def pauses(seed):
        random.seed(seed)
        retries = Retries(Patience(), 0)
        return [retries.pause_after(TemporaryError("busy"), 0) for _ in range(5)]

    first = pauses(0)
    assert all(2**k / 2 <= pause <= 2**k for k, pause in enumerate(first))
    assert first != pauses(1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 504])
def test_what_may_pass_is_tried_again(fetching, server, status):
    server.serve("/a.pth", CONTENT, statuses=[(status, {})])
    assert fetching.fetch(server.url("/a.pth")).size == len(CONTENT)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 451])
def test_what_will_not_pass_goes_to_the_next_source_at_once(fetching, server, status):
    server.serve("/a.pth", CONTENT, statuses=[(status, {})] * 9)
    server.serve("/b.pth", CONTENT)
    assert fetching.fetch(server.url("/a.pth"), server.url("/b.pth")).url == server.url("/b.pth")
    assert len(server.log) == 2
    assert str(status) in fetching.remarks[0]
    assert server.url("/b.pth") in fetching.remarks[0]


def test_a_silent_server_times_out(fetching, server):
    server.serve("/a.pth", CONTENT, stall_after=10_000)
    with pytest.raises(NetworkError, match=r"nothing came for 0\.2 s"):
        fetching.fetch(server.url("/a.pth"), patience=replace(QUICK, read=0.2, tries=2))
    assert len(server.log) == 2


def test_a_server_that_wakes_up_again_is_gone_on_with(fetching, server):
    served = server.serve("/a.pth", CONTENT, stall_after=70_000)

    def listen(event):
        fetching.events.append(event)
        if fetching.remarks:
            served.stall_after = None

    fetched = fetching.fetch(server.url("/a.pth"), patience=replace(QUICK, read=0.2), listen=listen)
    assert fetched.sha256 == sha256(CONTENT)
    assert server.log[1].status == 206


def test_nobody_there_and_no_such_name(fetching, server):
    with FaultyServer() as gone:
        nobody = gone.url("/a.pth")
    with pytest.raises(NetworkError) as caught:
        fetching.fetch(nobody, "http://no-such-host.invalid/a.pth", server.url("/none.pth"))
    message = caught.value.message
    assert "refused" in message
    assert "name of the server cannot be resolved" in message
    assert "answers 404 Not Found" in message
    assert all(url in message for url in (nobody, "http://no-such-host.invalid/a.pth"))


def test_a_listener_can_stop_a_pause(fetching, server):
    server.serve("/a.pth", CONTENT, statuses=[(503, {"Retry-After": "30"})])

    def listen(event):
        fetching.events.append(event)
        if fetching.progress:
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(server.url("/a.pth"), listen=listen, patience=Patience())
    assert time.monotonic() - start < 2


def test_retry_after_is_read_as_seconds_or_as_a_date():
    soon = datetime.now(timezone.utc) + timedelta(seconds=20)
    assert retry_after("17") == 17
    assert 15 < retry_after(format_datetime(soon, usegmt=True)) <= 20
    assert retry_after("Sat, 01 Aug 2015 10:00:00 GMT") == 0
    assert [retry_after(text) for text in (None, "", "soon", "-3", "9" * 5000, "1e9")] == [None] * 6


def test_progress_is_told_at_most_ten_times_a_second(fetching, server):
    server.serve("/a.pth", random_bytes(2_000_000), throttle=4_000_000)
    start = time.monotonic()
    fetching.fetch(server.url("/a.pth"))
    told = [(event.done, event.total) for event in fetching.progress]
    assert told[0] == (0, 2_000_000)
    assert told[-1] == (2_000_000, 2_000_000)
    assert 3 <= len(told) <= 10 * (time.monotonic() - start) + 3
