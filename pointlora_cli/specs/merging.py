"""Laying one tree of spec values over another, and what becomes of a union's options when it switches."""

from __future__ import annotations

import copy
from typing import Any

from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.shape import TaggedUnion, unions_of

# An option of this name exists in several members, but is about that member's own files or kinds.
_NEVER_SHARED = {("data", "root"), ("backbone", "weights"), ("method", "variant")}


def merge(under: Any, over: Any) -> Any:
    """A new tree: the mappings of `over` merged into those of `under`; anything else replaced."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return copy.deepcopy(over)
    merged = {key: copy.deepcopy(value) for key, value in under.items() if key not in over}
    return {**merged, **{key: merge(under.get(key), value) for key, value in over.items()}}


def without_foreign_options(tree: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
    """A copy of `tree` in which each union is the member that `tags` names.

    Where that is another member than the tree's own, options of other members are dropped and those
    of both stay, except the files of a data set or a backbone and the variant of a method, which are
    never those of another. Keys that no member has stay too, so that a slip of the pen is still refused.
    """
    kept = copy.deepcopy(tree)
    for key, union in unions_of(RunSpec).items():
        section = kept.get(key)
        tag = tags.get(key)
        if tag not in union.members or not isinstance(section, dict):
            continue
        if section.get(union.discriminator, default_tag(key, union)) == tag:
            continue
        of_any = {option for member in union.members.values() for option in member.model_fields}
        foreign = of_any - set(union.members[tag].model_fields)
        foreign |= {option for place, option in _NEVER_SHARED if place == key}
        options = {option: value for option, value in section.items() if option not in foreign}
        kept[key] = {**options, union.discriminator: tag}
    return kept


def without_weights(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of `tree` that names no weights of a backbone."""
    backbone = tree.get("backbone")
    if not isinstance(backbone, dict):
        return tree
    return {**tree, "backbone": {key: value for key, value in backbone.items() if key != "weights"}}


def with_default_tags(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of `tree` in which a union that names no member is the default one."""
    filled = dict(tree)
    for key, union in unions_of(RunSpec).items():
        section = filled.get(key, {})
        if isinstance(section, dict):
            filled[key] = {union.discriminator: default_tag(key, union), **section}
    return filled


def default_tag(key: str, union: TaggedUnion) -> str:
    """The member that a spec has where it names none."""
    return str(getattr(RunSpec.model_fields[key].default, union.discriminator))
