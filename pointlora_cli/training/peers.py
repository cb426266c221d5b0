"""What the processes of a run learn of each other's ends.

Each has a line to the one that leads, which has one to each. Before it ends, a process says over it how; where a
line breaks without a word, the process at its end was lost. A lost process is known at once so, and a slow one
is never taken for lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pointlora_cli.errors import (
    DataError,
    DivergedError,
    ExitCode,
    IntegrityError,
    InterruptedRunError,
    LostProcessError,
    NetworkError,
    PointLoRAError,
    Terminated,
    ToldError,
    UsageError,
)
from pointlora_cli.training.place import Place

_BYTES = 2**16  # of an end, in JSON
_OPENING = 60.0  # seconds for a line to be opened, by processes that have just met
_WORD = 5.0  # seconds in which others learn of an end that one of them met
_GRACE = 15.0  # seconds in which a process that is needed no more may end by itself
_KINDS = {error.kind: error for error in (UsageError, DataError, NetworkError, IntegrityError, DivergedError)}


@dataclass(frozen=True)
class End:
    """How a process ended."""

    rank: int
    exit_code: int = 0
    is_told: bool = False  # it has said, or will say, itself what is wrong
    is_lost: bool = False  # it said nothing
    kind: str = ""
    message: str = ""
    remedy: str | None = None

    @classmethod
    def of(cls, rank: int, error: BaseException | None) -> End:
        """That of a process that ends with `error`."""
        if error is None:
            return cls(rank)
        if isinstance(error, KeyboardInterrupt):
            terminated = isinstance(error, Terminated)
            error = InterruptedRunError("terminated" if terminated else "interrupted", terminated=terminated)
        if not isinstance(error, PointLoRAError):
            return cls(rank, int(ExitCode.BUG), is_told=True)
        return cls(
            rank,
            int(error.exit_code),
            is_told=rank == 0 or isinstance(error, ToldError),
            kind=error.kind,
            message=f"process {rank}: {error.message[:1000]}",
            remedy=error.remedy and error.remedy[:500],
        )

    def error(self) -> PointLoRAError:
        """What another process raises for it."""
        if self.is_told:
            return ToldError(self.exit_code)
        if self.is_lost:
            return LostProcessError(self.message, self.remedy)
        if self.kind == InterruptedRunError.kind:
            return InterruptedRunError(self.message, terminated=self.exit_code == ExitCode.TERMINATED)
        return _KINDS.get(self.kind, PointLoRAError)(self.message, self.remedy)


class Peers:
    """The lines to other processes, each watched by a thread."""

    def __init__(
        self, place: Place, tell_all: Callable[[str], str], last_word: Callable[[PointLoRAError], None]
    ) -> None:
        """Open the lines; every process of the run does.

        Args:
            place: of this process.
            tell_all: gives every process the text of the one that leads.
            last_word: says an error where the process cannot end by itself, since it waits for one that is lost.

        Raises:
            OSError: a line cannot be opened.
        """
        self._rank = place.rank
        self._size = place.size
        self._last_word = last_word
        self._bad: End | None = None  # the first end that is not a good one
        self._is_leaderless = False  # the one that leads has ended, well or without a word
        self._is_known = threading.Event()
        self._is_over = threading.Event()
        self._lines = _opened(place, tell_all)
        self._threads = [
            threading.Thread(target=self._watch, args=(other, line), daemon=True)
            for other, line in self._lines.items()
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_heard(self) -> bool:
        """Whether the process that leads tells what is wrong with this one."""
        return self._rank > 0 and not self._is_leaderless

    def failure(self) -> PointLoRAError | None:
        """What ended a process, once others had time to learn of it; None where nothing did."""
        self._is_known.wait(_WORD)
        return None if self._bad is None else self._bad.error()

    def say_end(self, error: BaseException | None) -> None:
        """Say how this process ends; after a good end, wait for that of the one that leads, or of all others."""
        self._is_over.set()
        self._say(End.of(self._rank, error))
        if error is None:
            for thread in self._threads:
                thread.join()

    def _watch(self, other: int, line: socket.socket) -> None:
        """Wait for the end of another process."""
        try:
            with line.makefile("rb") as file:
                end = End(**json.loads(file.readline(_BYTES)))
        except (OSError, ValueError, TypeError):
            end = self._lost(other)
        self._is_leaderless = other == 0 and (end.exit_code == 0 or end.is_lost)
        if end.exit_code == 0 or self._is_known.is_set():
            return
        self._bad = end
        self._is_known.set()
        if self._rank == 0:  # the others need not wait until this process comes to it
            self._say(replace(end, is_told=True))
        error = end.error()
        if self._is_over.wait(_GRACE):
            time.sleep(_GRACE)  # then it hangs on its way out
        elif not isinstance(error, ToldError):  # it hangs in a message to the one that is gone
            self._last_word(error)
        os._exit(end.exit_code)

    def _say(self, end: End) -> None:
        text = json.dumps(vars(end)).encode() + b"\n"
        for line in self._lines.values():
            with contextlib.suppress(OSError):  # it is gone already
                line.sendall(text)

    def _lost(self, other: int) -> End:
        """The end of a process that said nothing; of all that notice, one tells it."""
        return End(
            other,
            int(ExitCode.USAGE),
            is_told=self._rank > 1,
            is_lost=True,
            message=f"process {other} (of {self._size}, counted from 0) ended without a word: it was killed, most "
            "likely for lack of memory",
            remedy="Use fewer devices, or a smaller batch (--set train.batch_size=N).",
        )


def _opened(place: Place, tell_all: Callable[[str], str]) -> dict[int, socket.socket]:
    """A line to the process that leads, or from it one to each other, by rank."""
    host = place.address.rpartition(":")[0]
    if place.rank > 0:
        port, secret = tell_all("").split()
        line = socket.create_connection((host, int(port)), timeout=_OPENING)
        line.sendall(f"{secret} {place.rank}\n".encode())
        line.settimeout(None)
        return {0: line}
    secret = secrets.token_hex(16)
    with _listening(host) as server:
        tell_all(f"{server.getsockname()[1]} {secret}")
        server.settimeout(_OPENING)
        lines: dict[int, socket.socket] = {}
        while len(lines) < place.size - 1:
            line = server.accept()[0]
            line.settimeout(_OPENING)
            said, _, rank = _first_line(line).partition(" ")
            if secrets.compare_digest(said.encode(), secret.encode()) and rank.isdigit():
                line.settimeout(None)
                lines[int(rank)] = line
            else:  # a stranger
                line.close()
    return lines


def _listening(host: str) -> socket.socket:
    try:
        return socket.create_server((host, 0))
    except OSError:  # behind an address that is not its own
        return socket.create_server(("", 0))


def _first_line(line: socket.socket) -> str:
    said = b""
    while not said.endswith(b"\n") and len(said) < _BYTES:
        try:
            letter = line.recv(1)
        except OSError:
            break
        if not letter:
            break
        said += letter
    return said.decode(errors="replace").removesuffix("\n")
