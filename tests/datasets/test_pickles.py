"""Pickles of strangers: arrays and plain values are read; anything else is refused, and nothing runs."""

from __future__ import annotations

import operator
import os
import pickle
import random
import struct
import subprocess
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from modelnet_files import pickled

from pointlora_cli.datasets.pickles import load_plain_pickle
from pointlora_cli.errors import DataError, ExitCode, IntegrityError, PointLoRAError

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)
PLAIN = [
    ARRAY,
    [ARRAY.T, np.asfortranarray(ARRAY), ARRAY.astype(">f8"), np.zeros((0, 3), np.int16), np.array(7)],
    {"train": [(ARRAY, 3, 39)], 1: (1.5, -2, 2**70, None, True), b"x": "é"},
    [np.array([True, False]), np.float64(2.5), np.int32(4), np.bool_(True), np.array([1 + 2j])],
    (),
]


def load(path, content):
    path.write_bytes(content)
    return load_plain_pickle(path, what="a file of arrays")


def same(ours, theirs):
    if isinstance(theirs, list | tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, np.ndarray | np.generic):
        return type(ours) is type(theirs) and ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    return type(ours) is type(theirs) and ours == theirs


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_of_every_protocol(tmp_path, protocol):
    assert same(load(tmp_path / "x", pickle.dumps(PLAIN, protocol)), PLAIN)


def test_modules_of_numpy_1_and_2_are_the_same(tmp_path):
    assert b"numpy._core" not in pickled(PLAIN)
    assert same(load(tmp_path / "x", pickled(PLAIN)), PLAIN)


def test_strings_of_python_2_are_bytes_of_arrays(tmp_path):
    raw = ARRAY.tobytes()
    numbers = b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    start = b"(lp0\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I3\nI4\nt"
    escaped = b"S'" + b"".join(b"\\x%02x" % byte for byte in raw) + b"'\n"
    short = b"U" + bytes([len(raw)]) + raw
    for content in (escaped, short):
        (array,) = load(tmp_path / "x", start + numbers + b"I00\n" + content + b"tba.")
        assert same(array, ARRAY)


def test_an_array_that_is_there_twice_is_read_once(tmp_path):
    first, second = load(tmp_path / "x", pickle.dumps([ARRAY, ARRAY]))
    assert first is second


def test_arrays_can_be_shrunk_as_they_are_read(tmp_path):
    (tmp_path / "x").write_bytes(pickle.dumps([ARRAY, 2 * ARRAY]))
    kept = load_plain_pickle(tmp_path / "x", what="arrays", keep=lambda array: array[:, :1].copy())
    assert same(kept, [ARRAY[:, :1], 2 * ARRAY[:, :1]])


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


def hostile(marker):
    """Values whose pickles touch `marker`, or would lead to that, when Python loads them."""
    touch = f"touch '{marker}'"
    code = f"open({str(marker)!r}, 'w').close()"
    objects = np.empty(2, dtype=object)
    objects[:] = [Calls(os.system, touch), None]
    return {
        "os.system": Calls(os.system, touch),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "subprocess": Calls(subprocess.call, touch, None, None),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "operator": Calls(operator.methodcaller("touch"), marker),
        "numpy.load": Calls(np.load, str(marker), None, True),
        "numpy.memmap": Calls(np.memmap, str(marker), "uint8", "w+", 0, (1,)),
        "nested": {"train": [(ARRAY, [Calls(os.system, touch)])]},
        "in an object array": objects,
        "torch tensor": torch.zeros(3),
        "ordered dictionary": OrderedDict(a=1),
        "set": {1, 2},
        "frozen set": frozenset({1}),
        "complex number": 1j,
        "path": Path("x"),
        "class": dict,
        "array of text": np.array(["a"]),
        "array of records": np.zeros(2, dtype=[("a", "f4")]),
        "array of dates": np.zeros(2, dtype="M8[s]"),
        "masked array": np.ma.masked_array([1], [True]),
        "array of another class": np.rec.array([(1,)], dtype=[("a", "i4")]),
        "dtype": np.dtype("f4"),
        "dtype in a dictionary": {"a": np.dtype("f4")},
        "keys that are tuples": {(1, 2): 3},
    }


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", hostile("m"))
def test_whatever_asks_for_more_is_refused_and_nothing_runs(tmp_path, name, protocol):
    marker = tmp_path / "marker"
    with pytest.raises(IntegrityError, match=r"refused: it asks for .*; nothing was run") as caught:
        load(tmp_path / "x", pickle.dumps(hostile(marker)[name], protocol))
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert len(caught.value.message.splitlines()) == 1
    assert not marker.exists()


def test_the_message_names_what_was_asked_for(tmp_path):
    with pytest.raises(IntegrityError) as caught:
        load(tmp_path / "x", pickle.dumps(Calls(eval, "1")))
    assert caught.value.message == (
        f"{tmp_path / 'x'}: refused: it asks for builtins.eval, and only arrays, lists, tuples, dictionaries "
        "and numbers are admitted; nothing was run"
    )
    with pytest.raises(IntegrityError) as caught:
        load(tmp_path / "x", b"cos\x1b[2J\nsy\xc3\xa9\n.")
    assert caught.value.message.isprintable()


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = RECONSTRUCT + b"(cnumpy\nndarray\n(K\x00tC\x01btR"
FLOATS = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4tR"


@pytest.mark.parametrize(
    "program",
    {
        "content for an admitted name": RECONSTRUCT + b"}X\x01\x00\x00\x00aK\x01sb.",
        "content for the class of arrays": b"cnumpy\nndarray\n}b.",
        "content for a list": b"]}b.",
        "content for a finished array": EMPTY + b"(K\x01(K\x01t" + FLOATS + b"I00\nC\x040000tb}b.",
        "an object made by its class": b"cnumpy\nndarray\n)\x81.",
        "an old instance": b"(ios\nsystem\n.",
        "a call of an array": EMPTY + b"(tR.",
        "a call of a class": b"cnumpy\nndarray\n(K\x01tR.",
        "another class of array": RECONSTRUCT + b"(cnumpy\nmatrix\n(K\x00tC\x01btR.",
        "an admitted name as the class of array": RECONSTRUCT + b"(" + RECONSTRUCT + b"(K\x00tC\x01btR.",
        "a name within a dotted name": b"\x80\x04X\x05\x00\x00\x00numpyX\x0b\x00\x00\x00os.open.ext\x93.",
        "a name as a value": b"](cnumpy\nndarray\ne.",
        "a name within tuples": b"cnumpy\nndarray\n\x85\x85.",
        "a type of objects": b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8tR.",
        "a type given by a dictionary": b"cnumpy\ndtype\n(}tR.",
        "a persistent object": b"Pabc\n.",
        "a registered extension": b"\x82\x01.",
        "memory outside the file": b"\x97.",
        "text in another encoding": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.",
        "objects in an array": EMPTY + b"(K\x01(K\x01t" + FLOATS + b"I00\n]tb.",
    }.items(),
    ids=lambda item: item[0],
)
def test_crafted_programs_are_refused(tmp_path, program):
    with pytest.raises(IntegrityError, match="refused: it asks for"):
        load(tmp_path / "x", program[1])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello, this is no pickle", "not a file of arrays"),
        (b"<!DOCTYPE html><html>Sign in</html>", "it is a web page"),
        (pickle.dumps(PLAIN)[:-40], "ends in the middle"),
        (b"\x80\x04.", "contradictory"),
        (b"\x80\xff.", "later Python"),
        (b"\x8e" + struct.pack("<Q", 2**62) + b"abc.", "ends in the middle"),
        (b"B\xff\xff\xff\xffabc.", "ends in the middle"),
        (b"r\xff\xff\xff\x7f.", "contradictory"),
        (
            EMPTY + b"(K\x01(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft" + FLOATS + b"I00\nC\x040000tb.",
            "fit its shape",
        ),
        (EMPTY + b".", None),
        (b"I" + b"9" * 5000 + b"\n.", "too long"),
        (b"\x8b" + struct.pack("<i", 5000) + b"1" * 5000 + b".", "number without measure"),
        (b"]K\x01K\x02s.", "no dictionary"),
        (b"K\x01K\x02a.", "no list"),
        (pickle.dumps([bytes(5000)] * 2), "refers twice"),
    ],
)
def test_damaged_files_are_no_crash(tmp_path, content, reason):
    with pytest.raises(PointLoRAError) as caught:
        load(tmp_path / "x", content)
    if reason:
        assert isinstance(caught.value, DataError)
        assert reason in caught.value.message
    assert str(tmp_path / "x") in caught.value.message


def test_missing_and_empty_files_and_folders(tmp_path):
    (tmp_path / "empty").touch()
    for path in (tmp_path / "missing", tmp_path / "empty", tmp_path):
        with pytest.raises(DataError, match=path.name):
            load_plain_pickle(path, what="arrays")


def test_bombs_are_harmless(tmp_path):
    depth = 200_000
    nested = load(tmp_path / "x", b"]" * depth + b"a" * (depth - 1) + b".")
    while nested:
        (nested,) = nested
    tuples = load(tmp_path / "x", b")" + b"\x85" * depth + b".")
    assert len(tuples) == 1
    del tuples
    doubled = load(
        tmp_path / "x", b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(60)) + b"."
    )
    assert doubled[0] is doubled[1]
    text = (
        b"c_codecs\nencode\nq\x00X"
        + struct.pack("<I", 10**5)
        + b"a" * 10**5
        + b"q\x01X\x06\x00\x00\x00latin1q\x02"
    )
    with pytest.raises(IntegrityError, match="more text than the file holds"):
        load(tmp_path / "x", text + b"h\x00h\x01h\x02\x86R" * 10_000 + b".")


def test_keys_that_collide_are_refused_in_numbers(tmp_path):
    keys = b"".join(b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(40_000))
    start = time.monotonic()
    with pytest.raises(IntegrityError, match="a dictionary of more than"):
        load(tmp_path / "x", b"}(" + keys + b"u.")
    assert time.monotonic() - start < 5


def test_random_damage_is_never_more_than_an_error(tmp_path):
    chance = random.Random(0)
    for whole in (pickle.dumps(PLAIN, 4), pickle.dumps(PLAIN, 0), pickled(PLAIN, 2)):
        for _ in range(150):
            content = bytearray(
                whole[: chance.randrange(1, len(whole) + 1)] if chance.random() < 0.3 else whole
            )
            for _ in range(chance.randrange(1, 6)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            try:
                load(tmp_path / "x", bytes(content))
            except PointLoRAError as error:
                assert error.exit_code in (ExitCode.DATA, ExitCode.INTEGRITY)
