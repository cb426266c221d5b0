"""Reading the catalogue, and finding in it what a person names."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pointlora_cli.catalog.entries import Entry, File
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.errors import UsageError

SHIPPED = Path(__file__).with_name("catalog.yaml")
_MAX_BYTES = 256 * 1024
_FastLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader is ten times as fast, but deep nesting makes it crash: it reads the shipped file alone."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice: the second would silently hide the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {_shown(key.value)} is given twice", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def load_catalog(settings: Settings) -> dict[str, Entry]:
    """All entries by name: the shipped ones, and over them those of `settings.catalog`.

    Raises:
        UsageError: the user's file cannot be read, or something in it is wrong; each problem with its place.
    """
    catalog = read_catalog(SHIPPED)
    return catalog | read_catalog(settings.catalog) if settings.catalog else catalog


def read_catalog(path: Path) -> dict[str, Entry]:
    """The entries of one file.

    Raises:
        UsageError: it cannot be read, or something in it is wrong; each problem with its place.
    """
    content = _parsed(path)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise _broken(path, ["it must hold a mapping from names of entries to what they are"])
    entries: dict[str, Entry] = {}
    problems: list[str] = []
    for name, value in content.items():
        if not isinstance(value, Mapping):
            problems.append(f"{_shown(name)}: must be a mapping with keys out of {_keys()}")
        elif "name" in value:
            problems.append(f"{_shown(name)}.name: there is no such key: the entry's own key is its name")
        else:
            try:
                entries[name] = Entry.model_validate({**value, "name": name})
            except ValidationError as error:
                problems += [_worded(name, detail) for detail in error.errors(include_url=False)]
            except (RecursionError, TypeError):
                problems.append(f"{_shown(name)}: is nested too deeply, or has keys that are not names")
    if problems:
        raise _broken(path, problems)
    return entries


def find_entry(catalog: Mapping[str, Entry], name: str) -> Entry:
    """The entry of this name.

    Raises:
        UsageError: there is none; the error names the nearest and lists all.
    """
    if name in catalog:
        return catalog[name]
    raise UsageError(
        f"there is no entry {_shown(name)} to download{_meant(name, catalog)}",
        remedy=f"Choose one of {', '.join(catalog)}.",
    )


def resolve(catalog: Mapping[str, Entry], name: str) -> tuple[Entry, tuple[File, ...]]:
    """The entry and files that `entry` (its default files), `entry/file` or `entry/stem` names.

    Raises:
        UsageError: there is no such entry or file; the error names the nearest and lists all.
    """
    entry_name, slash, file_name = name.partition("/")
    entry = find_entry(catalog, entry_name)
    if not slash:
        return entry, entry.default_files
    file = entry.file(file_name)
    if file is None:
        stems = [known.stem for known in entry.files]
        raise UsageError(
            f"{entry.name} has no file {_shown(file_name)}{_meant(file_name, stems)}",
            remedy=f"Choose one of {', '.join(f'{entry.name}/{stem}' for stem in stems)}.",
        )
    return entry, (file,)


def _parsed(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"catalogue {_whole(path)}: cannot be read: {reason}",
            remedy="Name a YAML file in POINTLORA_CATALOG, or unset it.",
        ) from error
    if len(content) > _MAX_BYTES:
        raise _broken(path, [f"it is larger than {_MAX_BYTES:,} bytes, so it is no catalogue"])
    try:
        return yaml.load(content, Loader=_FastLoader if path == SHIPPED else _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _broken(path, [f"{where}{_line(error.problem or error.context or 'not YAML')}"]) from error
    except Exception as error:  # a parser that is fed garbage may raise anything
        raise _broken(path, [f"not YAML: {_line(str(error)) or type(error).__name__}"]) from error


def _broken(path: Path, problems: list[str]) -> UsageError:
    shown = list(dict.fromkeys(problems))
    rest = [f"and {len(shown) - 10} more"] if len(shown) > 10 else []
    listed = "\n".join(f"  {problem}" for problem in [*shown[:10], *rest])
    return UsageError(
        f"catalogue {_whole(path)}:\n{listed}",
        remedy="Correct the file that POINTLORA_CATALOG names; the shipped catalogue shows the form.",
    )


def _worded(entry: str, detail: ErrorDetails) -> str:
    """A pydantic error as `point-mae.files[0].size: ...`."""
    place = _shown(entry)
    for part in detail["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}"
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"{place}: there is no such key{_meant(str(detail['loc'][-1]), _known_keys())}"
    if kind == "missing":
        return f"{place}: is missing"
    if kind == "value_error":
        return f"{place}: {_line(str(detail.get('ctx', {}).get('error', detail['msg'])))}"
    allowed = detail["msg"].removeprefix("Input should be ").removeprefix("String should ")
    return (
        f"{place}: must be {_line(allowed)}, got {_shown(given)}"
        if allowed != detail["msg"]
        else (f"{place}: {_line(detail['msg'])}, got {_shown(given)}")
    )


def _known_keys() -> list[str]:
    from pointlora_cli.catalog.entries import Location, Unpack

    return [key for model in (Entry, File, Location, Unpack) for key in model.model_fields]


def _keys() -> str:
    return ", ".join(key for key in Entry.model_fields if key != "name")


def _meant(word: str, options: Mapping[str, Any] | list[str]) -> str:
    plain = {option.replace("-", "").replace("_", "").lower(): option for option in options}
    slip = word[:200].replace("-", "").replace("_", "").lower()
    near = difflib.get_close_matches(slip, plain, n=1, cutoff=0.6)
    return f"; did you mean '{plain[near[0]]}'?" if near else ""


def _shown(value: object) -> str:
    """A given value on one short line; containers by their kind, for they may hold themselves."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value) if value and isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _whole(path: Path) -> str:
    """A path, however long: a shortened one names no file."""
    return str(path) if str(path).isprintable() else repr(str(path))


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
