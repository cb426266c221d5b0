"""Random streams that are named by what they are for, so that no stream depends on another's length."""

from __future__ import annotations

import hashlib

import numpy as np


def named_stream(*names: str | int) -> np.random.RandomState:
    """The stream of these names: numpy's frozen generator, seeded by the SHA-256 of the names joined by '/'.

    `RandomState` gives the same numbers in every version of numpy and on every machine.
    """
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4").astype(np.uint32))
