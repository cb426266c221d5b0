"""YAML and JSON text as plain values: mappings with text keys, lists, numbers, text, switches, null.

The YAML reader composes nodes with PyYAML and turns them into values itself, since PyYAML's own
constructors keep the last of two equal keys, read `1e-4` as text, and crash on odd explicit tags.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_VALUES = 2_000
MAX_DEPTH = 40
_MAX_DIGITS = 100
_TAG = "tag:yaml.org,2002:"


class MalformedTextError(ValueError):
    """The text cannot be read; the message says where and why, in words."""


@dataclass(frozen=True)
class DuplicateKey:
    """A key that a mapping holds twice; `line` is where it comes again (None in JSON)."""

    path: str
    value: object
    line: int | None
    first_line: int | None


@dataclass
class Parsed:
    """The value of a text (the last of two equal keys wins), and the keys that came twice."""

    value: Any
    duplicates: list[DuplicateKey] = field(default_factory=list)
    is_empty: bool = False


class _Resolver(yaml.SafeLoader):
    """PyYAML's loader with our own rules for what an unquoted scalar is."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's name; emptied so that dates stay text


_SCALARS = {
    "bool": re.compile(r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"),
    "int": re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)$"),
    "float": re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|\.[0-9]+[eE][-+]?[0-9]+)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
}
for _name, _pattern in _SCALARS.items():
    _Resolver.add_implicit_resolver(_TAG + _name, _pattern, None)


class SpecDumper(yaml.SafeDumper):
    """PyYAML's dumper, whose texts are read back as they were by this module and by others."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's name
        first: list(rules) for first, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal values out in full: a spec has no anchors."""
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Escape every line break and control character: PyYAML folds a U+0085 in other quotes."""
        return self.represent_scalar(_TAG + "str", data, style=None if data.isprintable() else '"')


SpecDumper.add_representer(str, SpecDumper.represent_str)
SpecDumper.add_implicit_resolver(_TAG + "float", _SCALARS["float"], None)


def parse_yaml(text: str) -> Parsed:
    """Reads one YAML document.

    Raises:
        MalformedTextError: no valid YAML, more than one document, an unknown tag, or too large.
    """
    try:
        node = yaml.compose(text, Loader=_Resolver)
        if node is None:
            return Parsed(None, is_empty=True)
        builder = _Builder()
        return Parsed(builder.build(node, (), 0), builder.duplicates)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = error.problem or error.context or "it cannot be read"
        if reason.startswith("but "):
            reason = f"{error.context}, {reason}"
        raise MalformedTextError(f"is not valid YAML{where}: {_printable(reason)}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise MalformedTextError(f"is not valid YAML at line {line}: a control character") from error
    except RecursionError as error:
        raise MalformedTextError(f"is nested more than {MAX_DEPTH} levels deep") from error
    except yaml.YAMLError as error:
        raise MalformedTextError("is not valid YAML") from error
    except MalformedTextError:
        raise
    except (ValueError, OverflowError) as error:  # PyYAML lets chr() of an escape such as "\UFFFFFFFF" fail.
        raise MalformedTextError("is not valid YAML: an escape that is no character") from error


def parse_json(text: str) -> Parsed:
    """Reads one JSON document.

    Raises:
        MalformedTextError: no valid JSON, or too large.
    """
    if not text.strip():
        return Parsed(None, is_empty=True)
    duplicates: list[DuplicateKey] = []

    def mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found:
                duplicates.append(DuplicateKey(key, value, None, None))
            found[key] = value
        return found

    try:
        value = json.loads(text, object_pairs_hook=mapping, parse_int=_whole_number)
        return Parsed(_checked(value), duplicates)
    except json.JSONDecodeError as error:
        where = f"at line {error.lineno}, column {error.colno}"
        raise MalformedTextError(f"is not valid JSON {where}: {error.msg}") from error
    except RecursionError as error:
        raise MalformedTextError(f"is nested more than {MAX_DEPTH} levels deep") from error


def is_writable_text(text: str) -> bool:
    """Whether a text can be written as UTF-8; the name of a file of another encoding cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Builder:
    """Turns composed YAML nodes into values, counting them so that aliases cannot explode."""

    def __init__(self) -> None:
        self.duplicates: list[DuplicateKey] = []
        self._count = 0

    def build(self, node: yaml.Node, path: tuple[str, ...], depth: int) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise MalformedTextError(
                f"holds more than {MAX_VALUES:,} values once its aliases are written out"
            )
        if depth > MAX_DEPTH:
            raise MalformedTextError(f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(item, (*path, str(index)), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        raise MalformedTextError(f"holds an unknown tag {_printable(node.tag)} at line {_line(node)}")

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise MalformedTextError(f"has a list or mapping as a key at line {_line(key_node)}")
            key = _text(key_node.value)
            value = self.build(value_node, (*path, key), depth + 1)
            if key in found:
                dotted = ".".join((*path, key))
                self.duplicates.append(DuplicateKey(dotted, value, _line(key_node), first_lines[key]))
            found[key] = value
            first_lines.setdefault(key, _line(key_node))
        return found


def _scalar(node: yaml.ScalarNode) -> object:
    """The value of a scalar, by its tag; a value that does not fit an explicit tag is refused."""
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind == "str":
        return _text(text)
    pattern = _SCALARS.get(kind)
    if pattern is None:
        raise MalformedTextError(f"holds an unknown tag {_printable(node.tag)} at line {_line(node)}")
    if kind == "float" and _SCALARS["int"].match(text):
        return float(_whole_number(text))
    if not pattern.match(text):
        raise MalformedTextError(f"holds {text[:40]!r} under the tag !!{kind} at line {_line(node)}")
    if kind == "int":
        return _whole_number(text)
    if kind == "float":
        return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text.lower() in ("yes", "true", "on") if kind == "bool" else None


def _whole_number(text: str) -> int:
    if len(text) > _MAX_DIGITS:  # Python refuses to print numbers of more than 4,300 digits.
        raise MalformedTextError(f"holds a number of more than {_MAX_DIGITS} digits")
    digits = text.replace("_", "")
    return int(digits, 16 if "x" in digits else 10)


def _text(text: str) -> str:
    """`text`, if it can be written as UTF-8: an escape can smuggle half a surrogate pair in."""
    if not is_writable_text(text):
        raise MalformedTextError("holds an escape that is no character")
    return text


def _checked(value: Any) -> Any:
    """The JSON value, within the same limits as YAML."""
    count = 0
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            raise MalformedTextError(f"holds more than {MAX_VALUES:,} values")
        if depth > MAX_DEPTH:
            raise MalformedTextError(f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(item, dict):
            waiting += [(_text(key), depth + 1) for key in item]
            waiting += [(child, depth + 1) for child in item.values()]
        elif isinstance(item, list):
            waiting += [(child, depth + 1) for child in item]
        elif isinstance(item, str):
            _text(item)
    return value


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120]
