"""Reading weights from a file that nobody vouches for: tensors, numbers and text, and nothing that runs."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pointlora_cli.errors import DataError

_CONTAINERS = ("base_model", "model_state_dict", "model", "state_dict")
"""Keys under which training code stores the weights, in the order in which they are tried."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` file or of a PyTorch checkpoint, by name.

    Raises:
        DataError: the file is unreadable, holds other objects, or no tensors.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load_pickled(path)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: refused: it holds objects other than tensors, numbers and text",
            remedy="Ask its author for a .safetensors file; a pickle can run any code on loading.",
        ) from error
    except Exception as error:  # an unpickler that is fed garbage may raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a readable checkpoint: {reason}") from error
    weights = _weights_in(content)
    if not weights:
        raise DataError(f"{path}: holds no weights (looked for {', '.join(_CONTAINERS)} and bare tensors)")
    return weights


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
