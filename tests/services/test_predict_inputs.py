"""Which files are predicted: named, in folders, by pattern, in a list."""

import io
import os
from pathlib import Path

import pytest

from pointlora_cli.errors import DataError
from pointlora_cli.services.predict_inputs import find_clouds, read_list


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_pattern_stands_for_what_the_shell_would_make_of_it(elsewhere):
    fill(elsewhere, "b.ply", "a.ply", "c.xyz", "deep/er/d.ply", ".hidden.ply")
    assert find_clouds([Path("*.ply")]) == [Path("a.ply"), Path("b.ply")]
    assert find_clouds([Path("**/*.ply")]) == [Path("a.ply"), Path("b.ply"), Path("deep/er/d.ply")]
    assert find_clouds([Path("d*"), elsewhere / "[ab].ply"]) == [
        Path("deep/er/d.ply"),
        elsewhere / "a.ply",
        elsewhere / "b.ply",
    ]


def test_a_name_that_looks_like_a_pattern_is_a_name_first(elsewhere):
    fill(elsewhere, "scan[1].ply", "scan1.ply", "what?/a.ply")
    assert find_clouds([Path("scan[1].ply")]) == [Path("scan[1].ply")]
    assert find_clouds([Path("what?")]) == [Path("what?/a.ply")]


def test_a_pattern_that_fits_nothing_stays_a_file_that_is_not_there(elsewhere):
    for name in ("no*.ply", "no*\0.ply"):
        assert find_clouds([Path(name)]) == [Path(name)]


def test_a_folder_of_results_is_left_out_below_the_one_searched_only(elsewhere):
    fill(elsewhere, "a.ply", "parts/a.ply")
    assert find_clouds([Path()], output=Path("parts")) == [Path("a.ply")]
    assert find_clouds([Path()], output=Path()) == [Path("a.ply"), Path("parts/a.ply")]
    for named in ("parts", "parts/a.ply", "parts/*"):
        assert find_clouds([Path(named)], output=Path("parts")) == [Path("parts/a.ply")]


def test_a_list_has_one_path_in_each_line(elsewhere):
    content = "\ufeffa b.ply\r\n\n  \nfolder/\u00e9.xyz\n#1.ply".encode() + b"\nbroken\xff.ply\n"
    Path("list.txt").write_bytes(content)
    expected = ["a b.ply", "folder/\u00e9.xyz", "#1.ply", os.fsdecode(b"broken\xff.ply")]
    assert read_list(Path("list.txt")) == [Path(name) for name in expected]


def test_a_list_comes_from_standard_input_too(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a.ply\nb.ply\n")))
    assert read_list(Path("-")) == [Path("a.ply"), Path("b.ply")]


@pytest.mark.parametrize(
    ("name", "words"), [("empty", "lists no file"), ("nosuch", "no such file"), (".", "directory")]
)
def test_a_list_of_nothing_is_said(elsewhere, name, words):
    Path("empty").write_text("\n\n")
    with pytest.raises(DataError, match=words):
        read_list(Path(name))
