"""What to do where a run's batch does not fit into memory."""

from __future__ import annotations

from contextlib import AbstractContextManager

from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.devices import memory_guard


def batch_memory_guard(spec: RunSpec, *, resumed: bool = False) -> AbstractContextManager[None]:
    """Turn running out of memory into a message that says which batch to try.

    Raises:
        UsageError: there is no more memory.
    """
    smaller = f"a smaller batch, e.g. --set train.batch_size={max(2, spec.train.batch_size // 2)}"
    if resumed:
        return memory_guard(f"Close other programs and go on again; or start another run with {smaller}.")
    return memory_guard(f"Use {smaller}, or a smaller network.")
