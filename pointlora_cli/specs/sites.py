"""The projections of a block that a method may name."""

from __future__ import annotations

from typing import Literal

Site = Literal["qkv", "proj", "fc1", "fc2"]


def require_distinct(sites: tuple[Site, ...]) -> None:
    """Refuse a list that names a projection twice.

    Raises:
        ValueError: it does.
    """
    if len(set(sites)) != len(sites):
        raise ValueError(f"sites holds a name twice: {', '.join(sites)}")
