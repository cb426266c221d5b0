"""The file of results: durable, mended, of one model, and nobody else's file."""

from pathlib import Path

import pytest

from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.services.predict_results import ResultsFile

SETTINGS = {"model": "a" * 16, "precision": "float32"}


PATHS = [Path("a.ply"), Path("b\udcff.ply"), Path("c.ply")]


def add(results, name, settings=SETTINGS, **more):
    results.append(Path(name), {"path": name, "class": "chair", "points": 3, **more}, settings)


@pytest.fixture
def file(elsewhere):
    """A file of two results, in a folder that was made for it."""
    path = elsewhere / "made" / "results.jsonl"
    with ResultsFile(path) as results:
        add(results, "a.ply")
        add(results, "b\udcff.ply", error="no points", remedy=None)
    return path


def test_what_is_recorded_is_taken_in_again(file):
    with ResultsFile(file) as results:
        assert results.answers([*PATHS, *PATHS]) == ["chair", None]
        assert results.missing([*PATHS, *PATHS]) == [Path("c.ply")]
        results.require(SETTINGS)
        add(results, "c.ply", category="Chair", written="parts/c.ply")
        assert len(file.read_bytes().splitlines()) == 3  # at once, not when it is closed
        assert results.answers(PATHS) == ["chair", None, "chair"]
        assert results.missing(PATHS) == []
        assert [row["path"] for row in results.rows()] == [str(path) for path in PATHS]
    with ResultsFile(file) as results:
        assert results.written == [str(Path("parts/c.ply").absolute())]
        assert results.missing(PATHS) == []


def test_a_file_is_the_same_however_it_is_named_and_wherever_the_call_is_made(file, tmp_path, monkeypatch):
    here = Path.cwd()
    named = [here / "a.ply", Path("sub/../a.ply"), Path("../here/a.ply")]
    with ResultsFile(file) as results:
        assert results.missing([*named, Path("sub/a.ply")]) == [Path("sub/a.ply")]
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    with ResultsFile(file) as results:
        assert results.missing([Path("a.ply")]) == [Path("a.ply")]  # another file of that name
        assert results.missing([Path("../a.ply")]) == []
        add(results, "a.ply")
    monkeypatch.chdir(tmp_path)
    here.rename("moved")
    monkeypatch.chdir("moved")
    with ResultsFile(Path("made/results.jsonl")) as results:
        assert results.missing([Path("a.ply"), Path("sub/a.ply"), here / "a.ply"]) == [here / "a.ply"]


def test_what_could_not_be_read_is_asked_for_again_on_demand(file):
    with ResultsFile(file) as results:
        add(results, "c.ply")
        whole = file.read_bytes().splitlines(keepends=True)
        results.forget_unreadable()
        assert results.missing(PATHS) == [PATHS[1]]
        assert file.read_bytes() == whole[0] + whole[2]
        with pytest.raises(UsageError, match="another process"):
            ResultsFile(file).__enter__()
        add(results, str(PATHS[1]))
        results.forget_unreadable()
        assert results.answers(PATHS) == ["chair"] * 3
    with ResultsFile(file) as results:
        assert results.answers(PATHS) == ["chair"] * 3
        assert [row["path"] for row in results.rows()] == ["a.ply", "c.ply", str(PATHS[1])]


def test_a_file_that_was_replaced_before_it_was_locked_is_not_written(file, monkeypatch):
    late = ResultsFile(file)
    opened = late._opened()
    with ResultsFile(file) as results:
        results.forget_unreadable()
    monkeypatch.setattr(late, "_opened", lambda: opened)
    with pytest.raises(UsageError, match="another process"):
        late.__enter__()


@pytest.mark.parametrize("tail", [b"{", b'{"path": "c.p', b'{"path": "c.ply", "class": "chair"}', b"\0" * 70])
def test_a_half_written_end_is_taken_off(file, tail):
    whole = file.read_bytes()
    file.write_bytes(whole + tail)
    with ResultsFile(file) as results:
        assert results.missing(PATHS) == [Path("c.ply")]
        add(results, "c.ply")
    assert file.read_bytes().startswith(whole + b'{"path": "c.ply"')


@pytest.mark.parametrize(
    "content",
    [
        b"some notes",
        b"some notes\n",
        b"\0" * 70,
        b'{"a": 1}\n',
        b'{"path": 1, "class": "x", "folder": ".", "settings": {}}\n',
        b'{"path": "a", "class": "x", "folder": ".", "settings": 1}\n',
        b'{"path": "a", "class": "x", "folder": 1, "settings": {}}\n',
        b'{"path": "a", "class": "x", "settings": {}}\n',
        b'{"path": "a", "class": ["x"], "folder": ".", "settings": {}}\n',
        b"[" * 100_000 + b"\n",
        b"null\n",
        b"\xff\xfe\n",
    ],
)
def test_another_file_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(DataError, match="line 1 is no prediction"):
        ResultsFile(path).__enter__()
    assert path.read_bytes() == content


def test_a_line_that_is_none_after_good_ones_is_named(file):
    with file.open("ab") as stream:
        stream.write(b"hello\n")
    before = file.read_bytes()
    with pytest.raises(DataError, match="line 3 is no prediction"):
        ResultsFile(file).__enter__()
    assert file.read_bytes() == before


def test_another_model_and_other_options_are_refused_by_name(file):
    with ResultsFile(file) as results:
        with pytest.raises(UsageError, match=r"line 1 .*model aaaaaaaaaaaaaaaa \(here b\)$"):
            results.require(SETTINGS | {"model": "b"})
        with pytest.raises(UsageError, match=r"exact unknown \(here True\)"):
            results.require(SETTINGS | {"exact": True})
        add(results, "c.ply", SETTINGS | {"precision": "bfloat16"})
    with ResultsFile(file) as results, pytest.raises(UsageError, match=r"line 3 .*precision bfloat16"):
        results.require(SETTINGS)


def test_two_calls_cannot_write_at_once(file):
    with ResultsFile(file), pytest.raises(UsageError, match="another process"):
        ResultsFile(file).__enter__()
    with ResultsFile(file) as results:
        assert results.answers(PATHS) == ["chair", None]


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "no regular file"), ("taken/x", "taken: cannot be made"), ("a\0b", "cannot be written")],
)
def test_a_place_that_cannot_be_written_is_said(tmp_path, name, words):
    (tmp_path / "taken").touch()
    with pytest.raises(UsageError, match=words):
        ResultsFile(tmp_path / name).__enter__()


def test_a_full_disk_is_said(tmp_path):
    resource = pytest.importorskip("resource")
    with ResultsFile(tmp_path / "r.jsonl") as results:
        add(results, "a.ply")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))  # Python ignores SIGXFSZ
        try:
            with pytest.raises(UsageError, match="cannot be written: file too large"):
                add(results, "b" * 300)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with ResultsFile(tmp_path / "r.jsonl") as results:
        assert results.missing(PATHS) == PATHS[1:]
