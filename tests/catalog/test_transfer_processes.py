"""Several processes at once, with locks and without; processes that are killed; whose partial file is whose."""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from catalog.transfers import NAME, QUICK, Fetching, outcome, outcomes, random_bytes, sha256

from pointlora_cli.catalog.events import TransferProgress
from pointlora_cli.catalog.owners import Owner, current_owner
from pointlora_cli.catalog.partials import Partials
from pointlora_cli.errors import NetworkError

CONTENT = random_bytes(600_000)
NO_LOCKS = "import fcntl; fcntl.flock = fcntl.lockf = lambda *_: None"

# A process that starts children quickly. Each fetches, and is killed after the seconds that a line of its input
# says; how it ended is the line of its output.
NURSERY = """
import os, signal, sys, time
import filelock, requests
from pathlib import Path
from pointlora_cli.catalog.fetching import Source, Wanted, fetch
from pointlora_cli.catalog.settings import Settings

folder, url, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        wanted = Wanted(name, (Source(url),), None, None, "")
        fetch(wanted, folder / "file.pth", work=folder / "work", settings=Settings(folder), listen=lambda _: None)
        os._exit(0)
    end, ended = time.monotonic() + float(line), (0, 0)
    while ended == (0, 0) and time.monotonic() < end:
        time.sleep(0.002)
        ended = os.waitpid(child, os.WNOHANG)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        ended = os.waitpid(child, 0)
    print(ended[1], flush=True)
"""


def test_eight_processes_share_one_download(fetching, server):
    server.serve("/a.pth", CONTENT, throttle=600_000)
    told = outcomes(fetching.start_child(server.url("/a.pth"), count=8))
    assert len(told) == 8
    assert {one["sha256"] for one in told} == {sha256(CONTENT)}
    assert fetching.destination.read_bytes() == CONTENT
    assert fetching.left_over == []
    waited = sum("another process is downloading it; waiting" in one["remarks"] for one in told)
    assert waited == 7
    assert server.sent("/a.pth") == len(CONTENT)


def test_eight_processes_are_right_without_locks_too(fetching, server):
    server.serve("/a.pth", CONTENT, throttle=600_000)
    told = outcomes(fetching.start_child(server.url("/a.pth"), count=8, before=NO_LOCKS))
    assert len(told) == 8
    assert {one["sha256"] for one in told} == {sha256(CONTENT)}
    assert not any("waiting" in remark for one in told for remark in one["remarks"])
    assert fetching.destination.read_bytes() == CONTENT
    assert fetching.left_over == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fifty_kills_leave_no_corrupt_file_and_the_next_run_finishes(fetching, server):
    content = random_bytes(5_000_000)
    server.serve("/a.pth", content, throttle=8_000_000)
    nursery = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(fetching.folder), server.url("/a.pth"), NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def fetch_for(seconds):
        """How a child ended that was killed after some time, if it had not ended by itself: 0."""
        nursery.stdin.write(f"{seconds}\n")
        nursery.stdin.flush()
        return int(nursery.stdout.readline())

    moments = random.Random(5)
    published = 0
    for _ in range(50):
        fetch_for(moments.uniform(0.0, 0.1))
        if fetching.destination.exists():
            published += 1
            assert fetching.destination.read_bytes() == content
            fetching.destination.unlink()
    assert fetch_for(20.0) == 0
    assert fetching.destination.read_bytes() == content
    nursery.stdin.close()
    nursery.wait(timeout=10)
    # A kill between creating a note and writing it leaves an empty file, which is nobody's for a day.
    assert [path for path in fetching.left_over if path.stat().st_size > 0] == []
    assert any(exchange.status == 206 for exchange in server.log)
    # A kill costs what was on its way, not what was here.
    assert server.sent("/a.pth") < (1 + published) * len(content) + 50 * 2 * 2**16


def test_an_interrupted_run_leaves_its_part_to_the_next(fetching, server):
    served = server.serve("/a.pth", CONTENT, throttle=1_000_000)

    def interrupt(event):
        if isinstance(event, TransferProgress) and event.done > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(server.url("/a.pth"), listen=interrupt)
    kept = fetching.partial.stat().st_size
    assert kept > 200_000
    served.throttle = None
    fetching.fetch(server.url("/a.pth"))
    assert server.log[1].headers["Range"] == f"bytes={kept}-"
    assert fetching.left_over == []


def leave(fetching, server, *, owner, sha=None):
    """A partial file of 40 % whose note names an owner; returns its path and the URL."""
    served = server.serve("/a.pth", CONTENT, cuts=[240_000, 0, 0, 0])
    with pytest.raises(NetworkError):
        fetching.fetch(server.url("/a.pth"), sha256=sha)
    served.cuts.clear()
    server.log.clear()
    path = fetching.partial
    note = json.loads(path.with_suffix(".json").read_text())
    note["owner"] = owner and vars(owner)
    path.with_suffix(".json").write_text(json.dumps(note))
    return path, server.url("/a.pth")


HERE = current_owner()
linux = pytest.mark.skipif(not HERE.boot, reason="the system tells nothing about its processes")


@linux
@pytest.mark.parametrize(
    "dead", [replace(HERE, pid=2**22 + 1), replace(HERE, started="1")], ids=["gone", "another by its number"]
)
def test_a_dead_owners_part_is_taken_over(fetching, server, dead):
    path, url = leave(fetching, server, owner=dead)
    inode = path.stat().st_ino
    fetching.fetch(url)
    assert server.log[0].status == 206
    assert fetching.destination.stat().st_ino == inode
    assert fetching.left_over == []


@linux
@pytest.mark.parametrize(
    "alive",
    [HERE, replace(HERE, namespace="pid:[1]", pid=2**22 + 1)],
    ids=["a process here", "a process of another container"],
)
def test_the_part_of_one_who_may_be_alive_is_copied_and_left_alone(fetching, server, alive):
    path, url = leave(fetching, server, owner=alive)
    before = path.read_bytes()
    fetching.fetch(url)
    assert server.log[0].status == 206
    assert path.read_bytes() == before
    assert fetching.destination.read_bytes() == CONTENT


@linux
def test_what_a_crash_may_have_lost_is_built_upon_only_with_a_hash(fetching, server):
    """After a reboot, or seen from another machine, nobody knows whether all bytes reached the disk."""
    elsewhere = replace(HERE, boot="another-boot")
    path, url = leave(fetching, server, owner=elsewhere)
    fetching.fetch(url)
    assert "Range" not in server.log[0].headers
    fetching.destination.unlink()
    server.log.clear()
    assert path.exists()
    fetching.fetch(url, sha256=sha256(CONTENT))
    assert server.log[0].status == 206


@linux
def test_what_nobody_touched_for_days_is_deleted(fetching, server):
    path, url = leave(fetching, server, owner=replace(HERE, boot="another-boot"))
    for file in (path, path.with_suffix(".json")):
        os.utime(file, (time.time() - 3 * 86400,) * 2)
    fetching.fetch(url)
    assert fetching.left_over == []


def test_a_part_can_be_taken_over_only_once(tmp_path, fetching, server):
    leave(fetching, server, owner=None)
    partials = Partials(fetching.work, NAME)
    first = partials.adopt(lambda _: True, is_hash_known=False)
    second = partials.adopt(lambda _: True, is_hash_known=False)  # a copy of the first's
    assert first.path != second.path
    first.append(b"1")
    second.append(b"2")
    assert first.path.read_bytes()[-1:] == b"1"
    assert second.path.read_bytes()[-1:] == b"2"
    first.discard()
    second.discard()


def test_another_users_part_is_copied_where_it_cannot_be_written(fetching, server, monkeypatch):
    path, url = leave(fetching, server, owner=None)
    inode = path.stat().st_ino
    monkeypatch.setattr(os, "access", lambda asked, _: asked != path)
    fetching.fetch(url)
    assert server.log[0].status == 206
    assert fetching.destination.stat().st_ino != inode
    assert fetching.destination.read_bytes() == CONTENT


def test_parts_of_other_files_are_left_alone(fetching, server):
    leave(fetching, server, owner=None)
    other = Fetching(fetching.folder)
    other.fetch(server.url("/a.pth"), name="recon/pretrain.pth")
    assert len(fetching.left_over) == 2
    assert "Range" not in server.log[0].headers


@linux
def test_an_owner_is_dead_only_for_sure():
    assert not HERE.is_surely_dead
    assert not Owner("", "", 2**22 + 1, "").is_surely_dead
    child = subprocess.Popen([sys.executable, "-c", ""])
    owner = replace(HERE, pid=child.pid, started="7")
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_surely_dead  # a zombie writes nothing
    child.wait()
    assert owner.is_surely_dead


def hold_lock(fetching):
    """A process that has the lock and does nothing."""
    fetching.work.mkdir(exist_ok=True)
    lock = Partials(fetching.work, NAME).lock
    code = f"import filelock, time; lock = filelock.FileLock({str(lock)!r}); lock.acquire(); print(1, flush=True)"
    holder = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(60)"], stdout=subprocess.PIPE)
    holder.stdout.readline()
    return holder


def test_a_process_that_gets_no_further_is_not_waited_for(fetching, server):
    server.serve("/a.pth", CONTENT)
    holder = hold_lock(fetching)
    fetching.fetch(server.url("/a.pth"))
    assert fetching.remarks == [
        "another process is downloading it; waiting",
        "the other process gets no further; going on without it",
    ]
    holder.kill()
    holder.wait()


def test_a_waiting_process_takes_what_arrives_only_if_it_is_what_it_wants(fetching, server):
    server.serve("/a.pth", CONTENT)
    for arriving, requests in ((CONTENT, 0), (b"something else", 1)):
        fetching.destination.unlink(missing_ok=True)
        holder, seen = hold_lock(fetching), []

        def deliver(event, arriving=arriving, seen=seen):
            if not seen:
                fetching.destination.write_bytes(arriving)
            seen.append(event)

        fetched = fetching.fetch(
            server.url("/a.pth"), sha256=sha256(CONTENT), listen=deliver, patience=replace(QUICK, others=10)
        )
        assert fetched.sha256 == sha256(CONTENT)
        assert fetching.destination.read_bytes() == CONTENT
        assert len(server.log) == requests
        holder.kill()
        holder.wait()


def test_when_the_downloading_process_dies_another_takes_over(fetching, server):
    served = server.serve("/a.pth", CONTENT, throttle=200_000)
    first = fetching.start_child(server.url("/a.pth"))
    while not list(fetching.folder.glob("work/*.part")) or fetching.partial.stat().st_size < 150_000:
        time.sleep(0.02)
    second = fetching.start_child(server.url("/a.pth"))
    time.sleep(0.5)
    first.kill()
    first.communicate()
    served.throttle = None
    told = outcome(second)
    assert told["sha256"] == sha256(CONTENT)
    assert any(remark.startswith("resuming at") for remark in told["remarks"])
