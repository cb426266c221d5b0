"""Letting Ctrl-C and SIGTERM wait until a run's state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from typing_extensions import Self

from pointlora_cli.errors import Terminated
from pointlora_cli.training.distribution import ALONE, Distribution

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Those that are held back; of two at once in different processes, the first decides."""


class Interruption:
    """Holds the first signal back until `check`; a second one ends the process at once.

    Whoever handled the signal before is given it then, so what it raises stays the same. Signals that nobody
    handles are left alone, as are all of them outside the main thread, where none arrives. Of several processes
    of a run, each must `obey` what any of them holds back.
    """

    def __init__(self) -> None:
        self._former: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._pending: int | None = None

    def __enter__(self) -> Self:
        """Hold signals back from now on."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            self._former = {number: handler for number, handler in handlers.items() if callable(handler)}
        self._install(self._hold)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back, and the one that was held, unless the run ends in an error anyhow."""
        if self._pending is None:
            self._give_back()
        elif error is None:
            self.check()
        else:
            self._install_former()

    @property
    def flags(self) -> tuple[bool, ...]:
        """Which of `SIGNALS` is held back."""
        return tuple(number == self._pending for number in SIGNALS)

    def check(self) -> None:
        """Pass on a signal that was held back.

        Raises:
            KeyboardInterrupt: there is one, and its handler is of the usual kind.
        """
        if self._pending is not None:
            self.obey(self._pending)

    def obey(self, number: int) -> None:
        """Pass on a signal that this process holds back, or another one of its run.

        Raises:
            KeyboardInterrupt: the handler is of the usual kind, or there is none.
        """
        is_own, self._pending = self._pending is not None, None
        self._install_former()
        try:
            if number in self._former:
                self._former[number](number, None)
            else:
                raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        finally:
            if not is_own:
                self._install(self._meet_again)

    @contextmanager
    def let_through(self, distribution: Distribution = ALONE) -> Iterator[Callable[[], None]]:
        """Let signals through at once while nothing changes the state; several processes heed them together.

        Gives what all of them are to call now and then meanwhile.

        Raises:
            KeyboardInterrupt: one was held back, or arrives.
        """
        if distribution.size > 1:
            yield lambda: self._heed_together(distribution)
            return
        self.check()
        self._give_back()
        yield lambda: None
        self._install(self._hold)

    def _heed_together(self, distribution: Distribution) -> None:
        for number, is_held in zip(SIGNALS, distribution.agreed(self.flags), strict=True):
            if is_held:
                self.obey(number)

    def _meet_again(self, number: int, frame: FrameType | None) -> None:
        """Take the signal that another process had earlier, and obeyed with this one, as the first."""
        self._install_default()

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._install_default()
        self._pending = number

    def _install_default(self) -> None:
        for number in self._former:
            signal.signal(number, signal.SIG_DFL)

    def _install(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        for number in self._former:
            signal.signal(number, handler)

    def _give_back(self) -> None:
        for number, handler in self._former.items():
            if signal.getsignal(number) == self._hold:  # else one came, and its handler left another
                signal.signal(number, handler)

    def _install_former(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
