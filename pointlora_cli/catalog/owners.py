"""Which process a partial file belongs to, and whether that process is surely gone."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PROCESSES = Path("/proc")
_ENDED = {"Z", "X", "x"}  # states of a process of which only the entry is left
_HIDDEN = ""


@dataclass(frozen=True)
class Owner:
    """A process: process ids mean something only within one boot of a machine and one namespace."""

    boot: str  # "" where the system does not tell
    namespace: str
    pid: int
    started: str

    @property
    def is_surely_dead(self) -> bool:
        """The process ran here, in this boot and namespace, and runs no more."""
        here = current_owner()
        if not here.boot or (self.boot, self.namespace) != (here.boot, here.namespace):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # it is there, but another user's
        return _start_of(self.pid) not in {self.started, _HIDDEN}


def current_owner() -> Owner:
    """This process."""
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = (_PROCESSES / "sys/kernel/random/boot_id").read_text().strip()
        namespace = str((_PROCESSES / "self/ns/pid").readlink())
    pid = os.getpid()
    started = _start_of(pid)
    return Owner(boot if namespace and started != _HIDDEN else "", namespace, pid, started)


def _start_of(pid: int) -> str:
    """When a process started, in ticks since boot; `_HIDDEN` where the system does not tell."""
    try:
        text = (_PROCESSES / str(pid) / "stat").read_bytes().decode("ascii", "replace")
    except OSError:
        return _HIDDEN
    # The name of the program, in brackets, may itself hold spaces and brackets.
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20:
        return _HIDDEN
    return "ended" if fields[0] in _ENDED else fields[19]
