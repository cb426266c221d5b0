"""A file of tensors and a JSON record with a SHA-256 over all of it: one rename makes it whole, one bit breaks it.

It is a safetensors file; the record and its hash are in its header. Nothing in it can run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pointlora_cli.errors import IntegrityError

_RECORD, _SEAL = "record", "sha256"


def sealed(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> bytes:
    """The bytes of a file that holds `tensors` and `record`."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(record, allow_nan=False)
    return save(plain, {_RECORD: text, _SEAL: _digest(plain, text)})


def unsealed(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read and verify a file: its tensors, on the CPU, and its record.

    Raises:
        IntegrityError: it is damaged, or no such file at all.
        OSError: it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: the file may be cut short or written over while they are in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - no mapping
        text = metadata[_RECORD]
        is_whole = metadata[_SEAL] == _digest(tensors, text)
        record = json.loads(text) if is_whole else None
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{path}: damaged, or not a checkpoint of pointlora") from error
    if not isinstance(record, dict):
        raise IntegrityError(f"{path}: damaged: its content is not what its SHA-256 says")
    return tensors, record


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
