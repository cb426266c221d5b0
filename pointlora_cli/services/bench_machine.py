"""What the machine can do at best, measured in the same run as what is done with it."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from pointlora_cli.processes import cores
from pointlora_cli.services.bench_clock import Clock

_SMALLEST_SIDE = 256  # of the matrices
_LARGEST_SIDE = {"cpu": 1024, "cuda": 8192}
_ENOUGH = 0.02  # seconds of a product: slow arithmetic, as emulated bfloat16, needs no larger one
_COPIED = {"cpu": 2**27, "cuda": 2**30}  # bytes, far more than a cache holds
_SECONDS = 0.2
_LEAST_TURNS = 3


@dataclass(frozen=True)
class Machine:
    """What a measurement was made on."""

    device: str
    name: str  # of the GPU, or of the processor
    cores: int  # of the processor that this process may use
    threads: int  # that PyTorch uses
    load: float | None  # processes that ran or waited in the last minute, before the measurement began
    torch: str  # version


def describe_machine(device: torch.device) -> Machine:
    """The machine, and how busy it is."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return Machine(str(device), name, cores(), torch.get_num_threads(), load, str(torch.__version__))


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """The most FLOP/s that a product of large square matrices reaches."""
    side = _SMALLEST_SIDE
    while True:
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        product = partial(torch.mm, a, b, out=torch.empty_like(a))
        if side >= _LARGEST_SIDE[device.type] or _quickest(product, device, 0.0) >= _ENOUGH:
            return 2 * side**3 / _quickest(product, device, _SECONDS)
        side *= 2


def memory_rate(device: torch.device) -> float:
    """The most bytes/s, read and written, that copying a large array reaches."""
    size = _COPIED[device.type]
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    into = torch.empty_like(source)
    return 2 * size / _quickest(lambda: into.copy_(source), device, _SECONDS)


def _quickest(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Seconds of the quickest of some turns, which take `seconds` together or are three; the first is left out."""
    clock = Clock(device)
    work()
    clock.wait()
    times: list[float] = []
    began = time.monotonic()
    while len(times) < _LEAST_TURNS or time.monotonic() - began < seconds:
        before = clock.mark()
        work()
        times += clock.spans([before, clock.mark()])
    return min(times)
