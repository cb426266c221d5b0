"""Which device and which precision a run uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from pointlora_cli.errors import UsageError
from pointlora_cli.specs.training import Precision
from pointlora_cli.training.compilation import compiler_failure

_NO_MEMORY = "can't allocate memory"  # the CPU allocator raises a plain RuntimeError


def resolve_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is the GPU where there is one.

    Raises:
        UsageError: the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise UsageError(
                f"train.device is '{name}', but PyTorch sees no CUDA device",
                remedy="Use train.device=cpu (or auto); `pointlora doctor` shows what PyTorch sees.",
            )
        if (device.index or 0) >= count:
            raise UsageError(f"train.device is '{name}', but there are {count} CUDA devices (cuda:0 …)")
    return device


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The compute type: `auto` is bfloat16 on a GPU that has it, else float32.

    Raises:
        UsageError: bfloat16 was asked for on a GPU that lacks it.
    """
    supported = device.type == "cpu" or computes_bfloat16(device)
    if precision == "float32" or (precision == "auto" and (device.type == "cpu" or not supported)):
        return torch.float32
    if not supported:
        raise UsageError(
            "train.precision is 'bfloat16', but this GPU computes no bfloat16",
            remedy="Use train.precision=auto or float32.",
        )
    return torch.bfloat16


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a CUDA device has bfloat16 in hardware (Ampere and later), and does not emulate it."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


@contextmanager
def memory_guard(remedy: str) -> Iterator[None]:
    """Turn running out of memory, and a network that does not compile, into a message.

    Raises:
        UsageError: the CPU or the GPU has no more memory, or the compiler fails.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if (failure := compiler_failure(error)) is not None:
            raise failure from error
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and _NO_MEMORY not in str(error):
            raise
        raise UsageError(f"out of memory: {str(error).splitlines()[0][:200]}", remedy=remedy) from error


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Compute in `dtype` where that is safe; nothing for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
