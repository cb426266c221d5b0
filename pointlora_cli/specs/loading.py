"""A run spec from its layers: defaults < preset < --method < spec file < --data < --set."""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from pointlora_cli.specs.compatibility import BACKBONES
from pointlora_cli.specs.data import AnyData
from pointlora_cli.specs.files import parse_spec_text, read_text
from pointlora_cli.specs.merging import merge, with_default_tags, without_foreign_options, without_weights
from pointlora_cli.specs.overrides import Override, apply_override, parse_overrides
from pointlora_cli.specs.parsing import SpecDumper, is_writable_text
from pointlora_cli.specs.presets import find_preset
from pointlora_cli.specs.problems import Problem, SpecError, explain, misfit, unknown_key
from pointlora_cli.specs.recipes import recipe_values, require_method
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.shape import resolve, unions_of, value_at
from pointlora_cli.specs.wording import shown

_HEADER = "# A run spec of pointlora with every option resolved. Use it again with --spec.\n"
_INIT = ("backbone", "init")
_DEFAULT_TASK = RunSpec.model_fields["task"].default
_LONGEST_NAME = 64
_FOLDERS = {"part-segmentation": "segmentation-folder", "pretraining": "unlabelled-folder"}


@dataclass
class _Layers:
    """What each level of precedence says, as read, and what was wrong in reading it."""

    preset: dict[str, Any] = field(default_factory=dict)
    file: dict[str, Any] = field(default_factory=dict)
    data_root: Path | None = None
    overrides: list[Override] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    is_readable: bool = True

    def error(self, problems: Sequence[Problem]) -> SpecError:
        """All problems, those met in reading first."""
        inside = f" ({', '.join(self.sources)})" if self.sources else ""
        return SpecError([*self.problems, *problems], f"the run spec{inside}")


def load_run_spec(
    *,
    preset: str | None = None,
    spec_file: Path | None = None,
    overrides: Sequence[str] = (),
    data_root: Path | None = None,
    method: str | None = None,
    presets: Path | None = None,
) -> RunSpec:
    """Builds and validates a run spec: defaults < preset < method < spec file < data_root < overrides.

    Mappings are merged, lists are replaced. Where a later layer switches `data.source` or
    `method.name`, options of the preset that the new member does not have are dropped, as is its head where one
    asks for another task; what the user wrote in a file or with `--set` is kept, and refused; `data_root` alone
    drops that too, since it asks for other data outright. A layer that asks for random weights drops those that the
    layers below it name. Where no layer gives a name, it is that of the folder, else of the preset, else of the
    spec file. Relative paths in a spec file (`data.root`, `backbone.weights`) stay as they are: they are relative to
    the current folder, not to the file.

    Args:
        preset: name or alias of a preset.
        spec_file: a YAML or (by its name) JSON file.
        overrides: `key=value` texts of `--set`, later ones winning.
        data_root: the folder of `--data`; makes `data.source` "folder", or "segmentation-folder" where
            the task is part segmentation and "unlabelled-folder" where it is pre-training, and keeps the options
            that a folder has too, such as `data.points`.
        method: the method of `--method` in its own settings for these data and this backbone; where the
            preset or the file has it already, their options stand. A file that is for another method counts
            as part of the preset, less that method.
        presets: where presets are, if not where they ship.

    Raises:
        SpecError: anything in the spec is wrong; it holds all problems that could be found at once.
        UsageError: there is no such preset or method, or the file cannot be read.
    """
    if method is not None:
        require_method(method)
    layers = _read(preset, spec_file, overrides, data_root, presets)
    if not layers.is_readable:
        raise layers.error([])
    if method is not None:
        _apply_method(layers, method)
    tree, problems = _combined(layers)
    if layers.names:
        tree.setdefault("name", _slug(layers.names[0]))
    problems += _switches_for_numbers(tree)
    try:
        spec = RunSpec.model_validate(tree)
    except ValidationError as error:
        raise layers.error([*problems, *explain(error)]) from error
    if layers.problems or problems:
        raise layers.error(problems)
    return spec


def dump_run_spec(spec: RunSpec) -> str:
    """The YAML text of a spec with every option, in the models' order; it loads back to an equal spec."""
    values = spec.model_dump(mode="json")
    text = yaml.dump(values, Dumper=SpecDumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return _HEADER + text


def run_spec_schema() -> dict[str, Any]:
    """The JSON schema of a run spec."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RunSpec.model_json_schema()}


def _read(
    preset: str | None,
    spec_file: Path | None,
    overrides: Sequence[str],
    data_root: Path | None,
    presets: Path | None,
) -> _Layers:
    layers = _Layers(data_root=data_root)
    if data_root is not None:
        layers.names.append((data_root if data_root.name.strip(".") else data_root.resolve()).name)
        if not is_writable_text(str(data_root)):
            layers.problems.append(Problem("data.root", None, f"{shown(str(data_root))} is not a UTF-8 name"))
    if preset is not None:
        found = find_preset(preset, presets)
        layers.preset = found.values
        layers.names.append(found.name)
        layers.sources.append(f"preset {found.name}")
    if spec_file is not None:
        values, problems = parse_spec_text(read_text(spec_file), spec_file)
        layers.is_readable = values is not None
        layers.file = values or {}
        layers.file.pop("aliases", None)  # A copied preset keeps them; they mean nothing outside.
        layers.problems += problems
        layers.names.append(spec_file.stem)
        layers.sources.append(str(spec_file))
    layers.sources += ["--data"] if data_root is not None else []
    layers.overrides, problems = parse_overrides(overrides)
    layers.problems += problems
    layers.sources += ["--set"] if overrides else []
    return layers


def _apply_method(layers: _Layers, method: str) -> None:
    """Puts a method in its own settings in place of the preset's, unless some layer has that method already.

    What a file says for another method is taken for a preset: its `method` section counts for that method
    alone, and the settings that this one has of its own stand over the rest.
    """
    if value_at(layers.file, ("method", "name")) not in (None, method):
        rest = {key: value for key, value in layers.file.items() if key != "method"}
        layers.preset, layers.file = merge(layers.preset, rest), {}
    asked = _final_tags(layers).get("method")
    if asked is not None and asked != method:
        layers.problems.append(
            Problem("method.name", asked, f"{shown(asked)} is not the method of --method ({method})")
        )
    tree, _ = _combined(layers)
    if asked is not None or (layers.preset and value_at(tree, ("method", "name")) == method):
        return
    backbone = value_at(tree, ("backbone", "name"))
    try:
        data: AnyData = TypeAdapter(AnyData).validate_python(tree["data"])
    except ValidationError:
        return  # the whole spec's validation tells
    if isinstance(backbone, str) and backbone in BACKBONES:
        rest = {key: value for key, value in layers.preset.items() if key != "method"}
        layers.preset = merge(rest, recipe_values(method, backbone, data))


def _combined(layers: _Layers) -> tuple[dict[str, Any], list[Problem]]:
    """All layers over each other, and what is wrong with the overrides."""
    tree = merge(_fitting_preset(layers), layers.file)
    if layers.data_root is not None:
        source = _folder_source(layers)
        tree = without_foreign_options(tree, {"data": source})
        tree = merge(tree, {"data": {"source": source, "root": str(layers.data_root)}})
    if _last_asked(_set_wishes(layers), _INIT) == "random":
        tree = without_weights(tree)
    tree, problems = _overridden(tree, layers.overrides)
    return with_default_tags(tree), problems


def _fitting_preset(layers: _Layers) -> dict[str, Any]:
    """The preset less what does not go with what the layers above it ask for."""
    under = without_foreign_options(layers.preset, _final_tags(layers))
    if value_at(layers.file, _INIT) == "random":
        under = without_weights(under)
    if _task(layers) != layers.preset.get("task", _DEFAULT_TASK):
        under.pop("head", None)  # another task has another
    return under


def _folder_source(layers: _Layers) -> str:
    """What the folder of --data is: its clouds, or their points, carry labels, or nothing does."""
    return _FOLDERS.get(str(_task(layers)), "folder")


def _task(layers: _Layers) -> object:
    """The task of the run, as far as the layers say."""
    asked = _last_asked((layers.preset, layers.file, *_set_wishes(layers)), ("task",))
    return _DEFAULT_TASK if asked is None else asked


def _last_asked(wishes: Sequence[dict[str, Any]], path: tuple[str, ...]) -> object:
    """What the last of the wishes that names a value at `path` asks for; None where none does."""
    asked = (value_at(wish, path) for wish in reversed(wishes))
    return next((value for value in asked if value is not None), None)


def _final_tags(layers: _Layers) -> dict[str, str]:
    """The members of the unions that the layers above the preset ask for."""
    folder = [] if layers.data_root is None else [{"data": {"source": _folder_source(layers)}}]
    wishes = [layers.file, *folder, *_set_wishes(layers)]
    asked: dict[str, str] = {}
    for key, union in unions_of(RunSpec).items():
        for wish in wishes:
            tag = value_at(wish, (key, union.discriminator))
            if isinstance(tag, str):
                asked[key] = tag
    return asked


def _set_wishes(layers: _Layers) -> list[dict[str, Any]]:
    """What each `--set` asks for, as a tree."""
    wishes = []
    for override in layers.overrides:
        wish: Any = override.value
        for segment in reversed(override.path):
            wish = {segment: wish}
        wishes.append(wish)
    return wishes


def _overridden(tree: dict[str, Any], overrides: Sequence[Override]) -> tuple[dict[str, Any], list[Problem]]:
    """The tree with all overrides that can be applied, and what is wrong with the others."""
    tree = copy.deepcopy(tree)
    problems: list[Problem] = []
    _spell_out_lists(tree, overrides)
    for override in overrides:
        try:
            apply_override(tree, override.path, override.value)
        except SpecError as error:
            trails = [
                resolve(RunSpec, override.path[:end], with_default_tags(tree))
                for end in range(1, len(override.path))
            ]
            unknown = next((t for t in trails if t.place is None and t.parent and t.parent.model), None)
            problems += [unknown_key(unknown, override.value)] if unknown else error.problems
    return tree, problems


def _spell_out_lists(tree: dict[str, Any], overrides: Sequence[Override]) -> None:
    """Writes a list that an override indexes, but no layer gives, into the tree with its default items."""
    indexed = [override for override in overrides if override.first_index]
    if not indexed:
        return
    plain = copy.deepcopy(tree)
    for override in overrides:
        if override.first_index is None:
            try:
                apply_override(plain, override.path, override.value)
            except SpecError:  # The same override is reported where it is applied for good.
                continue
    plain = with_default_tags(plain)
    for override in indexed:
        path = override.path[: override.first_index]
        if value_at(plain, path) is None:
            default = value_at(_section_defaults(plain, path[0]), path[1:])
            if isinstance(default, list):
                try:
                    apply_override(tree, path, default)
                except SpecError:
                    continue


def _section_defaults(tree: dict[str, Any], section: str) -> object:
    """All options of a section as it would be resolved; of its kind alone where it has mistakes."""
    given = tree.get(section, {})
    kinds = (
        {key: given[key] for key in ("source", "name", "variant") if key in given}
        if isinstance(given, dict)
        else {}
    )
    for attempt in (given, kinds):
        try:
            return RunSpec.model_validate({section: attempt}).model_dump(mode="json").get(section)
        except ValidationError:
            continue
    return None


def _switches_for_numbers(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[Problem]:
    """Every true or false where a number belongs: pydantic would take `epochs: yes` for one epoch."""
    problems: list[Problem] = []
    node = value_at(tree, path)
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        here = (*path, str(key))
        if isinstance(value, dict | list):
            problems += _switches_for_numbers(tree, here)
        elif isinstance(value, bool):
            trail = resolve(RunSpec, here, tree)
            if trail.place is not None and trail.place.annotation in (int, float):
                problems.append(misfit(trail, value))
    return problems


def _slug(text: str) -> str:
    """`text` as a run's name may be."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:_LONGEST_NAME].rstrip("._-")
    return slug or "run"
