"""Ctrl-C and SIGTERM: the first unwinds the program, the second kills it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pointlora_cli.errors import Terminated

_TRY_AGAIN = 0.05  # seconds after which an import may be over


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. CPython kills itself on the way out, whatever the exit code, if a bare one left an `exec`."""


@contextmanager
def stopped_by_signals() -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM unwind the program, so that a run can say what it kept; a second one kills it.

    Gives the list of signals received.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        for caught in former:
            signal.signal(caught, signal.SIG_DFL)
        if number in former:
            received.append(number)
        if _is_importing(frame) and hasattr(signal, "SIGALRM"):  # an exception there is lost, or aborts torch
            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, _TRY_AGAIN)
            return
        raise Terminated if signal.SIGTERM in received else Interrupted

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A background job ignores Ctrl-C, and goes on ignoring it.
    former = {
        number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)
    }
    for number in former:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        if received and hasattr(signal, "SIGALRM"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in former.items() if not received else ():  # a second one also kills the way out
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
