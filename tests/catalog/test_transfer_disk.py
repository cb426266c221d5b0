"""Full disks, folders that cannot be written, odd names."""

import json
import os
import shutil
import stat
import subprocess
from types import SimpleNamespace

import pytest
from catalog.transfers import Fetching, outcome, random_bytes, sha256

from pointlora_cli.errors import ExitCode, NetworkError, UsageError

CONTENT = random_bytes(1_000_000)


def test_a_file_too_large_for_the_disk_is_not_begun(fetching, server, monkeypatch):
    server.serve("/a.pth", CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=999_999))
    with pytest.raises(UsageError) as caught:
        fetching.fetch(server.url("/a.pth"))
    assert caught.value.exit_code == ExitCode.USAGE
    assert "needs 1,000,000 bytes; 999,999 bytes free at" in caught.value.message
    assert str(fetching.work) in caught.value.message
    assert "POINTLORA_HOME" in caught.value.remedy
    assert fetching.left_over == []


def test_what_is_here_already_needs_no_more_space(fetching, server, monkeypatch):
    served = server.serve("/a.pth", CONTENT, cuts=[400_000, 0, 0, 0])
    with pytest.raises(NetworkError):
        fetching.fetch(server.url("/a.pth"))
    served.cuts.clear()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=620_000))
    assert fetching.fetch(server.url("/a.pth")).sha256 == sha256(CONTENT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file sizes are a matter of Unix")
def test_a_disk_that_fills_up_leaves_nothing(fetching, server):
    """A limit on the size of files fails in the middle of a write, as a full disk does."""
    server.serve("/a.pth", CONTENT, framing="chunked")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
    told = outcome(fetching.start_child(server.url("/a.pth"), before=limit))
    assert told["code"] == ExitCode.USAGE
    assert "not enough space" in told["error"]
    assert str(fetching.work) in told["error"]
    assert fetching.left_over == []
    assert not fetching.destination.exists()


@pytest.mark.parametrize("folder", ["work", "destination"])
def test_a_folder_that_cannot_be_written_is_one_clear_error(fetching, server, tmp_path, monkeypatch, folder):
    server.serve("/a.pth", CONTENT)
    closed = tmp_path / "closed"
    closed.mkdir()
    if folder == "work":
        fetching.work = closed
    else:
        fetching.destination = closed / "file.pth"
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(closed, os.W_OK):  # for root, no folder is closed: a file in its place is
        closed.rmdir()
        closed.write_bytes(b"")
    with pytest.raises(UsageError, match="closed") as caught:
        fetching.fetch(server.url("/a.pth"))
    assert "POINTLORA_HOME" in caught.value.remedy
    assert server.log == []


@pytest.mark.parametrize("name", ["Räume und Wolken 點雲", 'a\'b "c" $HOME %41 [x]*?'])
def test_spaces_and_other_alphabets_in_paths(tmp_path, server, name):
    fetching = Fetching(tmp_path / name)
    served = server.serve("/a.pth", CONTENT, cuts=[400_000, 0, 0, 0])
    with pytest.raises(NetworkError):
        fetching.fetch(server.url("/a.pth"), name=f"{name}/{name}")
    served.cuts.clear()
    assert fetching.fetch(server.url("/a.pth"), name=f"{name}/{name}").path.read_bytes() == CONTENT
    assert server.log[-1].status == 206
    assert fetching.left_over == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="a small file system without root rights")
def test_a_file_system_that_is_really_full(fetching, server):
    """In a namespace of its own, a process may mount one; where it may not, the limit above must do."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    server.serve("/a.pth", CONTENT, framing="chunked")
    fetching.work.mkdir()
    script = 'mount -t tmpfs -o size=600k none "$0" && "$@" && ls -A "$0" >&2'
    mounted = ["unshare", "-rm", "sh", "-c", script, str(fetching.work)]
    child = fetching.start_child(server.url("/a.pth"), prefix=mounted)
    out, left_over = child.communicate(timeout=30)
    assert child.returncode == 0
    assert json.loads(out)["error"].startswith("not enough space")
    assert left_over == ""
