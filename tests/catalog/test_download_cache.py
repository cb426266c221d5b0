"""`pointlora download` and its cache: what is here, what is trusted, how it is repaired."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from command_line import call, start
from faulty_server import Reply, catalogue, served


def test_what_is_here_is_not_fetched_again_and_offline_is_enough(server, tmp_path, monkeypatch):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a" * 5000, "b.bin": b"b" * 5000})
    first = call("download", "mine", "--json").document
    assert {file["how"] for file in first["files"]} == {"downloaded"}
    server.log.clear()
    for extra in ([], ["--offline"]):
        again = call("download", "mine", *extra, "--json").document
        assert {file["how"] for file in again["files"]} == {"cached"}
        assert [file["sha256"] for file in again["files"]] == [file["sha256"] for file in first["files"]]
    assert server.log == []


def test_offline_and_absent_is_4_with_the_command_by_hand(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a"})
    monkeypatch.setenv("POINTLORA_OFFLINE", "1")
    outcome = call("download", "mine")
    assert outcome.code == 4
    assert "pointlora download mine --from-file a.bin" in outcome.err
    assert server.log == []


def test_one_failure_does_not_stop_the_other_files(server, monkeypatch, tmp_path, cache_home):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a" * 100, "b.bin": b"b" * 100})
    del server.files["/a.bin"]
    outcome = call("download", "mine", "--json")
    assert outcome.code == 4
    assert "a.bin" in outcome.document["error"]["message"]
    assert (cache_home / "datasets/mine/b.bin").read_bytes() == b"b" * 100


def test_a_mirror_is_asked_first_and_then_the_publisher(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a" * 100})
    monkeypatch.setenv("POINTLORA_MIRROR", f"{server.url('/nowhere')} {server.url('/mirror/')}")
    server.serve("/mirror/mine/a.bin", b"m" * 100)
    (file,) = call("download", "mine", "--json").document["files"]
    assert Path(file["path"]).read_bytes() == b"m" * 100
    assert [exchange.target for exchange in server.log] == ["/nowhere/mine/a.bin", "/mirror/mine/a.bin"]


def test_a_first_hash_is_recorded_and_a_later_difference_refused(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"first"})
    outcome = call("download", "mine", "--json")
    assert "trusted from now on" in outcome.err
    assert call("download", "mine", "--remove").code == 0
    server.serve("/a.bin", b"other")
    refused = call("download", "mine")
    assert refused.code == 5
    (sha256,) = set(re.findall(r"[0-9a-f]{64}", refused.err)) - {outcome.document["files"][0]["sha256"]}
    assert call("download", "mine", "--sha256", sha256).code == 0
    assert call("download", "mine", "--remove").code == 0
    assert call("download", "mine").code == 0


def test_verify_finds_a_tampered_file(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a" * 100, "b.bin": b"b" * 100})
    files = call("download", "mine", "--json").document["files"]
    assert call("download", "--verify").out.count("intact") == 2
    path = Path(files[0]["path"])
    path.write_bytes(b"A" + path.read_bytes()[1:])
    outcome = call("download", "--verify")
    assert outcome.code == 5
    assert "a.bin" in outcome.err
    assert "b.bin" not in outcome.err
    assert "pointlora download mine/a --remove" in outcome.err
    assert call("download", "mine/a", "--remove").code == 0
    assert call("download", "mine").code == 0
    assert call("download", "--verify", "mine").code == 0


def test_ctrl_c_keeps_what_was_received_and_the_next_run_goes_on(server, monkeypatch, tmp_path):
    import signal
    import time

    content = os.urandom(3_000_000)
    catalogue(monkeypatch, tmp_path, server, {"a.bin": content})
    server.files["/a.bin"].throttle = 1_500_000
    process = start("download", "mine")
    deadline = time.monotonic() + 20
    while server.sent("/a.bin") < 1_000_000 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "again" in err
    server.files["/a.bin"].throttle = None
    server.log.clear()
    outcome = call("download", "mine", "--json")
    assert outcome.code == 0, outcome.err
    assert Path(outcome.document["files"][0]["path"]).read_bytes() == content
    assert server.sent("/a.bin") < len(content)


def test_a_truncated_file_is_found_without_naming_it(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a" * 100, "b.bin": b"b" * 100})
    files = call("download", "mine", "--json").document["files"]
    Path(files[0]["path"]).write_bytes(b"a" * 50)
    Path(files[1]["path"]).unlink()
    outcome = call("download", "--verify")
    assert outcome.code == 5
    assert "holds 50 bytes, recorded were 100" in outcome.err
    assert "b.bin: missing" in outcome.err


def test_verify_of_an_entry_reads_all_of_its_files_that_are_here(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a", "b.bin": b"b", "c.bin": b"c"})
    path = tmp_path / "catalog.yaml"
    content = yaml.safe_load(path.read_text())
    content["mine"]["files"][1]["default"] = False
    path.write_text(yaml.safe_dump(content))
    (other,) = call("download", "mine/b", "--json").document["files"]
    document = call("download", "--verify", "mine", "--json").document
    assert [file["name"] for file in document["files"]] == ["mine/b.bin"]
    Path(other["path"]).write_bytes(b"B")
    assert call("download", "--verify", "mine").code == 5


def test_what_was_imported_is_not_said_to_come_from_the_publisher(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a"})
    own = tmp_path / "own.bin"
    own.write_bytes(b"mine")
    (file,) = call("download", "mine", "--from-file", own, "--json").document["files"]
    Path(file["path"]).write_bytes(b"MINE")
    outcome = call("download", "--verify", "--json")
    assert outcome.document["error"]["remedy"].endswith(f"it came from {own}")


def test_a_given_hash_counts_for_what_is_here_too(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a"})
    (file,) = call("download", "mine", "--json").document["files"]
    assert call("download", "mine", "--sha256", file["sha256"].upper(), "--offline").code == 0
    outcome = call("download", "mine", "--sha256", "0" * 64)
    assert outcome.code == 5
    assert f"expected {'0' * 64}, which you gave" in outcome.err
    assert call("download", "--verify").code == 0


@pytest.mark.parametrize("how", ["url", "file"])
def test_the_remedy_for_another_file_than_the_first_works(server, monkeypatch, tmp_path, how):
    import shlex

    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"first"})
    assert call("download", "mine").code == 0
    other = tmp_path / "an other.bin"
    other.write_bytes(b"other")
    place = ["--from-file", str(other)] if how == "file" else ["--url", served(server, other, "/other")]
    remedy = call("download", "mine", *place, "--json").document["error"]["remedy"]
    sha256 = re.search(r"--sha256 ([0-9a-f]{64})", remedy)[1]
    if how == "file":
        command = shlex.split(remedy.partition("pointlora ")[2])
    else:
        command = ["download", "mine", *place, "--sha256", sha256]
    (file,) = call(*command, "--json").document["files"]
    assert Path(file["path"]).read_bytes() == b"other"


def test_the_command_by_hand_names_one_file(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a", "b.bin": b"b"})
    outcome = call("download", "mine", "--offline")
    for name in "ab":
        assert f"pointlora download mine/{name} --from-file {name}.bin" in outcome.err


def test_no_secret_of_an_address_is_shown_or_recorded(server, monkeypatch, tmp_path, cache_home):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a"})
    server.serve("/signed", b"a")
    host = server.url("").removeprefix("http://")
    query = "id=5&X-Amz-Signature=HUSH&token=HUSH"
    for path, arguments in (("signed", ["--dry-run"]), ("nosuch", []), ("signed", [])):
        outcome = call("download", "mine", "--url", f"http://me:HUSH@{host}/{path}?{query}", *arguments)
        assert "HUSH" not in outcome.out + outcome.err
        assert path == "signed" or "id=5" in outcome.err
    assert outcome.code == 0, outcome.err
    assert "HUSH" in server.log[-1].target
    assert not any(b"HUSH" in path.read_bytes() for path in cache_home.rglob("*") if path.is_file())
    monkeypatch.setenv("POINTLORA_MIRROR", f"http://me:HUSH@{host}/mirror")
    assert call("download", "mine", "--remove").code == 0
    assert "HUSH" not in call("download", "mine", "--dry-run", "--json").out
    assert "HUSH" not in call("download", "mine", "--url", "ftp://me:HUSH@host/a").err


def test_a_damaged_pin_does_not_hide_the_list(server, monkeypatch, tmp_path, cache_home):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a"})
    assert call("download", "mine").code == 0
    (cache_home / "pins/mine/a.bin.json").write_text("garbage")
    (entry,) = call("download", "--list", "mine", "--json").document["entries"]
    assert entry["files_cached"] == 1
    assert entry["files"][0]["recorded_sha256"] is None


def test_a_cache_inside_a_file_says_so(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a"})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POINTLORA_HOME", str(tmp_path / "file" / "cache"))
    outcome = call("download", "mine")
    assert outcome.code == 2
    assert "Not a directory" in outcome.err
    assert "POINTLORA_HOME" in outcome.err
    assert call("download", "--list").code == 0


def test_remove_takes_what_has_no_record_and_what_is_unfinished(server, monkeypatch, tmp_path, cache_home):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a" * 100, "b.bin": b"b" * 100_000})
    server.files["/b.bin"].cuts = [50_000]
    server.files["/b.bin"].statuses = []
    server.answer("/b.bin", lambda exchange: Reply(404) if "Range" in exchange.headers else None)
    assert call("download", "mine").code == 4
    (cache_home / "records/mine/a.bin.json").write_text("garbage")
    removed = {
        file["name"]: file["bytes"]
        for file in call("download", "mine", "--remove", "--json").document["files"]
    }
    assert removed["mine/a.bin"] == 100
    assert 0 < removed["mine/b.bin"] <= 50_000
    assert not list(cache_home.rglob("*.bin")) + list(cache_home.rglob("*.part"))
