"""Files are written whole or not at all, and named by their content."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from pointlora_cli.files import file_sha256, nearest_existing, write_text, written_atomically


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_new_and_old_files_get_the_content(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first ü")
    assert path.read_bytes() == "first ü".encode()
    write_text(path, "second")
    assert path.read_text() == "second"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with written_atomically(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_name_appears_only_when_the_content_is_there(tmp_path):
    path = tmp_path / "a.txt"
    with written_atomically(path) as file:
        file.write(b"x" * 100_000)
        file.flush()
        assert not path.exists()
    assert path.stat().st_size == 100_000


def test_file_is_as_open_as_others(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "no" / "a.txt", "x")
    assert names(tmp_path) == []


def test_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    texts = [str(number) * 50_000 for number in range(8)]
    writers = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in texts
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert names(tmp_path) == ["a.txt"]


def test_sha256_is_that_of_the_bytes(tmp_path):
    content = os.urandom(3 * 2**20 + 5)
    (tmp_path / "a.bin").write_bytes(content)
    assert file_sha256(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()
    (tmp_path / "b.bin").touch()
    assert file_sha256(tmp_path / "b.bin") == hashlib.sha256(b"").hexdigest()


def test_the_nearest_that_exists_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert nearest_existing(tmp_path) == tmp_path
    assert nearest_existing(tmp_path / "a" / "b" / "c") == tmp_path
    assert nearest_existing(tmp_path / "file" / "b") == tmp_path / "file"
    monkeypatch.chdir(tmp_path)
    assert nearest_existing(Path("a/b")) == tmp_path
