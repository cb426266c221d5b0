"""Reading a spec file, with every reason why it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointlora_cli.errors import UsageError
from pointlora_cli.specs.parsing import MalformedTextError, parse_json, parse_yaml
from pointlora_cli.specs.problems import Problem
from pointlora_cli.specs.wording import did_you_mean, near_match, shown

MAX_BYTES = 256 * 1024
_SUFFIXES = {".yaml", ".yml", ".json"}


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        UsageError: it is missing, a folder, too large, not UTF-8, or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        meant = did_you_mean(_near_file(path))
        raise UsageError(f"{path}: there is no such file" + (f"; {meant}" if meant else "")) from error
    except IsADirectoryError as error:
        raise UsageError(f"{path}: is a folder, not a run spec", "Give the file in it.") from error
    except PermissionError as error:
        reason = "is a folder, not a run spec" if path.is_dir() else "there is no permission to read it"
        raise UsageError(f"{path}: {reason}") from error
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else None
        raise UsageError(f"{shown(str(path))}: cannot be read: {cause or error}") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path}: is larger than {MAX_BYTES // 1024} KiB, so it is no run spec")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start})", "Save it as UTF-8.") from error


def parse_spec_text(text: str, path: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The mapping that the text of a spec file holds, or None, and what is wrong with the text.

    JSON where the file is called .json, else YAML.
    """
    try:
        parsed = parse_json(text) if path.suffix.lower() == ".json" else parse_yaml(text)
    except MalformedTextError as error:
        return None, [Problem("", None, f"{path} {error}")]
    if parsed.is_empty:
        return None, [
            Problem("", None, f"{path} is empty: it must hold a mapping, such as 'train: {{epochs: 50}}'")
        ]
    if not isinstance(parsed.value, dict):
        return None, [
            Problem("", parsed.value, f"{path} must hold a mapping of keys, got {shown(parsed.value)}")
        ]
    problems = []
    for twice in parsed.duplicates:
        where = f" at line {twice.line} (first at line {twice.first_line})" if twice.line else ""
        key = twice.path if twice.path.isprintable() else repr(twice.path)
        problems.append(Problem(key, twice.value, f"the key is given twice in {path}{where}: keep one"))
    return parsed.value, problems


def _near_file(path: Path) -> str | None:
    try:
        found = [item.name for item in path.parent.iterdir() if item.suffix.lower() in _SUFFIXES]
    except OSError:
        return None
    meant = near_match(path.name, found)
    return str(path.parent / meant) if meant else None
