"""Reading weights from a file that nobody vouches for: tensors, numbers and text, and nothing that runs."""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pointlora_cli.errors import DataError, IntegrityError, PointLoRAError

_CONTAINERS = ("base_model", "model_state_dict", "model", "state_dict")
"""Keys under which training code stores the weights, in the order in which they are tried."""

_IMPORTS = {"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}
"""What a pickle asks for objects with."""

_LONGEST_NAME = 500  # characters
_PICKLES = 5  # a PyTorch file of before 1.6 is as many, one after the other


def read_checkpoint(path: Path, name: str | None = None) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` file or of a PyTorch checkpoint, by name.

    Args:
        path: the file.
        name: what it is called, its suffix included, where the path is a temporary one.

    Raises:
        IntegrityError: it asks for objects that could run code; nothing was run.
        DataError: it is unreadable, or holds no tensors.
    """
    name = name or str(path)
    try:
        content = load_file(path) if name.endswith(".safetensors") else _load_pickled(path)
    except pickle.UnpicklingError as error:
        raise _unpickling_error(path, name) from error
    except Exception as error:  # an unpickler that is fed garbage may raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name}: not a readable checkpoint: {reason}") from error
    weights = _weights_in(content)
    _require_plain(weights, name)
    if not weights:
        raise DataError(f"{name}: holds no weights (looked for {', '.join(_CONTAINERS)} and bare tensors)")
    return weights


def _unpickling_error(path: Path, name: str) -> PointLoRAError:
    """The loader refuses unknown objects and bytes that are no pickle in the same words; these are told apart."""
    if not _asks_for_objects(path):
        return DataError(f"{name}: not a readable checkpoint: no PyTorch file, or a damaged one")
    return IntegrityError(
        f"{name}: refused, and nothing was run: it holds objects other than tensors, numbers and text",
        remedy="Ask its author for a .safetensors file; a pickle can run any code on loading.",
    )


def _asks_for_objects(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(2) == b"PK":  # a torch file whose pickle was read
            return True
        file.seek(0)
        asks = False
        try:
            for _ in range(_PICKLES):
                asks |= not _IMPORTS.isdisjoint([code.name for code, _, _ in pickletools.genops(file)])
        except Exception:  # the end, or bytes that are no pickle, which may raise anything
            return asks
    return asks


def _require_plain(weights: Mapping[str, Tensor], name: str) -> None:
    """Refuse tensors that do not hold one number for each place, and names that no message could show.

    Raises:
        DataError: what was found, and under which name.
    """
    for key, value in weights.items():
        if len(key) > _LONGEST_NAME:
            raise DataError(f"{name}: a weight's name of {len(key):,} characters: {key[:60]}...")
        is_dense = value.layout == torch.strided and not (
            value.is_nested or value.is_quantized or value.is_meta
        )
        if not is_dense or value.is_complex():
            raise DataError(
                f"{name}: {key} is not a plain tensor of numbers, but sparse, complex or the like"
            )


def _require_unpacked(path: Path) -> None:
    """Refuse a zip that is damaged, or unpacks to more than its own size: PyTorch writes none, a bomb does."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return
        try:
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
        except zipfile.BadZipFile as error:
            raise ValueError("it is damaged, or its end is missing") from error
    if unpacked > path.stat().st_size:
        raise ValueError("it is compressed, as PyTorch writes none")


def _load_pickled(path: Path) -> Any:
    _require_unpacked(path)
    # Official files keep their best metrics as numpy scalars beside the weights; these rebuild nothing else.
    multiarray = getattr(np, "_core", None) or np.core
    harmless = [multiarray.multiarray.scalar, np.dtype, *{type(np.dtype(kind)) for kind in "?bhilqBHILQefd"}]
    with torch.serialization.safe_globals(harmless), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on pickle protocols; a file that cannot be read is an error below
        return torch.load(path, map_location="cpu", weights_only=True)


def _weights_in(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for key in _CONTAINERS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
