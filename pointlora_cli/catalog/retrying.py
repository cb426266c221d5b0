"""How often and after which pauses a server is asked again."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from pointlora_cli.catalog.failures import TemporaryError


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    connect: float = 10.0  # for a connection
    read: float = 30.0  # for the next bytes on it
    tries: int = 6  # in a row that bring nothing new
    tries_elsewhere: int = 3  # the same, where nothing is here yet and there is another source
    first_pause: float = 1.0  # doubled after each such try
    limit: float = 55.0  # for anything new from one source, pauses included
    others: float = 60.0  # for another process that downloads the same file and gets no further


class Retries:
    """Counts the failed tries at one source; whatever brings new bytes starts the count afresh."""

    def __init__(self, patience: Patience, done: int) -> None:
        self._patience = patience
        self._furthest = done
        self._failures = 0
        self._since = time.monotonic()

    def pause_after(self, error: TemporaryError, done: int, *, is_last: bool = True) -> float | None:
        """Seconds to wait before the next try, with `done` bytes here; None: give the source up.

        `is_last`: there is no other source to turn to.
        """
        now = time.monotonic()
        if done > self._furthest:
            self._furthest, self._failures, self._since = done, 0, now
        self._failures += 1
        left = self._since + self._patience.limit - now
        tries = self._patience.tries if is_last or done > 0 else self._patience.tries_elsewhere
        if self._failures >= tries or left <= 0:
            return None
        # The jitter keeps many clients that failed together from coming back together.
        pause: float = self._patience.first_pause * 2 ** (self._failures - 1) * random.uniform(0.5, 1.0)
        return min(max(pause, error.retry_after or 0.0), left)


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, given as a number or a date; None without a usable one."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}", header.strip()):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
