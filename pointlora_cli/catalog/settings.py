"""Where downloads live and how they may be fetched, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_FALSE = {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Settings:
    """The cache's folder, and what the environment says on fetching."""

    home: Path  # holds everything that was downloaded or converted
    offline: bool = False  # open no connection
    mirrors: tuple[str, ...] = ()  # asked first: <mirror>/<entry>/<file>
    catalog: Path | None = None  # a catalogue of the user's own, over the shipped one


def current_settings() -> Settings:
    """Settings from `POINTLORA_HOME`, `POINTLORA_OFFLINE`, `POINTLORA_MIRROR` and `POINTLORA_CATALOG`.

    Without `POINTLORA_HOME` the cache is the system's folder for caches (`XDG_CACHE_HOME/pointlora` on Linux).
    """
    from platformdirs import user_cache_path

    given = os.environ.get("POINTLORA_HOME")
    catalog = os.environ.get("POINTLORA_CATALOG")
    return Settings(
        home=Path(given).expanduser().absolute() if given else user_cache_path("pointlora", appauthor=False),
        offline=os.environ.get("POINTLORA_OFFLINE", "").strip().lower() not in _FALSE,
        mirrors=tuple(mirror.rstrip("/") for mirror in os.environ.get("POINTLORA_MIRROR", "").split()),
        catalog=Path(catalog).expanduser() if catalog else None,
    )
