"""Reading weights from a file that nobody vouches for: tensors, numbers and text, and nothing that runs."""

from __future__ import annotations

import pickle
import pickletools
import warnings
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


def _load_pickled(path: Path) -> Any:
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
