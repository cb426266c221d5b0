"""Which GPU each of several processes works on."""

from __future__ import annotations

from collections.abc import Collection


def shared_gpus(device: str, gpus: int) -> int:
    """Of how many GPUs processes may choose, for a spec's `device`: none on a CPU, or where it names one."""
    return gpus if device in {"auto", "cuda"} else 0


def free_turn(taken: Collection[int]) -> int:
    """The smallest number that no other process has: the one that ended last leaves its GPU to the next."""
    return next(turn for turn in range(len(taken) + 1) if turn not in taken)


def gpu_of(turn: int, gpus: int) -> int | None:
    """The GPU of a process, in turn; None where it is not to choose one."""
    return turn % gpus if gpus else None
