"""What the spec models allow at each place: keys, types, limits and the members of unions."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Model = type[BaseModel]


@dataclass(frozen=True)
class TaggedUnion:
    """A union whose member is chosen by the value of one key, as `method.name` does."""

    discriminator: str
    members: dict[str, Model]


@dataclass(frozen=True)
class Place:
    """A place in a spec: the type that belongs there (without null), and its limits."""

    annotation: Any
    limits: tuple[object, ...] = ()
    nullable: bool = False
    union: TaggedUnion | None = None

    @property
    def model(self) -> Model | None:
        """The model of a mapping with fixed keys, else None."""
        return self.annotation if _is_model(self.annotation) else None

    @property
    def choices(self) -> tuple[object, ...]:
        """The values of a literal, else none."""
        return get_args(self.annotation) if get_origin(self.annotation) is Literal else ()

    @property
    def items(self) -> tuple[Any, ...]:
        """The types of a tuple's items, `...` included, else none."""
        return get_args(self.annotation) if get_origin(self.annotation) is tuple else ()

    def child(self, segment: str | int) -> Place | None:
        """The place under `segment`, or None where there is none."""
        if self.model is not None:
            info = self.model.model_fields.get(str(segment))
            return place_of(info) if info is not None else None
        index = index_of(str(segment))
        if not self.items or index is None:
            return None
        if self.items[-1] is Ellipsis:
            return _place(self.items[0], ())
        return _place(self.items[index], ()) if index < len(self.items) else None


@dataclass(frozen=True)
class Trail:
    """A path followed through the models: as the user writes it, and what belongs at its ends."""

    path: tuple[str, ...]
    place: Place | None
    parent: Place | None

    @property
    def key(self) -> str:
        """The dotted path, safe to print."""
        return ".".join(part if part.isprintable() else repr(part) for part in self.path)


def place_of(info: FieldInfo) -> Place:
    """The place of a model's field."""
    discriminator = info.discriminator if isinstance(info.discriminator, str) else None
    return _place(info.annotation, tuple(info.metadata), discriminator)


def follow(model: Model, loc: Sequence[str | int]) -> Trail:
    """Follows a pydantic error location, in which the tag of a union's member is a segment of its own."""
    place: Place | None = Place(model)
    parent: Place | None = None
    path: list[str] = []
    for segment in loc:
        if place is not None and place.union is not None and segment in place.union.members:
            place = Place(place.union.members[str(segment)])
            continue
        path.append(str(segment))
        parent, place = place, place.child(segment) if place is not None else None
    return Trail(tuple(path), place, parent)


def resolve(model: Model, path: Sequence[str], tree: object) -> Trail:
    """Follows a path as a user writes it; the members of unions are those that `tree` names."""
    loc: list[str] = []
    for segment in path:
        union = place.union if (place := follow(model, loc).place) is not None else None
        if union is not None and isinstance(tree, dict):
            tag = tree.get(union.discriminator)
            loc += [tag] if isinstance(tag, str) and tag in union.members else []
        loc.append(segment)
        tree = _inside(tree, segment)
    trail = follow(model, loc)
    return Trail(tuple(path), trail.place, trail.parent)


def index_of(segment: str) -> int | None:
    """The list index that a segment of a path is, else None."""
    return int(segment) if re.fullmatch(r"[0-9]{1,6}", segment) else None


def value_at(tree: object, path: Sequence[str]) -> object:
    """The value that a tree holds at a path, or None."""
    for segment in path:
        tree = _inside(tree, segment)
    return tree


def unions_of(model: Model) -> dict[str, TaggedUnion]:
    """The tagged unions among a model's own fields, by key."""
    places = {key: place_of(info) for key, info in model.model_fields.items()}
    return {key: place.union for key, place in places.items() if place.union is not None}


def paths_of(model: Model) -> Iterator[tuple[str, ...]]:
    """The path of every key of a model, with those of all members of its unions; lists are not entered."""
    for key, info in model.model_fields.items():
        yield (key,)
        place = place_of(info)
        inner = place.union.members.values() if place.union else [place.model] if place.model else []
        for member in inner:
            yield from ((key, *rest) for rest in paths_of(member))


def _place(annotation: Any, limits: tuple[object, ...], discriminator: str | None = None) -> Place:
    if get_origin(annotation) is Annotated:
        annotation, *extra = get_args(annotation)
        limits = (*limits, *extra)
    nullable = False
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        nullable = len(kinds) < len(get_args(annotation))
        if discriminator is not None:
            return Place(annotation, limits, nullable, _union(discriminator, kinds))
        annotation = kinds[0] if len(kinds) == 1 else annotation
    return Place(annotation, limits, nullable)


def _union(discriminator: str, members: Sequence[Model]) -> TaggedUnion:
    tags = {
        str(tag): member
        for member in members
        for tag in get_args(member.model_fields[discriminator].annotation)
    }
    return TaggedUnion(discriminator, tags)


def _is_model(annotation: object) -> bool:
    # In Python 3.10 tuple[int] is an instance of type, though issubclass refuses it.
    return (
        get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel)
    )


def _inside(tree: object, segment: str) -> object:
    if isinstance(tree, dict):
        return tree.get(segment)
    index = index_of(segment)
    if isinstance(tree, list | tuple) and index is not None and index < len(tree):
        return tree[index]
    return None
