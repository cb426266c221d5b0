"""Everything wrong with a run spec, in words: where, what was given, what is allowed, what was meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pointlora_cli.errors import UsageError
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.shape import Place, TaggedUnion, Trail, follow, paths_of, value_at
from pointlora_cli.specs.wording import did_you_mean, expected, names, near_match, shown


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the dotted key, the value given (or None), the words, a near match."""

    key: str
    given: object
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        repeats_key = not self.key or self.message.startswith(f"{self.key} ")
        start = "" if repeats_key else f"{self.key}: "
        return start + self.message + (f"; {self.suggestion}" if self.suggestion else "")


class SpecError(UsageError):
    """A run spec that cannot be used; it holds every problem that was found, not only the first."""

    kind = "spec"

    def __init__(self, problems: Iterable[Problem], source: str = "the run spec") -> None:
        self.problems = tuple({str(problem): problem for problem in problems}.values())
        self.source = source
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([f"{count} in {source}:", *(f"  {problem}" for problem in self.problems)]))

    def details(self) -> dict[str, object]:
        """The problems for the JSON form of the error."""
        return {
            "source": self.source,
            "problems": [
                {
                    "key": problem.key,
                    "given": _jsonable(problem.given),
                    "message": problem.message,
                    "suggestion": problem.suggestion,
                }
                for problem in self.problems
            ],
        }


def explain(error: ValidationError, model: type[BaseModel] = RunSpec) -> tuple[Problem, ...]:
    """Turns the errors of validating `model` into problems, in the words and key paths of the user."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        if not _is_echo(detail):
            found += _problems_of(detail, model)
    return tuple(found)


def unknown_key(trail: Trail, given: object, model: type[BaseModel] = RunSpec) -> Problem:
    """The problem of a key that is not allowed at its place."""
    key = trail.path[-1]
    allowed = list(trail.parent.model.model_fields) if trail.parent and trail.parent.model else []
    owners = _members_with(model, trail)
    elsewhere = [path for path in dict.fromkeys(paths_of(model)) if path[-1] == key and path != trail.path]
    if owners is not None:
        union, tags = owners
        suggestion: str | None = f"it belongs to {union} {names(tags)}"
    elif len(elsewhere) == 1:
        suggestion = did_you_mean(".".join(elsewhere[0]))
    else:
        suggestion = did_you_mean(near_match(key, allowed))
    message = f"there is no such key (given {shown(given)}); allowed here: {names(allowed)}"
    return Problem(trail.key, given, message, suggestion)


def misfit(trail: Trail, given: object) -> Problem:
    """The problem of a value that is not of the kind that belongs at its place."""
    place = trail.place
    if place is None:
        return Problem(trail.key, given, f"cannot be {shown(given)}")
    return Problem(
        trail.key, given, f"must be {expected(place)}, got {shown(given)}", _meant(place, trail, given)
    )


def _problems_of(detail: ErrorDetails, model: type[BaseModel]) -> list[Problem]:
    loc, kind, given = detail["loc"], detail["type"], detail["input"]
    trail = follow(model, loc)
    if kind == "extra_forbidden":
        return [unknown_key(trail, given, model)]
    if kind == "missing" and trail.parent is not None and trail.parent.items:
        return [misfit(follow(model, loc[:-1]), given)]
    if kind == "missing":
        words = f"is missing: it must be {expected(trail.place)}" if trail.place else "is missing"
        return [Problem(trail.key, None, words)]
    if kind in ("union_tag_not_found", "union_tag_invalid") and trail.place and trail.place.union:
        return [_wrong_tag(trail, trail.place.union, given)]
    if kind == "value_error":
        text = str(detail.get("ctx", {}).get("error", detail["msg"]))
        return [_rule_problem(model, loc, part, given) for part in text.split("; ")]
    return [misfit(trail, given)]


def _wrong_tag(trail: Trail, union: TaggedUnion, given: object) -> Problem:
    key = ".".join(part for part in (trail.key, union.discriminator) if part)
    allowed = f"one of {names(union.members)}"
    if not isinstance(given, dict) or union.discriminator not in given:
        return Problem(key, None, f"is missing: it must be {allowed}")
    tag = given[union.discriminator]
    suggestion = did_you_mean(near_match(tag, union.members))
    return Problem(key, tag, f"must be {allowed}, got {shown(tag)}", suggestion)


def _rule_problem(model: type[BaseModel], loc: Sequence[str | int], text: str, given: object) -> Problem:
    """A broken rule of several keys; a message that starts with a key is put at that key."""
    start = text.split(" ", 1)[0].rstrip(":,").split(".")
    at_key = follow(model, _with_tags(model, (*loc, *start)))
    if at_key.place is None:
        trail = follow(model, loc)
        return Problem(trail.key, None if isinstance(given, dict) else given, text)
    return Problem(at_key.key, value_at(given, start), text)


def _with_tags(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """`loc` with a member that has the key put in, wherever it enters a union without naming one."""
    found: list[str | int] = []
    for segment in loc:
        place = follow(model, found).place
        if place is not None and place.union is not None and segment not in place.union.members:
            has = [tag for tag, member in place.union.members.items() if segment in member.model_fields]
            found += has[:1]
        found.append(segment)
    return tuple(found)


def _meant(place: Place, trail: Trail, given: object) -> str | None:
    if place.choices:
        return did_you_mean(near_match(given, map(str, place.choices)))
    if place.union is not None and (tag := near_match(given, place.union.members)):
        return did_you_mean(f"{trail.key}.{place.union.discriminator}: {tag}")
    if place.annotation is str and isinstance(given, bool | int | float):
        return "put it in quotes to make it text"
    return None


def _members_with(model: type[BaseModel], trail: Trail) -> tuple[str, list[str]] | None:
    """The union that the key stands in, and those of its members that do have the key."""
    union_trail = follow(model, trail.path[:-1])
    union = union_trail.place.union if union_trail.place else None
    if union is None:
        return None
    tags = [tag for tag, member in union.members.items() if trail.path[-1] in member.model_fields]
    return (f"{union_trail.key}.{union.discriminator}", tags) if tags else None


def _is_echo(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because its items, reported by themselves, are wrong."""
    given = detail["input"]
    if detail["type"] != "too_short" or not isinstance(given, list | tuple):
        return False
    return len(given) >= int(detail.get("ctx", {}).get("min_length", 0))


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
