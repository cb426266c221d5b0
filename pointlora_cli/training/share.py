"""A process's share of the clouds of a step."""

from __future__ import annotations

from typing import NamedTuple


class Share(NamedTuple):
    """Which clouds of a step are at hand; what is random is drawn for all of them, and the rest of it unused.

    So several processes draw together what one would for all the clouds.
    """

    mine: slice
    total: int  # of them, in all processes
