"""ShapeNetPart, read from a tree of the published layout, and kept once converted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from command_line import call, environment
from shapenetpart_files import TREE, entry, list_file, shape_file, write_tree

from pointlora_cli.datasets.shapenetpart import load_shapenetpart, require_shapenetpart
from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.specs.data import ShapeNetPartData


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("POINTLORA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path):
    """The folder above the tree."""
    return tmp_path / "data"


@pytest.fixture
def tree(root):
    """A tree of three training shapes, one to validate, two to test."""
    write_tree(root)
    return root / TREE


def load(root, listen=None, **options):
    spec = ShapeNetPartData(root=str(root), **options)
    return load_shapenetpart(spec, listen) if listen else load_shapenetpart(spec)


def in_unit_sphere(table):
    """A cloud's coordinates as the protocol says, by the definition."""
    points = table[:, :3].astype(np.float32).astype(np.float64)
    points = points - points.mean(axis=0)
    return points / np.linalg.norm(points, axis=1).max()


def test_every_split_holds_its_shapes_in_the_order_of_its_list(root):
    written = write_tree(root)
    data = load(root)
    for split in ("train", "val", "test"):
        clouds = getattr(data, split)
        assert len(clouds) == len(written[split])
        for place, table in enumerate(written[split]):
            points, parts = clouds.cloud(place)
            np.testing.assert_allclose(points, in_unit_sphere(table), atol=1e-6)
            assert points.dtype == np.float32
            assert parts.tolist() == table[:, 6].astype(int).tolist()
            assert parts.min() in data.parts[clouds.category[place]]
            assert parts.max() in data.parts[clouds.category[place]]
    assert data.train.category.tolist() == [11, 0, 11]
    assert data.trainval.category.tolist() == [11, 0, 11, 15]


def test_categories_and_parts_are_the_published_ones(tree):
    data = load(tree)
    assert (len(data.categories), data.categories[0], data.categories[-1]) == (16, "Airplane", "Table")
    assert [part for parts in data.parts for part in parts] == list(range(50))
    assert data.parts[data.categories.index("Motorbike")] == range(30, 36)
    assert data.part_count == 50


def test_the_order_of_the_category_file_numbers_the_categories(tree):
    file = tree / "synsetoffset2category.txt"
    file.write_text("".join(f"{line}  \r\n" for line in reversed(file.read_text().splitlines())))
    data = load(tree)
    assert data.categories[0] == "Table"
    assert data.parts[0] == range(47, 50)
    assert data.train.category.tolist() == [4, 15, 4]


def test_other_numbers_of_shapes_than_the_published_are_said(tree):
    (notice,) = load(tree).notices
    assert "train 3, val 1, test 2" in notice
    assert "train 12,137, val 1,870, test 2,874" in notice


def test_the_second_load_reads_what_was_kept(tree):
    told = []
    first = load(tree, told.append)
    assert (told[-1].done, told[-1].total) == (6, 6)
    told.clear()
    for file in tree.glob("0*/*.txt"):  # same size and time, so only reading it would tell
        status = file.stat()
        file.write_bytes(b"?" * status.st_size)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = load(tree, told.append)
    assert told == []
    np.testing.assert_array_equal(first.trainval.points, second.trainval.points)
    np.testing.assert_array_equal(first.test.parts, second.test.parts)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_a_damaged_cache_is_made_again(tree, home, damage):
    first, told = load(tree), []
    (kept,) = home.glob("converted/shapenetpart-*/points.npy")
    content = bytearray(kept.read_bytes())
    content[-3] ^= 1
    if damage == "missing":
        kept.unlink()
    else:
        kept.write_bytes(content if damage == "flipped" else content[:-100])
    again = load(tree, told.append)
    assert told
    np.testing.assert_array_equal(first.trainval.points, again.trainval.points)
    told.clear()
    load(tree, told.append)
    assert told == []


@pytest.mark.parametrize("change", ["a shape", "a list"])
def test_files_that_changed_are_converted_again(tree, change):
    before = load(tree)
    if change == "a shape":
        file = shape_file(tree, "Table", "test0000")
        file.write_text(file.read_text() + "1 1 1 0 0 1 48\n")
    else:
        entries = json.loads(list_file(tree, "test").read_text())
        list_file(tree, "test").write_text(json.dumps(entries[::-1]))
    after = load(tree)
    rows = [[len(data.test.cloud(place)[0]) for place in (0, 1)] for data in (before, after)]
    assert rows[1] == ([rows[0][0] + 1, rows[0][1]] if change == "a shape" else rows[0][::-1])
    assert after.test.category.tolist() == ([15, 0] if change == "a shape" else [0, 15])


def test_a_cache_that_cannot_be_written_is_said_and_does_without(tree, home):
    home.write_text("a file where the folder would be")  # even an administrator cannot write below it
    told = []
    data = load(tree, told.append)
    assert len(data.trainval) == 4
    assert told
    assert any("not kept" in notice for notice in data.notices)


def test_a_conversion_that_is_killed_leaves_nothing_that_is_taken_for_whole(root, home):
    written = write_tree(root, {"train": ("Mug",) * 150, "val": (), "test": ("Table",)})
    script = (
        "if __name__ == '__main__':\n"  # worker processes read this file again
        "    from pointlora_cli.datasets.shapenetpart import load_shapenetpart\n"
        "    from pointlora_cli.specs.data import ShapeNetPartData\n"
        "    tell = lambda progress: print(progress.done, flush=True)\n"
        f"    load_shapenetpart(ShapeNetPartData(root={str(root)!r}), tell)\n"
    )
    file = root / "convert.py"
    file.write_text(script)
    for done in (1, 151):
        process = subprocess.Popen(
            [sys.executable, str(file)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )
        assert process.stdout is not None
        while (line := process.stdout.readline()) and int(line) < done:
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    told = []
    data = load(root, told.append)
    for place, table in enumerate(written["train"]):
        np.testing.assert_allclose(data.train.cloud(place)[0], in_unit_sphere(table), atol=1e-6)
    assert len(list(home.glob("converted/shapenetpart-*"))) == 1


def test_what_was_downloaded_is_found_without_a_path(root, home):
    write_tree(root)
    outcome = call("download", "shapenetpart", "--from-dir", root)
    assert outcome.code == 0, outcome.err
    data = load_shapenetpart(ShapeNetPartData())
    assert len(data.trainval) == 4


@pytest.mark.parametrize("given", [True, False])
def test_a_missing_tree_is_named_with_the_command_that_gets_it(tmp_path, given):
    spec = ShapeNetPartData(root=str(tmp_path)) if given else ShapeNetPartData()
    for use in (require_shapenetpart, load_shapenetpart):
        with pytest.raises(DataError) as caught:
            use(spec)
        assert "pointlora download shapenetpart" in str(caught.value.remedy)
        assert not given or str(tmp_path) in caught.value.message


@pytest.mark.parametrize(
    "missing", ["synsetoffset2category.txt", "train_test_split/shuffled_val_file_list.json"]
)
def test_a_missing_list_is_named_before_anything_is_read(tree, missing):
    require_shapenetpart(ShapeNetPartData(root=str(tree)))
    (tree / missing).unlink()
    with pytest.raises(DataError, match=missing):
        require_shapenetpart(ShapeNetPartData(root=str(tree)))


def test_missing_shapes_are_counted_and_a_few_named(root):
    write_tree(root, {"train": ("Mug",) * 5, "val": (), "test": ("Mug",)})
    for place in range(5):
        shape_file(root / TREE, "Mug", f"train{place:04}").unlink()
    with pytest.raises(
        DataError, match=r"5 of the 6 files .* missing: .*train0000\.txt.* and 2 more"
    ) as caught:
        load(root)
    assert "train0003" not in caught.value.message
    assert "pointlora download shapenetpart" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3 0 0 1", "6 values, expected 7"),
        ("1 2 3 0 0 1 36 4", "8 values, expected 7"),
        ("1 2 x 0 0 1 36", "not 7 numbers"),
        ("1 2 3 0 _1 1_0 36", "not 7 numbers"),
        ("1 2 3 0 0x1 1 36", "not 7 numbers"),
        ("1 nan 3 0 0 1 36", "NaN, infinite or too large"),
        ("1 2 3 0 -inf 1 36", "NaN, infinite or too large"),
        ("1 2 1e39 0 0 1 36", "NaN, infinite or too large"),
        ("1 2 3 0 0 1 36.5", "part '36.5'; its category has parts 36 to 37"),
        ("1 2 3 0 0 1 38", "part '38'; its category has parts 36 to 37"),
        ("1 2 3 0 0 1 -1", "part '-1'; its category has parts 36 to 37"),
        ("\x1b[31m", "1 values, expected 7"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tree, line, message):
    file = shape_file(tree, "Mug", "train0002")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:9], "", line, *lines[9:]]))
    with pytest.raises(DataError) as caught:
        load(tree)
    assert f"{file}: line 11: " in caught.value.message
    assert message in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_bad_line_found_in_a_worker_process_is_told_as_well(root):
    write_tree(root, {"train": ("Mug",) * 140, "val": (), "test": ("Table",)})
    file = shape_file(root / TREE, "Mug", "train0099")
    file.write_text("1 2 3 0 0 1\n")
    with pytest.raises(DataError) as caught:
        load(root)
    assert f"{file}: line 1: 6 values" in caught.value.message
    assert "pointlora download shapenetpart" in str(caught.value.remedy)


def test_a_file_far_too_large_is_refused(tree):
    file = shape_file(tree, "Mug", "train0002")
    os.truncate(file, 2**40)  # nothing stored
    with pytest.raises(DataError, match="larger than 67,108,864 bytes"):
        load(tree)


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xff\xfe\x00", b"<html>\n", b"1 2 3 0 0 1 36\x00\n"])
def test_a_file_that_holds_no_rows_is_refused(tree, content):
    file = shape_file(tree, "Mug", "train0002")
    file.write_bytes(content)
    with pytest.raises(DataError, match=str(file)):
        load(tree)


def test_windows_line_ends_and_blank_lines_change_nothing(tree):
    before = load(tree)
    for file in tree.glob("0*/*.txt"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    after = load(tree)
    np.testing.assert_array_equal(before.trainval.points, after.trainval.points)
    np.testing.assert_array_equal(before.trainval.parts, after.trainval.parts)


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        ("../outside/02691156/x", IntegrityError, "'..'"),
        ("shape_data/../x", IntegrityError, "'..'"),
        ("/etc/02691156/passwd", IntegrityError, "is absolute"),
        ("shape_data\\02691156\\x", IntegrityError, "backslash"),
        ("shape_data/02691156", DataError, "is not shape_data/<synset>/<name>"),
        ("shape_data//x", DataError, "is not shape_data/<synset>/<name>"),
        ("shape_data/00000000/x", DataError, "unknown category '00000000'"),
        (7, DataError, "is not a path"),
    ],
)
def test_a_list_that_leads_elsewhere_is_refused(tree, bad, kind, message):
    list_file(tree, "val").write_text(json.dumps([entry("Table", "val0000"), bad]))
    with pytest.raises(kind, match="shuffled_val_file_list") as caught:
        load(tree)
    assert message in caught.value.message


@pytest.mark.parametrize("content", ["", "{}", '"x"', "[" * 100_000, "<html>", "\udcff"])
def test_a_list_that_is_no_list_is_refused(tree, content):
    list_file(tree, "val").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match="shuffled_val_file_list"):
        load(tree)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_shape_that_is_listed_twice_is_refused(tree, split):
    entries = json.loads(list_file(tree, split).read_text())
    list_file(tree, split).write_text(json.dumps([*entries, entry("Mug", "train0000")]))
    with pytest.raises(DataError, match="train0000 is listed twice"):
        load(tree)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_list_is_refused(tree, split):
    list_file(tree, split).write_text("[]")
    with pytest.raises(DataError, match=f"the list of {split} is empty"):
        load(tree)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("Airplane\t02691156", "Airplane", "line 1"),
        ("Airplane\t02691156", "Airplane ../../x", "line 1"),
        ("Bag\t", "Sack\t", "line 2"),
        ("Bag\t", "Airplane\t", "line 2"),
        ("Table\t04379243", "", "no line for Table"),
    ],
)
def test_a_damaged_category_file_is_refused(tree, before, after, message):
    file = tree / "synsetoffset2category.txt"
    file.write_text(file.read_text().replace(before, after))
    with pytest.raises(DataError, match=message):
        load(tree)
