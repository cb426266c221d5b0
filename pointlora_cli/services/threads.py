"""Several tasks at once, so that Ctrl-C is answered at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from pointlora_cli.errors import PointLoRAError

Result = TypeVar("Result")


def run_all(tasks: Sequence[Callable[[], Result]], *, jobs: int) -> list[Result | PointLoRAError]:
    """Run tasks in up to `jobs` threads; the result or the expected error of each, in order.

    Threads that are at work when the caller is interrupted are left behind: what they do must be safe to stop
    at any moment.

    Raises:
        any unexpected error of a task, once the others are done.
    """
    outcomes: list[Result | BaseException | None] = [None] * len(tasks)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(tasks)):
        waiting.put(index)

    def work() -> None:
        while True:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                outcomes[index] = tasks[index]()
            except BaseException as error:
                outcomes[index] = error
            done.put(index)

    for _ in range(min(jobs, len(tasks))):
        threading.Thread(target=work, daemon=True).start()
    for _ in tasks:
        done.get()
    results: list[Result | PointLoRAError] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, PointLoRAError):
            raise outcome
        results.append(outcome)  # type: ignore[arg-type]  # every task is done
    return results
