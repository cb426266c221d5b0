"""Converted arrays are kept whole, verified, rebuilt when damaged, and never half-made."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import environment

from pointlora_cli.datasets.compact import load_or_build

ARRAYS = {
    "points": np.random.default_rng(0).standard_normal((40, 64, 3)).astype(np.float32),
    "labels": np.arange(40),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "none": np.zeros((0, 3), np.float32),
}
KEY = {"size": 3, "version": 1}


class Builder:
    """Counts how often the arrays were made."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return ARRAYS


def load(root, builder, **key):
    arrays, notices = load_or_build(root, "toy", {**KEY, **key}, builder)
    assert notices == ()
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
        assert arrays[name].flags.writeable
    return arrays


def folder(root):
    (found,) = root.iterdir()
    return found


def test_the_second_time_nothing_is_built(tmp_path):
    builder = Builder()
    load(tmp_path / "deep" / "converted", builder)
    load(tmp_path / "deep" / "converted", builder)
    assert builder.calls == 1


def test_another_key_has_other_arrays(tmp_path):
    builder = Builder()
    load(tmp_path, builder)
    load(tmp_path, builder, size=4)
    load(tmp_path, builder, version="1")
    assert builder.calls == 3
    assert len(list(tmp_path.iterdir())) == 3


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def replace(kept, array):
    np.save(kept / "points.npy", array)
    record = json.loads((kept / "arrays.json").read_text())
    record["sha256"]["points"] = hashlib.sha256((kept / "points.npy").read_bytes()).hexdigest()
    (kept / "arrays.json").write_text(json.dumps(record))


DAMAGE = {
    "a flipped bit": lambda kept: flip(kept / "points.npy"),
    "a flipped bit in the labels": lambda kept: flip(kept / "labels.npy"),
    "a file cut off": lambda kept: os.truncate(kept / "points.npy", 1000),
    "an empty file": lambda kept: os.truncate(kept / "points.npy", 0),
    "a missing file": lambda kept: (kept / "points.npy").unlink(),
    "no record": lambda kept: (kept / "arrays.json").unlink(),
    "a record cut off": lambda kept: os.truncate(kept / "arrays.json", 30),
    "another record": lambda kept: (kept / "arrays.json").write_text('{"sha256": [1]}'),
    "a record of nothing": lambda kept: (kept / "arrays.json").write_text('{"sha256": {}}'),
    "another array, its hash in the record": lambda kept: replace(kept, np.zeros((3, 5))),
    "a record of no text": lambda kept: (kept / "arrays.json").write_bytes(b"\xff\x00"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_and_repaired(tmp_path, damage):
    builder = Builder()
    load(tmp_path, builder)
    DAMAGE[damage](folder(tmp_path))
    load(tmp_path, builder)
    load(tmp_path, builder)
    assert builder.calls == 2
    assert sorted(path.name for path in folder(tmp_path).iterdir()) == sorted(
        ["arrays.json", *(f"{name}.npy" for name in ARRAYS)]
    )


def test_an_error_while_building_leaves_nothing(tmp_path):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        load_or_build(tmp_path / "converted", "toy", KEY, fail)
    assert not (tmp_path / "converted").exists()


def test_where_nothing_can_be_written_the_arrays_are_made_each_time(tmp_path):
    builder = Builder()
    blocked = tmp_path / "file"
    blocked.touch()
    for calls in (1, 2):
        arrays, (notice,) = load_or_build(blocked / "converted", "toy", KEY, builder)
        assert arrays.keys() == ARRAYS.keys()
        assert builder.calls == calls
        assert str(blocked) in notice
    arrays, notices = load_or_build(tmp_path / "good", "toy", KEY, builder)
    assert notices == ()


def test_a_full_disk_leaves_no_debris(tmp_path):
    large = {"points": np.zeros(3_000_000)}
    code = """
import resource, signal, sys, pathlib, numpy as np
from pointlora_cli.datasets.compact import load_or_build
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
build = lambda: {"points": np.zeros(3_000_000)}
arrays, notices = load_or_build(pathlib.Path(sys.argv[1]), "toy", {"a": 1}, build)
assert len(arrays["points"]) == 3_000_000 and len(notices) == 1, notices
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment(), timeout=60)
    assert list(tmp_path.iterdir()) == []
    arrays, notices = load_or_build(tmp_path, "toy", {"a": 1}, lambda: large)
    assert len(arrays["points"]) == 3_000_000
    assert notices == ()


WRITER = """
import sys, pathlib, numpy as np
from pointlora_cli.datasets.compact import load_or_build
def build():
    print("building", flush=True)
    return {name: np.full(400_000, place) for place, name in enumerate("abcdef")}
load_or_build(pathlib.Path(sys.argv[1]), "toy", {"a": 1}, build)
print("done", flush=True)
"""


def writer(root):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True, env=environment()
    )


def test_killed_at_random_moments_leaves_all_or_nothing(tmp_path):
    chance = random.Random(0)
    killed = 0
    for attempt in range(8):
        root = tmp_path / str(attempt)
        process = writer(root)
        assert process.stdout.readline() == "building\n"
        time.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        for kept in root.glob("toy-*"):
            hashes = json.loads((kept / "arrays.json").read_text())["sha256"]
            assert sorted(hashes) == list("abcdef")
        arrays, _ = load_or_build(root, "toy", {"a": 1}, lambda: {"a": np.zeros(1)})
        assert sorted(arrays) in (["a"], list("abcdef"))
    assert killed


def test_what_was_abandoned_is_removed_in_time(tmp_path):
    load(tmp_path, Builder())
    kept = folder(tmp_path)
    for name, age in (("old", 7200), ("young", 60)):
        abandoned = tmp_path / f".{kept.name}.{name}"
        abandoned.mkdir()
        (abandoned / "points.npy").write_bytes(b"half")
        for path in (abandoned / "points.npy", abandoned):
            os.utime(path, (time.time() - age,) * 2)
    flip(kept / "points.npy")
    load(tmp_path, Builder())
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{kept.name}.young", kept.name]


def test_several_processes_at_once_agree(tmp_path):
    processes = [writer(tmp_path) for _ in range(3)]
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.endswith("done\n")
    assert len(list(tmp_path.iterdir())) == 1
    arrays, _ = load_or_build(tmp_path, "toy", {"a": 1}, dict)
    assert sorted(arrays) == list("abcdef")
