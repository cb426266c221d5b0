"""The run specs that ship with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pointlora_cli
from pointlora_cli.errors import UsageError
from pointlora_cli.files import write_text
from pointlora_cli.specs.files import parse_spec_text, read_text
from pointlora_cli.specs.problems import Problem, SpecError
from pointlora_cli.specs.wording import did_you_mean, names, near_match, shown


@dataclass(frozen=True)
class Preset:
    """A shipped run spec: its name is the file's, its aliases and description stand in the file."""

    name: str
    aliases: tuple[str, ...]
    description: str
    path: Path
    values: dict[str, Any]
    """What it says, without its aliases."""


def presets_dir() -> Path:
    """The folder of presets: in the installed package, else in the repository beside it.

    Raises:
        UsageError: neither is there.
    """
    package = Path(pointlora_cli.__file__).resolve().parent
    for folder in (package / "presets", package.parent / "presets"):
        if folder.is_dir():
            return folder
    raise UsageError("the presets that ship with pointlora are missing", "Install pointlora again.")


def list_presets(directory: Path | None = None) -> tuple[Preset, ...]:
    """All presets, sorted by name.

    Raises:
        UsageError: the folder cannot be read.
        SpecError: a preset file is broken; the error names it.
    """
    return tuple(_preset(path) for path in _files(directory))


def find_preset(name: str, directory: Path | None = None) -> Preset:
    """The preset of this name or alias.

    Raises:
        UsageError: there is none; the error lists the presets and the nearest name.
        SpecError: the preset's file is broken.
    """
    own = next((path for path in _files(directory) if path.stem == name), None)
    if own is not None:  # without the others, most of the time of loading a spec is saved
        return _preset(own)
    presets = list_presets(directory)
    by_name = {alias: preset for preset in presets for alias in preset.aliases}
    if name in by_name:
        return by_name[name]
    by_name |= {preset.name: preset for preset in presets}
    meant = did_you_mean(near_match(name, by_name))
    listed = names(preset.name for preset in presets) or "none"
    message = f"there is no preset {shown(name)} (presets: {listed})" + (f"; {meant}" if meant else "")
    raise UsageError(message, "See them with `pointlora presets`.")


def preset_text(name: str, directory: Path | None = None) -> str:
    """The text of a preset's file.

    Raises:
        UsageError: there is no such preset.
    """
    return read_text(find_preset(name, directory).path)


def copy_preset(name: str, destination: Path, directory: Path | None = None) -> Path:
    """Writes a preset's text to a new file and gives its path; in a folder it keeps its name.

    Raises:
        UsageError: there is no such preset, the file exists already, or it cannot be written.
    """
    preset = find_preset(name, directory)
    text = read_text(preset.path)
    target = destination / preset.path.name if destination.is_dir() else destination
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target}: the file exists already", "Give another name, or remove the file.")
    try:
        write_text(target, text)
    except FileNotFoundError as error:
        raise UsageError(f"{target}: the folder {target.parent} does not exist") from error
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _files(directory: Path | None) -> list[Path]:
    folder = presets_dir() if directory is None else directory
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of presets")
    return sorted(folder.glob("*.yaml"))


def _preset(path: Path) -> Preset:
    aliases, values = _values(path)
    description = values.get("description", "")
    if not isinstance(description, str):
        problem = Problem("description", description, f"must be text, got {shown(description)}")
        raise SpecError([problem], str(path))
    return Preset(path.stem, aliases, description, path, values)


def _values(path: Path) -> tuple[tuple[str, ...], dict[str, Any]]:
    values, problems = parse_spec_text(read_text(path), path)
    if values is None or problems:
        raise SpecError(problems, str(path))
    aliases = values.pop("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        problem = Problem("aliases", aliases, f"must be a list of names, got {shown(aliases)}")
        raise SpecError([problem], str(path))
    return tuple(aliases), values
