"""What was fetched by hand, in whichever form a person has it, finds its place in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile

import pytest

from pointlora_cli.catalog.cache import Cache
from pointlora_cli.catalog.importing import import_file, import_folder, publish_download
from pointlora_cli.catalog.loading import SHIPPED, read_catalog, resolve
from pointlora_cli.errors import DataError, IntegrityError, UsageError

CATALOG = read_catalog(SHIPPED)
ENTRY, (CHECKPOINT,) = resolve(CATALOG, "point-mae")
SCAN, (SCAN_FILE,) = resolve(CATALOG, "scanobjectnn")
FEW, (FEW_FILE,) = resolve(CATALOG, "modelnet40-fewshot")
RAW, (RAW_FILE,) = resolve(CATALOG, "modelnet40-raw")
PARTS, (PARTS_FILE,) = resolve(CATALOG, "shapenetpart")
MODELNET, MODELNET_FILES = resolve(CATALOG, "modelnet40")

MAIN = [
    f"main_split/{split}_objectdataset{kind}.h5"
    for kind in ("", "_augmentedrot_scale75")
    for split in ("training", "test")
]
NOBG = [f"main_split_nobg/{split}_objectdataset.h5" for split in ("training", "test")]
OTHERS = ["main_split/training_objectdataset_augmented25_norot.h5", "split1/training_objectdataset.h5"]


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "home")


def write(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 10)
    return folder


def nothing(*found):
    """Finds nothing wrong."""


class Import:
    """Imports into one cache, and keeps what was told."""

    def __init__(self, cache):
        self.cache, self.events = cache, []

    def file(self, entry, file, source, *, link=False, sha256=None, check=nothing):
        return import_file(
            self.cache, entry, file, source, link=link, sha256=sha256, check=check, listen=self.events.append
        )

    def folder(self, entry, files, source, *, link=False, check=nothing):
        return import_folder(
            self.cache, entry, files, source, link=link, check=check, listen=self.events.append
        )

    @property
    def remarks(self):
        return " | ".join(event.message for event in self.events if hasattr(event, "message"))


@pytest.fixture
def into(cache):
    return Import(cache)


def names_in(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    paths += [inner for top in folder.iterdir() if top.is_symlink() for inner in top.rglob("*")]
    return sorted({str(path.relative_to(folder)) for path in paths if path.is_file()})


def holds(cache, entry, file, names):
    folder = cache.folder(entry)
    record = cache.record(entry, file)
    assert record is not None and sorted(record.members) == sorted(names)
    for name in names:
        assert (folder / name).read_bytes() == name.encode() * 10
    assert cache.is_cached(entry, file)
    assert cache.verify(entry, file, nothing) == []
    assert not list(cache.work.iterdir())
    return True


def test_a_file_is_copied_with_its_hash_and_progress(tmp_path, cache, into):
    source = tmp_path / "from elsewhere.bin"
    source.write_bytes(os.urandom(3 * 2**20 + 7))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    seen = []
    record = into.file(ENTRY, CHECKPOINT, source, check=lambda path, found: seen.append((path, found)))
    target = cache.path(ENTRY, CHECKPOINT)
    assert target.read_bytes() == source.read_bytes() and not target.is_symlink()
    assert (record.how, record.sha256, record.size) == ("copied", sha256, source.stat().st_size)
    assert seen[0][1] == sha256 and seen[0][0].suffix == ".pth" and seen[0][0] != target
    progress = [(event.what, event.done, event.total) for event in into.events if hasattr(event, "done")]
    assert progress[-1] == ("copying", record.size, record.size) and len(progress) == 4
    assert f"{sha256[:16]}… is recorded and trusted from now on" in into.remarks
    again = Import(cache)
    again.file(ENTRY, CHECKPOINT, source)
    assert again.remarks == ""


def test_what_a_check_refuses_is_never_published_nor_trusted(tmp_path, cache, into):
    source = tmp_path / "page.html"
    source.write_bytes(b"<html>")

    def refuse(path, sha256):
        assert path.read_bytes() == b"<html>" and not cache.path(ENTRY, CHECKPOINT).exists()
        raise IntegrityError("a web page")

    for link in (False, True):
        with pytest.raises(IntegrityError, match="a web page"):
            into.file(ENTRY, CHECKPOINT, source, link=link, check=refuse)
    assert not cache.folder(ENTRY).exists() and not list(cache.work.iterdir())
    assert cache.pinned(ENTRY, CHECKPOINT) is None and not cache.is_cached(ENTRY, CHECKPOINT)


def test_a_link_leaves_the_file_where_it_is_but_its_hash_is_known(tmp_path, cache, into):
    source = tmp_path / "shared disk" / "pretrain.pth"
    write(source.parent, [source.name])
    assert into.file(ENTRY, CHECKPOINT, source, link=True).how == "linked"
    target = cache.path(ENTRY, CHECKPOINT)
    assert target.is_symlink() and target.resolve() == source.resolve()
    source.write_bytes(source.read_bytes().replace(b"p", b"q", 1))
    assert cache.is_cached(ENTRY, CHECKPOINT) and len(cache.verify(ENTRY, CHECKPOINT, nothing)) == 1
    write(source.parent, [source.name])
    assert into.file(ENTRY, CHECKPOINT, source).how == "copied"  # a copy takes the link's place
    assert not target.is_symlink() and target.read_bytes() == source.read_bytes()
    assert cache.verify(ENTRY, CHECKPOINT, nothing) == []


def test_a_file_in_its_place_already_is_recorded_and_not_lost(cache, into):
    target = cache.path(ENTRY, CHECKPOINT)
    write(target.parent, [target.name])
    for link in (False, True):
        assert into.file(ENTRY, CHECKPOINT, target, link=link).how == "copied"
        assert target.read_bytes() and not target.is_symlink() and cache.is_cached(ENTRY, CHECKPOINT)
    write(cache.folder(SCAN), MAIN)
    for link in (False, True):
        into.folder(SCAN, [SCAN_FILE], cache.folder(SCAN), link=link)
        assert holds(cache, SCAN, SCAN_FILE, MAIN)


def test_another_hash_than_the_trusted_one_is_refused_until_it_is_given(tmp_path, cache, into):
    first, second = tmp_path / "first.pth", tmp_path / "second.pth"
    first.write_bytes(b"1"), second.write_bytes(b"2")
    into.file(ENTRY, CHECKPOINT, first)
    with pytest.raises(IntegrityError, match="fetched first"):
        into.file(ENTRY, CHECKPOINT, second)
    assert cache.path(ENTRY, CHECKPOINT).read_bytes() == b"1"
    sha256 = hashlib.sha256(b"2").hexdigest()
    with pytest.raises(IntegrityError, match="you gave"):
        into.file(ENTRY, CHECKPOINT, first, sha256=sha256)
    assert into.file(ENTRY, CHECKPOINT, second, sha256=sha256.upper()).given
    assert cache.path(ENTRY, CHECKPOINT).read_bytes() == b"2" and cache.pinned(ENTRY, CHECKPOINT) == sha256
    published = CHECKPOINT.model_copy(update={"sha256": hashlib.sha256(b"1").hexdigest()})
    with pytest.raises(IntegrityError, match="published"):
        into.file(ENTRY, published, second)


def test_an_archive_is_unpacked_and_one_that_is_refused_is_not_trusted(tmp_path, cache, into):
    bad, good = tmp_path / "bad.zip", tmp_path / "good.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../main_split/x.h5", b"")
    with pytest.raises(IntegrityError, match="refused"):
        into.file(SCAN, SCAN_FILE, bad)
    assert cache.pinned(SCAN, SCAN_FILE) is None and not cache.folder(SCAN).exists()
    with zipfile.ZipFile(good, "w") as archive:
        for name in MAIN + NOBG + OTHERS:
            archive.writestr(f"h5_files/{name}", name * 10)
    record = into.file(SCAN, SCAN_FILE, good, link=True)
    assert holds(cache, SCAN, SCAN_FILE, MAIN + NOBG) and names_in(cache.folder(SCAN)) == sorted(MAIN + NOBG)
    assert record.sha256 == hashlib.sha256(good.read_bytes()).hexdigest() == cache.pinned(SCAN, SCAN_FILE)
    assert good.exists() and "cannot be linked" in into.remarks


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(
    ("given", "laid"),
    [
        ("", ""),
        ("", "h5_files/"),
        ("", "a/b/h5_files/"),
        ("h5_files", "h5_files/"),
        ("h5_files/main_split", "h5_files/"),
    ],
)
def test_an_unpacked_data_set_is_found_wherever_it_lies(tmp_path, cache, into, given, laid, link):
    disk = write(tmp_path / "disk" / laid, MAIN + NOBG + OTHERS)
    into.folder(SCAN, [SCAN_FILE], tmp_path / "disk" / given, link=link)
    expected = MAIN if given.endswith("main_split") else MAIN + NOBG
    assert holds(cache, SCAN, SCAN_FILE, expected)
    assert (cache.folder(SCAN) / "main_split").is_symlink() == link
    assert ("not there: main_split_nobg" in into.remarks) == (expected == MAIN)
    cache.remove(SCAN, SCAN_FILE)
    assert not cache.folder(SCAN).exists() and len(names_in(disk)) == len(MAIN + NOBG + OTHERS)


def test_an_archive_in_a_folder_is_found(tmp_path, cache, into):
    with tarfile.open(tmp_path / "any name.tgz", "w:gz") as archive:
        archive.add(write(tmp_path / "made" / "x", MAIN), "deep/h5_files")
    (tmp_path / "disk" / "inner").mkdir(parents=True)
    shutil.copy(tmp_path / "any name.tgz", tmp_path / "disk" / "inner")
    into.folder(SCAN, [SCAN_FILE], tmp_path / "disk")
    assert holds(cache, SCAN, SCAN_FILE, MAIN)
    shutil.copy(tmp_path / "any name.tgz", tmp_path / "disk" / "second.tgz")
    with pytest.raises(DataError, match="several archives"):
        into.folder(SCAN, [SCAN_FILE], tmp_path / "disk")
    shutil.copy(tmp_path / "any name.tgz", tmp_path / "disk" / "inner" / SCAN_FILE.name)
    into.folder(SCAN, [SCAN_FILE], tmp_path / "disk")


def test_what_comes_later_joins_what_is_there(tmp_path, cache, into):
    into.folder(SCAN, [SCAN_FILE], write(tmp_path / "one", MAIN[:2]))
    into.folder(SCAN, [SCAN_FILE], write(tmp_path / "two", NOBG), link=True)
    assert holds(cache, SCAN, SCAN_FILE, MAIN[:2] + NOBG)
    into.folder(SCAN, [SCAN_FILE], write(tmp_path / "three", MAIN[2:]))
    assert holds(cache, SCAN, SCAN_FILE, MAIN + NOBG)
    into.folder(SCAN, [SCAN_FILE], write(tmp_path / "four", MAIN[1:]), link=True)
    assert holds(cache, SCAN, SCAN_FILE, MAIN[1:] + NOBG)  # a link takes a folder's place
    into.folder(SCAN, [SCAN_FILE], write(tmp_path / "five", MAIN[:1]))  # and a folder a link's
    assert holds(cache, SCAN, SCAN_FILE, MAIN[:1] + NOBG)
    assert names_in(tmp_path / "four") == sorted(MAIN[1:]) and names_in(tmp_path / "two") == sorted(NOBG)


def test_episodes_keep_the_spelling_they_are_found_with(tmp_path, cache, into):
    names = [f"{way}way{shot}shot/{fold}.pkl" for way in (5, 10) for shot in (10, 20) for fold in range(10)]
    into.folder(FEW, [FEW_FILE], write(tmp_path / "plain" / "ModelNetFewshot", names))
    assert holds(cache, FEW, FEW_FILE, names) and into.remarks == ""
    cache.remove(FEW, FEW_FILE)
    spelled = [name.replace("way", "way_") for name in names]
    into.folder(
        FEW, [FEW_FILE], write(tmp_path / "other", [*spelled, "5way_10shot/10.pkl", "5way_10shot/0.txt"])
    )
    assert holds(cache, FEW, FEW_FILE, spelled)
    cache.remove(FEW, FEW_FILE)
    into.folder(FEW, [FEW_FILE], tmp_path / "other" / "5way_10shot")
    assert holds(cache, FEW, FEW_FILE, spelled[:10])


def test_the_text_trees_are_taken_with_their_lists_and_nothing_else(tmp_path, cache, into):
    top = "modelnet40_normal_resampled"
    names = [f"{top}/modelnet40_{name}.txt" for name in ("shape_names", "train", "test")]
    names += [f"{top}/night_stand/night_stand_000{n}.txt" for n in range(3)]
    write(
        tmp_path / "disk",
        [*names, f"{top}/filelist.txt", f"{top}/modelnet10_train.txt", f"{top}/.cache/a_0001.txt"],
    )
    into.folder(RAW, [RAW_FILE], tmp_path / "disk" / top)
    assert holds(cache, RAW, RAW_FILE, names)
    top = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    names = [f"{top}/train_test_split/shuffled_{split}_file_list.json" for split in ("train", "val", "test")]
    names += [f"{top}/synsetoffset2category.txt", f"{top}/02691156/1a04.txt", f"{top}/04379243/9b.txt"]
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for name in [*names, f"__MACOSX/{top}/02691156/._1a04.txt"]:
            archive.writestr(name, name * 10)
    into.file(PARTS, PARTS_FILE, tmp_path / "parts.zip")
    assert holds(cache, PARTS, PARTS_FILE, names) and names_in(cache.folder(PARTS)) == sorted(names)


def test_plain_files_are_found_in_a_folder_and_those_missing_remarked_on(tmp_path, cache, into):
    write(tmp_path / "disk" / "data" / "ModelNet", [MODELNET_FILES[1].name])
    seen = []
    records = into.folder(
        MODELNET, MODELNET_FILES, tmp_path / "disk", check=lambda *found: seen.append(found)
    )
    assert list(records) == [MODELNET_FILES[1].name] and seen[0][0] == MODELNET_FILES[1]
    assert "modelnet40_train_8192pts_fps.dat is not in" in into.remarks
    assert cache.is_cached(MODELNET, MODELNET_FILES[1]) and not cache.is_cached(MODELNET, MODELNET_FILES[0])


def test_what_is_not_there_or_not_readable_is_said(tmp_path, cache, into):
    empty = tmp_path / "empty"
    empty.mkdir()
    deep = write(tmp_path / "deep" / "1" / "2" / "3" / "4" / "5", MAIN)
    for source in (empty, tmp_path / "deep"):
        with pytest.raises(DataError, match="looked for main_split/training_objectdataset"):
            into.folder(SCAN, [SCAN_FILE], source)
    with pytest.raises(DataError, match=r"looked for pretrain\.pth"):
        into.file(ENTRY, CHECKPOINT, empty)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for source in (tmp_path / "none", tmp_path / "pipe", tmp_path / "loop", tmp_path / ("x" * 300)):
        for call in (into.folder, into.file):
            with pytest.raises(DataError) as error:
                call(ENTRY, [CHECKPOINT] if call == into.folder else CHECKPOINT, source)
            assert str(source) in error.value.message
    into.folder(SCAN, [SCAN_FILE], deep)
    with pytest.raises(DataError, match="more than once"):
        into.folder(SCAN, [SCAN_FILE], write(write(tmp_path / "twice" / "a", MAIN).parent / "b", MAIN).parent)
    with pytest.raises(UsageError, match="one file"):
        into.file(SCAN, SCAN_FILE, deep, sha256="a" * 64)


def test_a_file_larger_than_the_free_space_is_refused_before_it_is_copied(tmp_path, cache, into, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4999))
    large = tmp_path / "large.pth"
    large.write_bytes(bytes(5000))
    with pytest.raises(UsageError, match="not enough space: needs 5,000 bytes; 4,999 bytes free"):
        into.file(ENTRY, CHECKPOINT, large)
    assert not into.events and not list(cache.work.iterdir()) and not cache.folder(ENTRY).exists()


def test_stopping_in_the_middle_of_a_copy_leaves_nothing(tmp_path, cache):
    def stop(event):
        raise KeyboardInterrupt

    source = write(tmp_path, ["a.pth"]) / "a.pth"
    for entry, file, path in ((ENTRY, CHECKPOINT, source), (SCAN, SCAN_FILE, write(tmp_path / "disk", MAIN))):
        with pytest.raises(KeyboardInterrupt):
            import_file(cache, entry, file, path, link=False, sha256=None, check=nothing, listen=stop)
        assert not list(cache.work.iterdir()) and not cache.is_cached(entry, file)
        assert not cache.folder(entry).exists()


def test_a_downloaded_archive_is_unpacked_recorded_and_deleted(tmp_path, cache, into):
    downloaded = tmp_path / "home" / "work" / "scanobjectnn-h5_files.zip"
    downloaded.parent.mkdir(parents=True)

    def publish(names, **options):
        with zipfile.ZipFile(downloaded, "w") as archive:
            for name in names:
                archive.writestr(name, name * 10)
        sha256 = hashlib.sha256(downloaded.read_bytes()).hexdigest()
        url = "https://example.org/h5_files.zip"
        return publish_download(
            cache, SCAN, SCAN_FILE, downloaded, sha256, url, listen=into.events.append, **options
        )

    record = publish(MAIN + NOBG)
    assert (record.how, record.source) == ("downloaded", "https://example.org/h5_files.zip")
    assert holds(cache, SCAN, SCAN_FILE, MAIN + NOBG) and not downloaded.exists()
    with pytest.raises(IntegrityError, match="fetched first"):
        publish(MAIN)
    assert holds_still(cache, downloaded)
    publish(MAIN, given=True)
    assert holds(cache, SCAN, SCAN_FILE, MAIN)
    assert names_in(cache.folder(SCAN)) == sorted(MAIN)  # what the new archive does not hold is gone


def holds_still(cache, downloaded):
    downloaded.unlink()  # kept, for a person to look at
    return holds(cache, SCAN, SCAN_FILE, MAIN + NOBG)


def test_a_downloaded_file_is_recorded_where_it_is(tmp_path, cache, into):
    target = cache.path(ENTRY, CHECKPOINT)
    write(target.parent, [target.name])
    sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
    record = publish_download(
        cache, ENTRY, CHECKPOINT, target, sha256, "https://x", listen=into.events.append
    )
    assert record.how == "downloaded" and cache.is_cached(ENTRY, CHECKPOINT)
    assert cache.verify(ENTRY, CHECKPOINT, nothing) == []
    reported = str(CHECKPOINT.reported_sha256)
    assert f"but others report {reported[:16]}" in into.remarks
    elsewhere = write(tmp_path, ["b.pth"]) / "b.pth"
    sha256 = hashlib.sha256(elsewhere.read_bytes()).hexdigest()
    publish_download(cache, ENTRY, CHECKPOINT, elsewhere, sha256, "https://y", listen=nothing, given=True)
    assert target.read_bytes().startswith(b"b.pth") and not elsewhere.exists()
