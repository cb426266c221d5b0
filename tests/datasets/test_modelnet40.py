"""ModelNet40, read from processed files and from raw trees of the published layout."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from command_line import environment
from modelnet_files import (
    STORED,
    pickled,
    processed_file,
    raw_file,
    raw_text,
    shapes,
    write_processed,
    write_raw,
)

from pointlora_cli.datasets import modelnet40, workers
from pointlora_cli.datasets.modelnet40 import (
    CLASSES,
    load_modelnet40,
    load_stored,
    normalized,
    require_modelnet40,
)
from pointlora_cli.datasets.modelnet40_raw import LISTS, read_points
from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.data import ModelNet40Data


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of this test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("POINTLORA_HOME", str(folder))
    return folder


class Listener:
    def __init__(self):
        self.events = []

    def __call__(self, progress):
        self.events.append(progress)

    @property
    def whats(self):
        return {event.what for event in self.events}


def load(root, listen=modelnet40.unheard, **options):
    return load_modelnet40(ModelNet40Data(root=str(root), **options), listen)


def unit_sphere(clouds):
    points = np.asarray(clouds[..., :3], dtype=np.float64)
    points = points - points.mean(axis=1, keepdims=True)
    return points / np.linalg.norm(points, axis=2).max(axis=1)[:, None, None]


def test_processed_files_of_the_published_layout(tmp_path):
    train, test = write_processed(tmp_path / "data", train=(0, 3, 39), test=(0, 39))
    data = load(tmp_path / "data")
    assert (len(data.classes), data.classes[0], data.classes[39]) == (40, "airplane", "xbox")
    assert data.train.points.shape == (3, STORED, 3)
    assert (data.train.points.dtype, data.train.labels.dtype) == (np.float32, np.int64)
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 3, 39], [0, 39])
    np.testing.assert_allclose(data.train.points, unit_sphere(train), atol=1e-7)
    whole = torch.from_numpy(normalized(np.ascontiguousarray(test[..., :3])))
    np.testing.assert_array_equal(data.test.points, gather(whole, farthest_point_sampling(whole, 1024)))
    assert data.notices == ()


def test_stored_clouds_are_neither_centred_nor_scaled(tmp_path):
    train, test = write_processed(tmp_path / "data")
    stored = load_stored(str(tmp_path / "data"))
    np.testing.assert_array_equal(stored.train_points, train[..., :3])
    np.testing.assert_array_equal(stored.test_points, test[..., :3])


def test_all_points_are_kept_in_their_order_where_all_are_wanted(tmp_path):
    _, test = write_processed(tmp_path / "data")
    data = load(tmp_path / "data", points=STORED)
    np.testing.assert_array_equal(data.test.points, normalized(np.ascontiguousarray(test[..., :3])))


def test_points_near_the_origin_are_left_out_on_request(tmp_path):
    write_processed(tmp_path / "data")
    for points in (1024, STORED):
        kept = load(tmp_path / "data", points=points, skip_near_origin=True).test.points
        near = np.square(kept).sum(axis=2) <= 1e-3
        assert kept.shape == (2, points, 3)
        assert not near[:, 1:].any()
    plain = load(tmp_path / "data", points=STORED).test.points
    assert (np.square(plain).sum(axis=2) <= 1e-3).any()


def test_normalised_clouds_are_centred_at_any_offset():
    clouds = shapes(11, 500)[..., :3] + np.float32(100)
    np.testing.assert_allclose(normalized(clouds), unit_sphere(clouds), atol=1e-6)
    np.testing.assert_array_equal(normalized(np.ones((1, 5, 3), np.float32)), np.zeros((1, 5, 3)))
    expected = normalized(clouds)
    assert normalized(clouds, out=clouds) is clouds
    np.testing.assert_array_equal(clouds, expected)


@pytest.mark.parametrize("files", ["processed", "raw"])
def test_the_second_start_converts_nothing(tmp_path, files):
    if files == "processed":
        write_processed(tmp_path / "data")
    else:
        write_raw(tmp_path / "data", ("airplane",), (1, 1))
    first, second = Listener(), Listener()
    before = load(tmp_path / "data", first)
    after = load(tmp_path / "data", second)
    assert first.events[-1].done == first.events[-1].total
    assert second.events == []
    for one, other in ((before.train, after.train), (before.test, after.test)):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_a_changed_file_is_read_anew(tmp_path):
    write_processed(tmp_path / "data")
    before = load(tmp_path / "data").train.points
    write_processed(tmp_path / "data", seed=1)
    assert not np.array_equal(before, load(tmp_path / "data").train.points)
    tree = write_raw(tmp_path / "raw", ("airplane",), (1, 1))
    before = load(tmp_path / "raw").train.points
    raw_file(tree, "airplane_0001").write_bytes(raw_text(shapes(1, 10_000, seed=9)[0]))
    assert not np.array_equal(before, load(tmp_path / "raw").train.points)


def test_a_damaged_conversion_is_made_anew(tmp_path, home):
    write_processed(tmp_path / "data")
    before = load(tmp_path / "data")
    for path in home.glob("converted/*/*points.npy"):
        os.truncate(path, path.stat().st_size // 2)
    listener = Listener()
    after = load(tmp_path / "data", listener)
    assert listener.whats == {"reading ModelNet40", "sampling ModelNet40 (test)"}
    np.testing.assert_array_equal(before.test.points, after.test.points)


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, home):
    write_processed(tmp_path / "data")
    home.touch()  # a file where the folder should be
    for _ in range(2):
        listener = Listener()
        data = load(tmp_path / "data", listener)
        assert listener.whats == {"reading ModelNet40", "sampling ModelNet40 (test)"}
        (notice,) = data.notices
        assert "not kept" in notice


@pytest.mark.parametrize("given", ["the folder", "the tree", "the folder above the tree"])
def test_roots_may_be_given_in_several_ways(tmp_path, given):
    if given == "the folder":
        write_processed(tmp_path / "data")
        assert len(load(tmp_path / "data").train) == 3
        return
    tree = write_raw(tmp_path / "data", ("airplane",), (1, 1))
    root = tree if given == "the tree" else tmp_path / "data"
    assert len(load(root).train) == 1
    write_processed(tree)  # where Point-BERT keeps them; preferred
    assert len(load(root).train) == 3
    assert len(load(root, files="raw").train) == 1
    assert len(load(root, files="processed").train) == 3


@pytest.mark.parametrize(
    ("files", "entry"), [("auto", "modelnet40"), ("processed", "modelnet40"), ("raw", "modelnet40-raw")]
)
@pytest.mark.parametrize("root", [None, "there"])
def test_missing_files_are_named_with_the_way_to_get_them(tmp_path, files, entry, root):
    place = None if root is None else str(tmp_path / root)
    with pytest.raises(DataError, match="ModelNet40 is not there") as caught:
        require_modelnet40(ModelNet40Data(root=place, files=files))
    assert f"pointlora download {entry}," in str(caught.value.remedy)
    assert "data.root" in str(caught.value.remedy)
    assert str(place or "cache of downloads") in caught.value.message


def test_the_one_missing_file_is_named(tmp_path):
    write_processed(tmp_path / "data")
    processed_file(tmp_path / "data", "test").unlink()
    with pytest.raises(DataError, match=r"lacks modelnet40_test_8192pts_fps.dat"):
        require_modelnet40(ModelNet40Data(root=str(tmp_path / "data")))
    tree = write_raw(tmp_path / "raw", ("airplane",), (1, 1))
    require_modelnet40(ModelNet40Data(root=str(tmp_path / "raw")))
    (tree / LISTS[1]).unlink()
    with pytest.raises(DataError, match=r"lacks modelnet40_train.txt"):
        require_modelnet40(ModelNet40Data(root=str(tmp_path / "raw")))


CLOUD = shapes(1)[0]
LABEL = np.array([3], dtype=np.int32)


@pytest.mark.parametrize(
    "content",
    {
        "tuples": ((CLOUD, CLOUD), (LABEL, LABEL)),
        "three columns": [[CLOUD[:, :3]] * 2, [LABEL] * 2],
        "one array of clouds": [np.stack([CLOUD, CLOUD]), np.array([3, 3])],
        "double precision": [[CLOUD.astype(np.float64)] * 2, [3, 3]],
        "the other byte order": [[CLOUD.astype(">f4")] * 2, [np.int64(3)] * 2],
        "a column of labels": [[CLOUD] * 2, np.array([[3], [3]], np.uint8)],
    }.items(),
    ids=lambda item: item[0],
)
def test_kindred_layouts_are_read_too(tmp_path, content):
    write_processed(tmp_path / "data")
    processed_file(tmp_path / "data", "train").write_bytes(pickle.dumps(content[1]))
    stored = load_stored(str(tmp_path / "data"))
    np.testing.assert_array_equal(stored.train_points, [CLOUD[:, :3]] * 2)
    assert stored.train_labels.tolist() == [3, 3]


def changed(row, value):
    cloud = CLOUD.copy()
    cloud[row, 1] = value
    return cloud


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([[CLOUD, CLOUD[:1024]], [LABEL] * 2], r"cloud 1 has 1,024 points, expected \(8192, 6\)"),
        ([[CLOUD, CLOUD[:, :4]], [LABEL] * 2], r"cloud 1 has the shape \(8192, 4\)"),
        ([[CLOUD, CLOUD.astype(np.int32)], [LABEL] * 2], "cloud 1 is an array of int32"),
        ([[CLOUD, None], [LABEL] * 2], "cloud 1 is of type NoneType"),
        ([[CLOUD, changed(7, np.nan)], [LABEL] * 2], "cloud 1 holds values that are NaN or infinite"),
        ([[changed(7, np.inf)], [LABEL]], "cloud 0 holds values that are NaN or infinite"),
        ([[changed(7, 0).astype(float) * 1e300], [LABEL]], "cloud 0 holds values that are NaN or infinite"),
        ([[CLOUD] * 2, [LABEL, np.array([40])]], "label 1 is 40, expected 0 to 39"),
        ([[CLOUD] * 2, [LABEL, -1]], "label 1 is -1"),
        ([[CLOUD] * 2, [LABEL, 1.0]], "label 1 is 1.0"),
        ([[CLOUD] * 2, [LABEL, True]], "label 1 is True"),
        ([[CLOUD] * 2, [LABEL, np.array([1, 2])]], r"label 1 is an array of int64 \(2,\)"),
        ([[CLOUD] * 2, [LABEL]], "holds 2 clouds and 1 labels"),
        ([[], []], "holds 0 clouds"),
        ([[CLOUD], [LABEL], 3], "is not a list of clouds and a list of labels"),
        ({"points": CLOUD}, "is not a list of clouds and a list of labels"),
        ([CLOUD[0, 0].item(), [LABEL]], "is not a list of clouds and a list of labels"),
    ],
)
def test_files_of_another_content_are_refused(tmp_path, home, content, reason):
    write_processed(tmp_path / "data")
    path = processed_file(tmp_path / "data", "train")
    path.write_bytes(pickled(content))
    with pytest.raises(DataError, match=reason) as caught:
        load(tmp_path / "data")
    assert str(path) in caught.value.message
    assert not list(home.rglob("*.npy"))


def test_a_file_that_would_run_code_is_refused(tmp_path):
    write_processed(tmp_path / "data")
    path = processed_file(tmp_path / "data", "train")
    path.write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(tmp_path / "marker") + b"'\ntR.")
    with pytest.raises(IntegrityError, match=r"os\.system"):
        load(tmp_path / "data")
    assert not (tmp_path / "marker").exists()


def test_the_raw_tree_is_sampled_from_the_first_row_of_each_file(tmp_path):
    tree = write_raw(tmp_path, ("airplane", "night_stand", "xbox"), (2, 1))
    listener = Listener()
    stored = load_stored(str(tmp_path), "auto", listener)
    assert stored.train_labels.tolist() == [0, 0, 23, 23, 39, 39]
    assert stored.test_labels.tolist() == [0, 23, 39]
    assert listener.whats == {"converting ModelNet40 (train)", "converting ModelNet40 (test)"}
    points = np.loadtxt(raw_file(tree, "night_stand_0002"), delimiter=",")[:, :3].astype(np.float32)
    cloud = torch.from_numpy(points)[None]
    expected = gather(cloud, farthest_point_sampling(cloud, STORED))[0].numpy()
    np.testing.assert_array_equal(stored.train_points[3], expected)
    np.testing.assert_array_equal(stored.train_points[3, 0], points[0])


def test_several_processes_convert_the_same(tmp_path, home, monkeypatch):
    write_raw(tmp_path / "raw", ("chair", "tv_stand"), (8, 1))
    monkeypatch.setattr(workers, "cores", lambda: 1)
    alone = load_stored(str(tmp_path / "raw"))
    for path in home.rglob("arrays.json"):
        path.unlink()
    monkeypatch.setattr(workers, "cores", lambda: 2)
    together = load_stored(str(tmp_path / "raw"))
    np.testing.assert_array_equal(alone.train_points, together.train_points)
    np.testing.assert_array_equal(alone.test_points, together.test_points)


ROWS = raw_text(CLOUD)
LINES = ROWS.splitlines(keepends=True)


@pytest.mark.parametrize(
    "content",
    [
        ROWS.replace(b"\n", b"\r\n"),
        ROWS + b"\n\n \n",
        ROWS[:-1],
        ROWS.replace(b",", b" "),
        ROWS.replace(b",", b"\t"),
        ROWS.replace(b",", b", "),
        b"\n".join(b",".join(line.split(b",")[:3]) for line in LINES),
        b"\n" + ROWS.replace(b"\n", b"\n\n", 1),
    ],
    ids=[
        "CRLF",
        "blank ends",
        "no last line end",
        "spaces",
        "tabs",
        "commas and spaces",
        "no normals",
        "gaps",
    ],
)
def test_variants_of_text_are_read_alike(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    expected = [[float(value) for value in line.split(b",")[:3]] for line in LINES]
    np.testing.assert_array_equal(read_points(tmp_path / "a.txt"), np.array(expected, dtype=np.float32))


def with_line(number, line):
    return b"".join([*LINES[: number - 1], line, *LINES[number:]])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"".join(LINES[:8000]), "8,000 points, expected at least 8,192"),
        (ROWS[:-20], "line 8,192: .* numbers, expected 6"),
        (with_line(70, b"1,2,nan,0,0,1\n"), "line 70: '1,2,nan,0,0,1' holds something other than finite"),
        (with_line(70, b"1,2,1e99,0,0,1\n"), "line 70: "),
        (with_line(70, b"1,two,3,0,0,1\n"), "line 70: "),
        (with_line(70, b"1,2\n"), "line 70: 2 numbers, expected 6"),
        (with_line(70, b"1,2,3,4,5,6,7\n"), "line 70: 7 numbers, expected 6"),
        (with_line(70, b"1,2,\xff,4,5,6\n"), "line 70: "),
        (with_line(70, b"  \n"), "line 70: 1 numbers"),
        (with_line(70, b"1 2 3 0 0 1\n"), "line 70: "),
        (with_line(70, b"1 2 x 0 0 1\n").replace(b",", b" "), "line 70: "),
        (with_line(70, b"1 2 3\n").replace(b",", b" "), "line 70: 3 numbers, expected 6"),
        (b"1,2\n" * 9000, "line 1: 2 numbers, expected 3"),
        (b"<html>log in</html>", "line 1: "),
        (b"\n\n", "holds no points"),
        (b"", "empty"),
    ],
)
def test_damaged_text_is_refused_with_its_line(tmp_path, content, reason):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_points(tmp_path / "a.txt")
    assert str(tmp_path / "a.txt") in caught.value.message


def test_damaged_trees_are_refused(tmp_path):
    tree = write_raw(tmp_path, ("airplane",), (2, 1))
    names, train = tree / LISTS[0], tree / LISTS[1]
    raw_file(tree, "airplane_0002").unlink()
    with pytest.raises(DataError, match=r"missing .*airplane_0002.txt"):
        load(tmp_path)
    for entry, error in (
        ("airplane_0001\nspaceship_0001\n", DataError),
        ("airplane\n", DataError),
        ("\n", DataError),
        ("../../airplane_0001\n", IntegrityError),
    ):
        train.write_text(entry)
        with pytest.raises(error, match=LISTS[1]):
            load(tmp_path)
    names.write_text("\n".join(CLASSES[:10]))
    with pytest.raises(DataError, match="does not list the 40 classes"):
        load(tmp_path)


CONVERT = """
import sys
from pointlora_cli.datasets.modelnet40 import load_stored
if __name__ == "__main__":
    stored = load_stored(sys.argv[1], "raw", lambda progress: print(progress.done, flush=True))
    print(len(stored.train_points))
"""


def test_a_killed_conversion_leaves_nothing_half_made(tmp_path, home):
    write_raw(tmp_path / "raw", ("airplane", "xbox"), (8, 1))
    script = tmp_path / "convert.py"
    script.write_text(CONVERT)
    for stop in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "raw")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
        assert process.stdout.readline() == "1\n"
        start = time.monotonic()
        process.send_signal(stop)
        process.communicate(timeout=30)
        assert time.monotonic() - start < 5
        assert process.returncode == -stop
        assert not list(home.rglob("*.npy"))
    assert len(load_stored(str(tmp_path / "raw")).train_points) == 16
