"""What a run is: what must be the same where it goes on, so that it comes to the same end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pointlora_cli.errors import DataError
from pointlora_cli.services.preparation import Prepared
from pointlora_cli.specs.run import RunSpec

_MOST_SHOWN = 5
_ROUNDING = ("pointlora", "torch", "numpy", "platform", "threads")
"""What environment.json says of a machine that may change the last bit of a number."""


def run_identity(prepared: Prepared) -> dict[str, Any]:
    """What decides a run, in JSON's own types: spec, data, base, and where it is reckoned."""
    task = prepared.task
    return {
        "spec": comparable(prepared.spec),
        "classes": list(prepared.classes),
        "categories": [category.name for category in prepared.categories],
        "training clouds": task.train_clouds,
        "evaluated clouds": task.evaluated_clouds,
        "SHA-256 of the clouds": task.fingerprint,
        "SHA-256 of the base": prepared.base.weights_sha256,
        "device": task.device.type,
        "precision": task.precision,
        "processes": prepared.distribution.size,
    }


def comparable(spec: RunSpec) -> dict[str, Any]:
    """A spec without the folder of runs, which decides nothing."""
    return spec.model_dump(mode="json", exclude={"output"})


def require_same(found: Mapping[str, Any], run: Mapping[str, Any], *, where: object, began: str) -> None:
    """Raise unless a run can go on.

    Args:
        found: what there is now.
        run: what the run began with.
        where: the run.
        began: what says so: "the run began with".

    Raises:
        DataError: what differs, and how.
    """
    different = [
        f"{key} is {_shown(now)}, {began} {_shown(before)}" for key, now, before in _differences(found, run)
    ]
    if different:
        more = len(different) - _MOST_SHOWN
        words = "; ".join(different[:_MOST_SHOWN]) + (f" (and {more} more)" if more > 0 else "")
        raise DataError(
            f"{where}: the run cannot go on as another one: {words}",
            remedy="Go on with what it began with, or start another run.",
        )


def rounding_differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
    """What of the machine differs, in words; None where nothing does that changes a number."""
    different = [
        f"{key} {now.get(key)} instead of {before[key]}"
        for key in _ROUNDING
        if key in before and before[key] != now.get(key)
    ]
    return ", ".join(different) or None


def _differences(
    found: Mapping[str, Any], run: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, object, object]]:
    for key in _keys(found, run):
        now, before = found.get(key), run.get(key)
        if now == before:
            continue
        if isinstance(now, Mapping) and isinstance(before, Mapping):
            yield from _differences(now, before, "" if key == "spec" else f"{prefix}{key}.")
        else:
            yield prefix + key, now, before


def _keys(*mappings: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _shown(value: object) -> str:
    if isinstance(value, str) and len(value) == 64:
        return f"{value[:12]}…"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
