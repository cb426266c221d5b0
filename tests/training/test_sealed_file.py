"""Sealed files: what is read is what was written, or it is refused in words."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
import torch

from pointlora_cli.errors import IntegrityError
from pointlora_cli.training.sealed_file import sealed, unsealed

RECORD = {"format": "f", "state": {"epoch": 3, "loss": 0.1, "kept": None}}
TENSORS = {
    "a": torch.tensor([1.5, -2.0]),
    "b/c": torch.arange(3, dtype=torch.uint8),
    "d": torch.tensor(7),
    "none": torch.zeros(0, 4, dtype=torch.bfloat16),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def test_tensors_and_record_come_back_bit_for_bit(path):
    path.write_bytes(sealed(TENSORS, RECORD))
    tensors, record = unsealed(path)
    assert record == RECORD
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert (tensors[name].dtype, tensors[name].shape) == (value.dtype, value.shape)
        assert torch.equal(tensors[name], value)


def test_one_flipped_bit_is_detected_in_every_byte(path):
    whole = sealed(TENSORS, RECORD)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="damaged"):
            unsealed(path)


def test_cuts_and_what_follows_the_end_are_detected(path):
    whole = sealed(TENSORS, RECORD)
    for content in (
        *(whole[:size] for size in range(0, len(whole), 5)),
        whole[:-1],
        whole + b"\0",
        whole + whole,
    ):
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match="damaged"):
            unsealed(path)


def written_by_hand(text, tensors=b"", **header):
    """A file without tensors whose record is `text`, with the seal that it should have."""
    metadata = {"record": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    head = json.dumps({"__metadata__": metadata, **header}).encode()
    return struct.pack("<Q", len(head)) + head + tensors


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "7", "{", "[" * 10**5, '{"a": NaN', '"\\ud800"', "{" + '"a":{' * 5000]
)
def test_a_record_that_is_none_is_refused_though_its_seal_fits(path, text):
    path.write_bytes(written_by_hand(text))
    with pytest.raises(IntegrityError, match="damaged"):
        unsealed(path)


@pytest.mark.parametrize(
    "header",
    [
        {"t": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
        {"t": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"t": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}},
        {"t": {"dtype": "F9", "shape": [2], "data_offsets": [0, 8]}},
        {"t": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"t": None},
    ],
)
def test_sizes_that_are_only_claimed_take_no_memory(path, header):
    path.write_bytes(written_by_hand("{}", bytes(8), **header))
    with pytest.raises(IntegrityError, match="damaged"):
        unsealed(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04cos\nsystem\n.", b"PK\x03\x04", b"\xff" * 64])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged, or not a checkpoint"):
        unsealed(path)
