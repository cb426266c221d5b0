"""Where a process stands among those of its run, as torchrun tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pointlora_cli.errors import UsageError

START_WORDS = "Start the processes with --devices N, or with torchrun."


class Place(NamedTuple):
    """A process among those of its run."""

    rank: int
    size: int
    local_rank: int  # on its machine
    local_size: int
    address: str  # where all meet: host:port

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place | None:
        """What RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT say.

        Returns:
            None for a run of one process.

        Raises:
            UsageError: they are no place.
        """
        size = _number(environment, "WORLD_SIZE", 1)
        if size == 1:
            return None
        rank = _number(environment, "RANK", None)
        local_rank = _number(environment, "LOCAL_RANK", rank)
        local_size = _number(environment, "LOCAL_WORLD_SIZE", size)
        if not (0 <= rank < size and 0 <= local_rank < local_size <= size):
            raise UsageError(
                f"RANK={rank}, WORLD_SIZE={size}, LOCAL_RANK={local_rank}, LOCAL_WORLD_SIZE={local_size} in the "
                "environment are no place in a run",
                remedy=START_WORDS,
            )
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environment.get(name)]
        if missing:
            raise UsageError(
                f"WORLD_SIZE is {size} in the environment, and {missing[0]} is not set", remedy=START_WORDS
            )
        return cls(
            rank, size, local_rank, local_size, f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
        )


def _number(environment: Mapping[str, str], name: str, default: int | None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 6:
        raise UsageError(
            f"{name} in the environment is not a number: {'not set' if text is None else repr(text[:40])}",
            remedy=START_WORDS,
        )
    return int(text)
