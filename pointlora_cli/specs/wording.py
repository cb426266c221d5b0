"""What belongs at a place of a spec, and what was given there, in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from pointlora_cli.specs.shape import Place

_LONGEST = 80
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts", bool: "switches"}

# A pattern says nothing to most people; a test holds that each pattern of a spec has its words.
PATTERN_WORDS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": (
        "text of 1 to 64 letters, digits, '.', '_' or '-' that starts with a letter or digit"
    ),
    r"^(auto|cpu|cuda(:\d{1,3})?)$": "one of auto, cpu, cuda or cuda:N with N the number of a GPU",
}


def expected(place: Place) -> str:
    """What belongs at a place, to follow "must be": "a whole number of at least 1 or null"."""
    return _kind(place) + (" or null" if place.nullable else "")


def shown(value: object) -> str:
    """A given value on one line, short, with every control character escaped."""
    text = _flow(value, 0)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def near_match(word: object, options: Iterable[str]) -> str | None:
    """The option that `word` may be a slip of, ignoring case and - for _."""
    if not isinstance(word, str):
        return None
    plain = {option.lower().replace("-", "_"): option for option in options}
    found = difflib.get_close_matches(word[:200].lower().replace("-", "_"), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def did_you_mean(option: str | None) -> str | None:
    """The question for a near match, or None."""
    return f"did you mean '{option}'?" if option is not None else None


def names(options: Iterable[object]) -> str:
    """Options in a row."""
    return ", ".join(str(option) for option in options)


def listed(options: Sequence[str]) -> str:
    """Options in a sentence: "a, b and c"."""
    *others, last = options
    return f"{names(others)} and {last}" if others else last


def _kind(place: Place) -> str:
    if place.union is not None:
        union = place.union
        return f"a mapping with '{union.discriminator}' (one of {names(union.members)}) and its options"
    if place.model is not None:
        return f"a mapping with keys out of {names(place.model.model_fields)}"
    if place.choices:
        return ("one of " if len(place.choices) > 1 else "") + names(place.choices)
    if place.items:
        return _list_kind(place)
    return _scalar_kind(place)


def _scalar_kind(place: Place) -> str:
    if place.annotation is bool:
        return "true or false"
    if place.annotation is str:
        pattern = _limit(place, "pattern")
        return PATTERN_WORDS.get(str(pattern), f"text of the form {pattern}") if pattern else "text"
    number = "a whole number" if place.annotation is int else "a number"
    return f"{number}{_range(place)}"


def _list_kind(place: Place) -> str:
    item = place.child(0)
    assert item is not None
    several = (
        f"names out of {names(item.choices)}" if item.choices else _PLURALS.get(item.annotation, "mappings")
    )
    if place.items[-1] is not Ellipsis:
        return f"a list of {len(place.items)} {several}"
    least = _limit(place, "min_length")
    return f"a list of {several}" + (f", at least {least}" if least else "")


def _range(place: Place) -> str:
    at_least, above = _limit(place, "ge"), _limit(place, "gt")
    at_most, below = _limit(place, "le"), _limit(place, "lt")
    if at_least is not None and at_most is not None:
        return f" from {at_least} to {at_most}"
    parts = [
        f"{words} {limit}"
        for words, limit in (
            ("of at least", at_least),
            ("above", above),
            ("of at most", at_most),
            ("below", below),
        )
        if limit is not None
    ]
    return " " + " and ".join(parts) if parts else ""


def _limit(place: Place, name: str) -> object:
    found = (getattr(limit, name, None) for limit in place.limits)
    return next((limit for limit in found if limit is not None), None)


def _flow(value: object, depth: int) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple) and depth > 3:
        return "…"
    if isinstance(value, dict):
        pairs = (f"{_bare(key)}: {_flow(item, depth + 1)}" for key, item in list(value.items())[:20])
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item, depth + 1) for item in value[:20]) + "]"
    return repr(value[: 2 * _LONGEST]) if isinstance(value, str) else repr(value)


def _bare(key: object) -> str:
    return key if isinstance(key, str) and key.isprintable() else repr(key)
