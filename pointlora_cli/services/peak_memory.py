"""The most memory that a run held."""

from __future__ import annotations

import re
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")
_RESET = "5"  # written to clear_refs, it makes the peak start again from what is held now


class PeakMemory:
    """The peak from now on, of one device.

    On a GPU these are the bytes that PyTorch had allocated. On a CPU they are the resident bytes of the whole
    process, with the interpreter, PyTorch and the data; only Linux tells them from a given moment on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._is_known = True
        else:
            self._is_known = _reset()

    def read(self) -> int | None:
        """Bytes; None where the system does not tell."""
        if not self._is_known:
            return None
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        found = re.search(r"^VmHWM:\s*(\d+) kB", (_PROCESS / "status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else None


def free_memory(device: torch.device) -> int | None:
    """Bytes that a further process could take on a device; None where the system does not tell."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    found = [room for room in (_available(), _room_in_group()) if room is not None]
    return min(found, default=None)


def _reset() -> bool:
    try:
        (_PROCESS / "clear_refs").write_text(_RESET)
    except OSError:
        return False
    return True


def _available() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _room_in_group() -> int | None:
    """What a container's own limit leaves."""
    try:
        limit, used = (
            Path("/sys/fs/cgroup", name).read_text().strip() for name in ("memory.max", "memory.current")
        )
    except OSError:
        return None
    return max(0, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else None
