"""`--set key=value`: reading it, and putting it into a tree of plain values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pointlora_cli.specs.merging import merge
from pointlora_cli.specs.parsing import MalformedTextError, parse_yaml
from pointlora_cli.specs.problems import Problem, SpecError
from pointlora_cli.specs.shape import index_of
from pointlora_cli.specs.wording import shown

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Override:
    """One `--set`: the path of the key, and its value."""

    path: tuple[str, ...]
    value: object

    @property
    def first_index(self) -> int | None:
        """Where in the path the first list index stands, or None."""
        return next((at for at, part in enumerate(self.path) if index_of(part) is not None), None)


def parse_overrides(texts: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    """Reads every `key=value`, and gathers what is wrong with any of them.

    The key is dotted, and a number in it is a list index; the value is YAML. `key=` is the empty text. A plain text
    is taken to its end, so a `#` in it starts no comment.
    """
    parsed = [_read(text) for text in texts]
    return (
        [item for item in parsed if isinstance(item, Override)],
        [item for item in parsed if isinstance(item, Problem)],
    )


def apply_override(tree: dict[str, Any], path: Sequence[str], value: object) -> None:
    """Puts `value` at `path` in `tree`, in place; mappings that are not there yet are made.

    A mapping is merged into the mapping that is there; any other value, a list too, replaces it.

    Raises:
        SpecError: the path leads past the end of a list, into something that holds no keys, or to an
            index where there is no list. The tree is then as it was.
    """
    problem = _obstacle(tree, path, value)
    if problem is not None:
        raise SpecError([problem], "--set")
    *parents, last = path
    target: Any = tree
    for segment in parents:
        target = target[int(segment)] if isinstance(target, list) else target.setdefault(segment, {})
    key: Any = int(last) if isinstance(target, list) else last
    former = target[key] if isinstance(target, list) else target.get(key)
    both_mappings = isinstance(former, dict) and isinstance(value, dict)
    target[key] = merge(former, value) if both_mappings else value


def _read(text: str) -> Override | Problem:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals:
        return Problem(shown(text), text, "must be written key=value, such as train.epochs=50")
    if not key:
        return Problem(shown(text), text, "has no key before '=': write key=value, such as train.epochs=50")
    path = tuple(key.split("."))
    wrong = [part for part in path if not _SEGMENT.fullmatch(part)]
    if wrong:
        reason = f"{shown(wrong[0])} is no name" if wrong[0] else "it has an empty part"
        return Problem(shown(text), text, f"the key is malformed ({reason}): write it like train.epochs")
    try:
        return Override(path, _value(value.strip()))
    except MalformedTextError as error:
        return Problem(
            key, value, f"the value {shown(value)} {error}", 'put text in quotes, as in key="a: b"'
        )


def _value(text: str) -> object:
    parsed = parse_yaml(text)
    if parsed.duplicates:
        raise MalformedTextError(f"holds the key '{parsed.duplicates[0].path}' twice")
    if parsed.is_empty or (isinstance(parsed.value, str) and text[:1] not in "'\"!&|>"):
        return text
    return parsed.value


def _obstacle(tree: object, path: Sequence[str], value: object) -> Problem | None:
    """What keeps `path` from being reached, or None."""
    for at, segment in enumerate(path):
        here, key = ".".join(path[:at]) or "the spec", ".".join(path[: at + 1])
        index = index_of(segment)
        if isinstance(tree, dict):
            if segment not in tree:
                follows = next((part for part in path[at + 1 :] if index_of(part) is not None), None)
                if follows is None:
                    return None
                return Problem(
                    ".".join(path), value, f"there is no list at {_list_path(path)} to take {follows} of"
                )
            tree = tree[segment]
        elif isinstance(tree, list):
            if index is None:
                return Problem(
                    key, value, f"{here} is a list: '{segment}' must be an index from 0 to {len(tree) - 1}"
                )
            if index >= len(tree):
                last = f"its last index is {len(tree) - 1}" if tree else "it is empty"
                return Problem(key, value, f"{here} has no item {index}: {last}")
            tree = tree[index]
        else:
            return Problem(".".join(path), value, f"{here} is {shown(tree)}, which holds no key '{segment}'")
    return None


def _list_path(path: Sequence[str]) -> str:
    first = next(at for at, part in enumerate(path) if index_of(part) is not None)
    return ".".join(path[:first]) or "the top"
