"""The cache: what counts as cached, whose hash is trusted, and what killed or racing processes leave."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from pointlora_cli.catalog.cache import Cache, cached_file, cached_folder
from pointlora_cli.catalog.entries import Entry
from pointlora_cli.catalog.importing import import_file
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.errors import IntegrityError, PointLoRAError, UsageError

FORK = multiprocessing.get_context("fork")
A, B = "a" * 64, "b" * 64


def entry(**file):
    return Entry.model_validate(
        {
            "name": "thing",
            "kind": "checkpoint",
            "title": "",
            "license": "",
            "homepage": "",
            "citation": "",
            "files": [{"name": "weights.pth", **file}],
        }
    )


PLAIN = entry()
PACKED = entry(unpack={"members": ["parts/*.txt", "more/deep/*.txt"]})


def put(cache, what, source, **options):
    options = {"link": False, "sha256": None, "check": lambda path, sha256: None, **options}
    return import_file(cache, what, what.files[0], source, listen=lambda event: None, **options)


def archive_of(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(f"top/{name}", value)
    return path


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "the cache ü")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.pth"
    path.write_bytes(b"weights" * 1000)
    return path


@pytest.fixture
def packed(tmp_path):
    content = {"parts/a.txt": b"a" * 500, "parts/b.txt": b"b" * 300, "more/deep/c.txt": b"c"}
    return archive_of(tmp_path / "source.zip", content)


def is_cached(cache, what=PLAIN):
    return cache.is_cached(what, what.files[0])


def problems(cache, what=PLAIN, listen=lambda event: None):
    return cache.verify(what, what.files[0], listen)


def test_what_was_put_there_is_cached_and_intact(cache, source, packed):
    assert not is_cached(cache) and problems(cache)
    record = put(cache, PLAIN, source)
    path = cache.path(PLAIN, PLAIN.files[0])
    assert path == cache.home / "checkpoints" / "thing" / "weights.pth"
    assert path.read_bytes() == source.read_bytes()
    assert cache.record(PLAIN, PLAIN.files[0]) == record
    assert record.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert is_cached(cache) and problems(cache) == [] and cache.size(PLAIN, PLAIN.files[0]) == 7000
    other = Cache(cache.home.with_name("other"))
    put(other, PACKED, packed)
    assert (
        is_cached(other, PACKED)
        and problems(other, PACKED) == []
        and other.size(PACKED, PACKED.files[0]) == 801
    )
    assert not list(cache.work.iterdir()) and not list(other.work.iterdir())


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 9999])
def test_a_damaged_record_is_no_record(cache, source, damage):
    put(cache, PLAIN, source)
    (cache.home / "records" / "thing" / "weights.pth.json").write_bytes(damage)
    assert cache.record(PLAIN, PLAIN.files[0]) is None
    assert not is_cached(cache) and problems(cache)
    put(cache, PLAIN, source)
    assert is_cached(cache)


@pytest.mark.parametrize(
    "change",
    [{"size": "7000"}, {"size": -1}, {"sha256": "../x"}, {"members": {"a": {}}}, {"schema_version": 9}],
)
def test_a_record_that_says_nonsense_is_no_record(cache, source, change):
    put(cache, PLAIN, source)
    path = cache.home / "records" / "thing" / "weights.pth.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert cache.record(PLAIN, PLAIN.files[0]) is None and not is_cached(cache)


def test_a_record_cannot_make_removal_reach_outside(cache, packed, tmp_path):
    put(cache, PACKED, packed)
    path = cache.home / "records" / "thing" / "weights.pth.json"
    content = json.loads(path.read_text())
    content["members"]["../../../source.zip"] = {"size": packed.stat().st_size, "sha256": A}
    path.write_text(json.dumps(content))
    cache.remove(PACKED, PACKED.files[0])
    assert packed.exists()


def test_a_change_of_size_is_noticed_at_once_and_any_other_by_verifying(cache, source, packed):
    put(cache, PLAIN, source)
    path = cache.path(PLAIN, PLAIN.files[0])
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    assert is_cached(cache)
    events = []
    (problem,) = problems(cache, listen=events.append)
    assert str(path) in problem and hashlib.sha256(content).hexdigest() in problem
    assert [(event.what, event.done, event.total) for event in events] == [("verifying", 7000, 7000)]
    path.write_bytes(content[:-1])
    assert not is_cached(cache) and "6,999" in problems(cache)[0]
    path.unlink()
    assert not is_cached(cache) and "missing" in problems(cache)[0]
    cache = Cache(cache.home.with_name("other"))
    put(cache, PACKED, packed)
    (cache.folder(PACKED) / "parts" / "b.txt").write_bytes(b"B" * 300)
    assert is_cached(cache, PACKED) and len(problems(cache, PACKED)) == 1
    (cache.folder(PACKED) / "more" / "deep" / "c.txt").unlink()
    assert not is_cached(cache, PACKED) and len(problems(cache, PACKED)) == 2


def test_another_published_hash_makes_a_file_uncached(cache, source):
    put(cache, PLAIN, source)
    right, wrong = entry(sha256=hashlib.sha256(source.read_bytes()).hexdigest()), entry(sha256=A)
    assert is_cached(cache, right) and not is_cached(cache, wrong)
    assert A in problems(cache, wrong)[0]


def test_removing_frees_what_is_there_and_keeps_what_is_trusted(cache, source, packed):
    put(cache, PLAIN, source)
    pinned = cache.pinned(PLAIN, PLAIN.files[0])
    assert cache.remove(PLAIN, PLAIN.files[0]) == 7000
    assert not is_cached(cache) and not cache.folder(PLAIN).exists()
    assert cache.pinned(PLAIN, PLAIN.files[0]) == pinned == hashlib.sha256(source.read_bytes()).hexdigest()
    assert cache.remove(PLAIN, PLAIN.files[0]) == 0
    cache = Cache(cache.home.with_name("other"))
    put(cache, PACKED, packed)
    (cache.folder(PACKED) / "own.txt").write_bytes(b"a user's")
    (cache.home / "records" / "thing" / "weights.pth.json").unlink()  # as a killed process may leave it
    assert cache.remove(PACKED, PACKED.files[0]) == 801
    assert [path.name for path in cache.folder(PACKED).rglob("*")] == ["own.txt"]


def test_removing_a_link_leaves_what_it_leads_to(cache, source):
    put(cache, PLAIN, source, link=True)
    assert cache.path(PLAIN, PLAIN.files[0]).is_symlink() and is_cached(cache) and problems(cache) == []
    assert cache.remove(PLAIN, PLAIN.files[0]) == 0
    assert source.exists() and not cache.path(PLAIN, PLAIN.files[0]).is_symlink()


def test_the_first_hash_is_trusted_until_a_person_gives_another(cache):
    file = PLAIN.files[0]
    assert cache.pinned(PLAIN, file) is None
    assert cache.pin(PLAIN, file, A, "https://first.example")
    assert not cache.pin(PLAIN, file, A, "https://second.example")
    with pytest.raises(IntegrityError) as error:
        cache.pin(PLAIN, file, B, "https://second.example")
    for words in (A, B, "https://first.example", "https://second.example", "thing/weights.pth"):
        assert words in error.value.message
    assert f"pointlora download thing/weights --sha256 {B}" in str(error.value.remedy)
    assert cache.pinned(PLAIN, file) == A
    cache.repin(PLAIN, file, B, "--sha256")
    assert cache.pinned(PLAIN, file) == B and not cache.pin(PLAIN, file, B, "anywhere")


@pytest.mark.parametrize("damage", [b"[]", b"{}", b"\xff", b'{"sha256": "x", "source": "", "at": ""}', b""])
def test_a_damaged_pin_trusts_nothing(cache, damage):
    cache.pin(PLAIN, PLAIN.files[0], A, "first")
    path = cache.home / "pins" / "thing" / "weights.pth.json"
    path.write_bytes(damage)
    for call in (
        lambda: cache.pinned(PLAIN, PLAIN.files[0]),
        lambda: cache.pin(PLAIN, PLAIN.files[0], A, "again"),
    ):
        with pytest.raises(IntegrityError, match="damaged") as error:
            call()
        assert str(path) in error.value.message


def _pin_when_told(home, sha256, start, answers):
    start.wait()
    try:
        answers.put("first" if Cache(home).pin(PLAIN, PLAIN.files[0], sha256, sha256[0]) else "same")
    except IntegrityError:
        answers.put("other")


@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_processes_one_is_the_first(cache, has_links, monkeypatch):
    if not has_links:
        monkeypatch.setattr(os, "link", _no_links)  # as on file systems that have none
    for _ in range(5):
        start, answers = FORK.Event(), FORK.Queue()
        hashes = [letter * 64 for letter in "abcdefff"]
        children = [
            FORK.Process(target=_pin_when_told, args=(cache.home, one, start, answers)) for one in hashes
        ]
        for child in children:
            child.start()
        start.set()
        found = sorted(answers.get(timeout=20) for _ in children)
        for child in children:
            child.join()
        assert found.count("first") == 1
        pinned = cache.pinned(PLAIN, PLAIN.files[0])
        assert found.count("same") == hashes.count(pinned) - 1
        assert [path.name for path in (cache.home / "pins" / "thing").iterdir()] == ["weights.pth.json"]
        shutil.rmtree(cache.home)


def _no_links(source, target):
    raise PermissionError(1, "Operation not permitted")


def test_a_process_killed_at_any_moment_leaves_nothing_wrong(tmp_path, cache):
    """Three versions of each file take turns: what is called cached must always be one of them, whole."""
    # PLAIN and PACKED have one name; separate homes keep their records apart.
    for version in range(3):
        (tmp_path / f"{version}.pth").write_bytes(bytes([version]) * 200_000)
        content = {f"parts/{n}.txt": bytes([version]) * 2000 for n in range(8)}
        archive_of(tmp_path / f"{version}.zip", content)
    chance, cached = random.Random(0), 0
    for _ in range(30):
        child = FORK.Process(target=_alternate, args=(cache.home, tmp_path))
        child.start()
        time.sleep(0.02 + chance.random() * 0.06)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        for what in (PLAIN, PACKED):
            home = Cache(cache.home / what.files[0].name / ("packed" if what is PACKED else "plain"))
            if is_cached(home, what):
                cached += 1
                assert problems(home, what) == []
    assert cached > 5
    for what, name in ((PLAIN, "0.pth"), (PACKED, "0.zip")):
        home = Cache(cache.home / what.files[0].name / ("packed" if what is PACKED else "plain"))
        sha256 = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        put(home, what, tmp_path / name, sha256=sha256)
        assert is_cached(home, what) and problems(home, what) == []
        leftovers = list(home.work.iterdir())
        for leftover in leftovers:
            os.utime(leftover, (0, 0))
        put(home, what, tmp_path / name, sha256=sha256)
        assert not list(home.work.iterdir())  # those of a day ago are swept


def _alternate(home, folder):
    chance = random.Random(os.getpid())
    plain, packed = (Cache(home / "weights.pth" / kind) for kind in ("plain", "packed"))
    while True:
        version = chance.randrange(3)
        for cache, what, source in (
            (plain, PLAIN, folder / f"{version}.pth"),
            (packed, PACKED, folder / f"{version}.zip"),
        ):
            put(cache, what, source, sha256=hashlib.sha256(source.read_bytes()).hexdigest())


def _publish_when_told(home, source, start, answers):
    start.wait()
    try:
        put(Cache(home), PACKED, source)
        answers.put("done")
    except PointLoRAError as error:
        answers.put(error.message)


def test_processes_that_publish_the_same_at_once_all_end_well(tmp_path, cache):
    content = {f"parts/{n}.txt": b"x" * 1000 for n in range(50)} | {
        f"more/deep/{n}.txt": b"y" for n in range(50)
    }
    source = archive_of(tmp_path / "a.zip", content)
    for _ in range(3):
        start, answers = FORK.Event(), FORK.Queue()
        children = [
            FORK.Process(target=_publish_when_told, args=(cache.home, source, start, answers))
            for _ in range(5)
        ]
        for child in children:
            child.start()
        start.set()
        assert [answers.get(timeout=30) for _ in children] == ["done"] * 5
        for child in children:
            child.join()
        assert is_cached(cache, PACKED) and problems(cache, PACKED) == []
        assert not list(cache.work.iterdir())
        cache.remove(PACKED, PACKED.files[0])


def _read_without_permission(home, answers):
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)  # root may write anywhere
    cache = Cache(home)
    file = PLAIN.files[0]
    try:
        read = (
            is_cached(cache),
            problems(cache),
            cache.pin(PLAIN, file, str(cache.pinned(PLAIN, file)), "x"),
        )
        os.access(home, os.W_OK) and answers.put("writable")
        for write in (lambda: cache.remove(PLAIN, file), lambda: put(cache, PLAIN, cache.path(PLAIN, file)),
                      lambda: cache.repin(PLAIN, file, A, "x")):  # fmt: skip
            try:
                write()
                answers.put("written")
            except UsageError as error:
                assert str(home) in error.message
        answers.put(read)
    except BaseException as error:
        answers.put(repr(error))


def test_a_cache_that_cannot_be_written_can_be_read(source):
    home = Path(tempfile.mkdtemp())
    try:
        put(Cache(home), PLAIN, source)
        folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        answers = FORK.Queue()
        child = FORK.Process(target=_read_without_permission, args=(home, answers))
        child.start()
        assert answers.get(timeout=20) == (True, [], False)
        child.join()
    finally:
        for folder in [home, *(path for path in home.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        shutil.rmtree(home)


def test_references_lead_to_what_is_cached(tmp_path, source):
    catalog = tmp_path / "catalog.yaml"
    files = "[{{name: a.pth}}, {{name: b.pth, default: false}}]"
    text = f"kind: {{}}, title: t, license: l, homepage: h, citation: c, files: {files}"
    catalog.write_text(f"mine: {{{text.format('checkpoint')}}}\nset: {{{text.format('dataset')}}}\n")
    settings = Settings(tmp_path / "home", catalog=catalog)
    for name in ("mine", "mine/b", "mine/b.pth", "point-mae"):
        assert cached_file(name, settings) is None
    assert cached_folder("set", settings) is None
    from pointlora_cli.catalog.loading import load_catalog

    entries = load_catalog(settings)
    for name in ("mine", "set"):
        import_file(Cache(settings.home), entries[name], entries[name].files[1], source, link=False, sha256=None,
                    check=lambda path, sha256: None, listen=lambda event: None)  # fmt: skip
    assert cached_file("mine", settings) is None
    path = settings.home / "checkpoints" / "mine" / "b.pth"
    assert cached_file("mine/b", settings) == (path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert cached_folder("set", settings) == settings.home / "datasets" / "set"
    for name in ("min", "mine/c"):
        with pytest.raises(UsageError):
            cached_file(name, settings)
    with pytest.raises(UsageError):
        cached_folder("sets", settings)
