"""Archives that nobody vouches for: what is needed comes out, and nothing else ever happens."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import stat
import struct
import tarfile
import zipfile
import zlib

import pytest

from pointlora_cli.catalog.archives import unpack
from pointlora_cli.errors import IntegrityError, UsageError

MEMBERS = ("main_split/*.h5", "lists/names.txt")
CONTENT = {
    "main_split/train.h5": random.Random(1).randbytes(300_000),
    "main_split/test.h5": b"short",
    "lists/names.txt": b"bag\nbin\n" * 100,
}
OTHERS = {"README.md": b"hello", "split1/train.h5": b"not this", "main_split/deeper/train.h5": b"nor this"}


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks an archive into a fresh folder; whatever happens, nothing may appear beside it."""
    into = tmp_path / "work" / "fresh"

    def run(archive, members=MEMBERS, listen=lambda event: None):
        into.mkdir(parents=True)
        before = snapshot(tmp_path, into)
        try:
            return into, unpack(archive, members, into, listen, "set/archive")
        finally:
            assert snapshot(tmp_path, into) == before

    return run


def snapshot(root, but):
    ours = {but, but.parent}
    found = [path for path in root.rglob("*") if path not in ours and but not in path.parents]
    return {path: path.lstat().st_size for path in found}


def zip_of(path, content, *, top="h5_files/", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, value in content.items():
            archive.writestr(f"{top}{name}", value)
    return path


def tar_of(path, content, *, top="h5_files/", mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, value in content.items():
            info = tarfile.TarInfo(f"{top}{name}")
            info.size, info.mode = len(value), 0o777
            archive.addfile(info, io.BytesIO(value))
    return path


def tar_with(path, *infos, mode="w"):
    """A tar whose members are exactly these headers (with zeros as content), after an honest one."""
    with tarfile.open(path, mode) as archive:
        honest = tarfile.TarInfo("main_split/test.h5")
        honest.size = 5
        archive.addfile(honest, io.BytesIO(b"short"))
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)
    return path


def zip_with(path, *infos):
    """A zip whose members are exactly these headers, after an honest one."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("main_split/test.h5", b"short")
        for info in infos:
            archive.writestr(info, b"x")
    return path


def zip_info(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.create_system, info.external_attr = 3, mode << 16
    return info


def tar_info(name, kind=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize("top", ["", "h5_files/", "./a b/ü/"])
@pytest.mark.parametrize("kind", ["zip", "stored.zip", "tar", "tar.gz", "tgz"])
def test_only_what_is_needed_comes_out_of_every_kind(tmp_path, unpacked, kind, top):
    content = {**OTHERS, **CONTENT}
    archive = tmp_path / "downloaded"  # the kind is told by content
    if kind.endswith("zip"):
        zip_of(
            archive, content, top=top, method=zipfile.ZIP_STORED if "stored" in kind else zipfile.ZIP_DEFLATED
        )
    else:
        tar_of(archive, content, top=top, mode="w" if kind == "tar" else "w:gz")
    events = []
    into, members = unpacked(archive, listen=events.append)
    files = {str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()}
    assert files == set(CONTENT) == set(members)
    for name, value in CONTENT.items():
        assert (into / name).read_bytes() == value
        assert (members[name].size, members[name].sha256) == (len(value), hashlib.sha256(value).hexdigest())
        assert not stat.S_IMODE((into / name).stat().st_mode) & 0o111
    assert {event.what for event in events} == {"unpacking"}
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1].done <= events[-1].total


EVIL_NAMES = [
    "/main_split/a.h5",
    "../main_split/a.h5",
    "x/../../main_split/a.h5",
    "C:/main_split/a.h5",
    "main_split\\a.h5",
    "main_split/a\x01.h5",
    "main_split/" + "a" * 300 + ".h5",
    "x/" * 600 + "main_split/a.h5",
    "main_split/test.h5",  # there already
    "main_split/test.h5/more.h5",
    "main_split",
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", EVIL_NAMES)
def test_names_that_lead_astray_are_refused(tmp_path, unpacked, name):
    size = {"size": 3}
    archives = [
        zip_with(tmp_path / "a.zip", zip_info(name)),
        tar_with(tmp_path / "a.tar", tar_info(name, **size)),
        tar_with(tmp_path / "a.tgz", tar_info(name, **size), mode="w:gz"),
    ]
    for archive in archives:
        with pytest.raises(IntegrityError, match="archive refused"):
            unpacked(archive)
        assert not (tmp_path / "work" / "fresh").exists()


def test_a_name_with_a_nul_is_refused(tmp_path, unpacked):
    archive = zip_with(tmp_path / "a.zip", zip_info("main_split/a.h5Z.png"))
    archive.write_bytes(archive.read_bytes().replace(b"a.h5Z.png", b"a.h5\x00.png"))
    with pytest.raises(IntegrityError, match="control characters"):
        unpacked(archive)


@pytest.mark.parametrize(
    "info",
    [
        zip_info("main_split/a.h5", stat.S_IFLNK | 0o777),
        zip_info("main_split/a.h5", stat.S_IFIFO | 0o644),
        zip_info("elsewhere", stat.S_IFLNK | 0o777),
        tar_info("main_split/a.h5", tarfile.SYMTYPE, linkname="/etc/passwd"),
        tar_info("main_split/a.h5", tarfile.LNKTYPE, linkname="main_split/test.h5"),
        tar_info("main_split", tarfile.SYMTYPE, linkname="/tmp"),
        tar_info("main_split/a.h5", tarfile.FIFOTYPE),
        tar_info("main_split/a.h5", tarfile.CHRTYPE, devmajor=1, devminor=3),
        tar_info("main_split/a.h5", tarfile.BLKTYPE, devmajor=8, devminor=0),
    ],
)
def test_links_and_devices_are_refused(tmp_path, unpacked, info):
    make = zip_with if isinstance(info, zipfile.ZipInfo) else tar_with
    with pytest.raises(IntegrityError, match="archive refused"):
        unpacked(make(tmp_path / "archive", info))
    assert not (tmp_path / "work" / "fresh").exists()


def test_two_members_for_one_place_are_refused(tmp_path, unpacked):
    content = {"a/main_split/x.h5": b"1", "b/main_split/x.h5": b"2"}
    for archive in (zip_of(tmp_path / "a.zip", content), tar_of(tmp_path / "a.tgz", content)):
        with pytest.raises(IntegrityError, match="two of its members belong at"):
            unpacked(archive)


@pytest.mark.parametrize("kind", ["zip", "tgz", "tgz beside"])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, unpacked, kind):
    size = 100 * 2**20
    if kind == "zip":
        archive = zip_of(tmp_path / "bomb", {"main_split/a.h5": bytes(size)})
    else:
        archive = tmp_path / "bomb"
        name = "main_split/a.h5" if kind == "tgz" else "not/wanted"
        with gzip.open(archive, "wb", compresslevel=1) as stream:
            stream.write(tar_info(name, size=size).tobuf())
            for _ in range(100):
                stream.write(bytes(2**20))
    assert archive.stat().st_size < size / 200
    with pytest.raises(IntegrityError, match="bomb"):
        unpacked(archive)
    assert not (tmp_path / "work" / "fresh").exists()


def test_a_zip_that_says_less_than_it_holds_is_refused(tmp_path, unpacked):
    archive = zip_of(tmp_path / "a.zip", {"main_split/a.h5": bytes(5_000_000)}, top="")
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(signature) + offset
        assert struct.unpack_from("<I", content, place)[0] == 5_000_000
        struct.pack_into("<I", content, place, 1000)
    archive.write_bytes(content)
    with pytest.raises(IntegrityError):
        unpacked(archive)


def test_zip_members_that_share_their_bytes_are_refused(tmp_path, unpacked):
    inner = zip_of(
        tmp_path / "inner.zip", {"main_split/b.h5": bytes(9000)}, top="", method=zipfile.ZIP_STORED
    )
    with zipfile.ZipFile(inner) as archive:
        (shared,) = archive.infolist()
        local = inner.read_bytes()[: archive.start_dir]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("main_split/a.h5", local)  # one member's content is another member, header and all
        shared.header_offset = archive.start_dir - len(local)
        archive.filelist.append(shared)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["main_split/a.h5", "main_split/b.h5"]
    with pytest.raises(IntegrityError, match="overlap"):
        unpacked(tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_given_twice_is_refused_even_where_it_is_not_needed(tmp_path, unpacked):
    archive = zip_with(tmp_path / "a.zip", zip_info("README.md"), zip_info("./README.md"))
    with pytest.raises(IntegrityError, match="twice"):
        unpacked(archive)


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(tmp_path, unpacked):
    archive = tmp_path / "a.tar"
    size = 60 * 2**30  # below the limit for archives, above what a small disk has
    archive.write_bytes(tar_info("main_split/a.h5", size=size).tobuf())
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    with pytest.raises((UsageError, IntegrityError), match="space" if free < size else "damaged"):
        unpacked(archive)
    archive.write_bytes(tar_info("main_split/a.h5", size=2**50).tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(IntegrityError, match="more than"):
        unpacked(archive)


def test_sparse_members_and_headers_that_claim_too_much_are_refused(tmp_path, unpacked):
    sparse = tar_info("main_split/a.h5", tarfile.GNUTYPE_SPARSE, size=0).tobuf(tarfile.GNU_FORMAT)
    header = bytearray(sparse)
    struct.pack_into("12s12s", header, 386, b"00000000000\x00", b"00000000001\x00")
    header[483:495] = b"00777777777\x00"
    header[148:156] = b"%06o\x00 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    (tmp_path / "sparse.tar").write_bytes(bytes(header) + bytes(10240))
    with pytest.raises(IntegrityError, match="special file"):
        unpacked(tmp_path / "sparse.tar")
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        claim = tar_info("x", kind, size=2**33).tobuf(tarfile.GNU_FORMAT)
        (tmp_path / "claim.tar").write_bytes(claim + bytes(10240))
        with pytest.raises(IntegrityError, match="claims"):
            unpacked(tmp_path / "claim.tar")


def test_an_encrypted_zip_and_an_unknown_compression_are_refused(tmp_path, unpacked):
    archive = zip_of(tmp_path / "a.zip", CONTENT)
    for flag, method, says in ((1, 8, "refused.* encrypted"), (0, 9, "compression"), (0, 14, "compression")):
        content = bytearray(archive.read_bytes())
        place = content.index(b"PK\x01\x02")
        struct.pack_into("<HH", content, place + 8, flag, method)
        (tmp_path / "changed.zip").write_bytes(content)
        with pytest.raises(IntegrityError, match=says):
            unpacked(tmp_path / "changed.zip")


def test_what_is_no_archive_is_named(tmp_path, unpacked):
    not_archives = [
        (b"<!DOCTYPE html><title>Log in", "web page"),
        (b"", "not a zip"),
        (b"\x80\x02" * 999, "not a zip"),
        (gzip.compress(b"not a tar" * 999), "damaged"),
        (b"PK\x03\x04" + bytes(999), "damaged"),
    ]
    for content, says in not_archives:
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(IntegrityError, match=says):
            unpacked(tmp_path / "a")
        assert not (tmp_path / "work" / "fresh").exists()


def test_an_archive_without_what_is_needed_says_what_it_holds(tmp_path, unpacked):
    for archive in (zip_of(tmp_path / "a.zip", OTHERS), tar_of(tmp_path / "a.tgz", OTHERS)):
        with pytest.raises(IntegrityError, match="holds nothing of what is needed") as error:
            unpacked(archive)
        assert "README.md" in error.value.message and "main_split/*.h5" in error.value.message


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_a_truncated_archive_is_never_taken_for_a_whole_one(tmp_path, unpacked, kind):
    whole = tmp_path / "whole"
    if kind == "zip":
        zip_of(whole, CONTENT)
    else:
        tar_of(whole, CONTENT, mode="w" if kind == "tar" else "w:gz")
    content = whole.read_bytes()
    boundary = len(content) - 10240 - len(content) % 512  # for a tar, about where its end marker begins
    cuts = {len(content) - 9, len(content) // 2, 600, boundary} | {
        random.Random(kind).randrange(len(content) - 9) for _ in range(15)
    }
    for cut in cuts:
        part = content[:cut]
        if kind == "tar" and part[-512:] == bytes(512) and cut > len(content) - 10240:
            continue  # only padding is gone
        (tmp_path / "part").write_bytes(part)
        with pytest.raises(IntegrityError):
            unpacked(tmp_path / "part")


@pytest.mark.parametrize("kind", ["zip", "tgz", "tar"])
def test_a_damaged_archive_gives_the_right_bytes_or_an_error(tmp_path, unpacked, kind):
    chance = random.Random(7)
    small = {name: value[:2000] for name, value in CONTENT.items()}
    whole = tmp_path / "whole"
    if kind == "zip":
        zip_of(whole, small)
    else:
        tar_of(whole, small, mode="w" if kind == "tar" else "w:gz")
    content = whole.read_bytes()
    refused = 0
    for _ in range(120):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged) if kind != "tar" else 4096)] = chance.randrange(256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            into, members = unpacked(tmp_path / "damaged")
        except (IntegrityError, UsageError):
            refused += 1
            assert not (tmp_path / "work" / "fresh").exists()
            continue
        for name, member in members.items():
            written = (into / name).read_bytes()
            assert hashlib.sha256(written).hexdigest() == member.sha256
            assert kind == "tar" or name not in small or zlib.crc32(written) == zlib.crc32(small[name])
        for path in sorted(into.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        into.rmdir()
    assert refused > 10


def test_stopping_in_the_middle_leaves_nothing(tmp_path, unpacked):
    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpacked(zip_of(tmp_path / "a.zip", CONTENT), listen=stop)
    assert not (tmp_path / "work" / "fresh").exists()
