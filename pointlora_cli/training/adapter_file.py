"""The adapter: everything that training changed, in two files beside each other.

`adapter.safetensors` holds the trained parameters, the head, the method's own weights and the buffers
of the backbone (batch-norm statistics move also where the weights are frozen). `adapter.json` says what
they are, which base they belong to, and how a cloud is brought to them.

A merged model is an adapter whose base supplies nothing: it holds every weight, and its record says what
it was made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import pydantic
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from typing_extensions import Self

from pointlora_cli import __version__
from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.files import written_atomically
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.base_weights import BaseWeights
from pointlora_cli.models.build import Outputs
from pointlora_cli.specs.data import Normalization
from pointlora_cli.specs.method import AnyMethod
from pointlora_cli.specs.needs import Task
from pointlora_cli.specs.run import RunSpec

WEIGHTS: Final = "adapter.safetensors"
RECORD = "adapter.json"
_PENDING = ".adapter.json.pending"


class _Record(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class BaseRecord(_Record):
    """The base that an adapter belongs to."""

    source: str
    layout: str
    file_sha256: str | None
    weights_sha256: str


class WeightsRecord(_Record):
    """The weights file."""

    file: Literal["adapter.safetensors"] = WEIGHTS
    sha256: str
    bytes: int


class Resampling(_Record):
    """How a cloud is brought to the model."""

    points: int
    normalize: Normalization


class CategoryRecord(_Record):
    """A category of clouds, and its part labels: `first` and those that follow."""

    name: str = pydantic.Field(min_length=1)
    first: int = pydantic.Field(ge=0)
    parts: int = pydantic.Field(ge=1)

    @property
    def labels(self) -> range:
        """Its part labels."""
        return range(self.first, self.first + self.parts)


class MergeRecord(_Record):
    """What a merged model was made of."""

    method: AnyMethod
    base: BaseRecord
    adapter_sha256: str  # of the adapter's weights file
    folded: str
    kept: tuple[str, ...]


class AdapterRecord(_Record):
    """The content of `adapter.json`."""

    format: Literal["pointlora-adapter"] = "pointlora-adapter"
    schema_version: Literal[1] = 1
    pointlora_version: str = __version__
    task: Task
    classes: tuple[str, ...] = pydantic.Field(min_length=2, max_length=100_000)  # or parts of all categories
    categories: tuple[CategoryRecord, ...] = ()  # of clouds, in part segmentation
    resampling: Resampling
    base: BaseRecord
    weights: WeightsRecord
    spec: RunSpec
    result: dict[str, Any]
    merged: MergeRecord | None = None

    @property
    def method(self) -> AnyMethod:
        """What the model was trained with; of a merged one, the spec has what is left of it."""
        return self.merged.method if self.merged else self.spec.method

    @property
    def outputs(self) -> Outputs:
        """What the model gives."""
        return Outputs(len(self.classes), len(self.categories))

    @pydantic.model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.classes)) != len(self.classes) or not all(self.classes):
            raise ValueError("classes must be names, each once")
        if self.task != self.spec.task:
            raise ValueError("task differs from spec.task")
        if self.task == "pretraining":
            raise ValueError("a pre-training has no adapter")
        if self.task == "part-segmentation":
            self._require_whole_categories()
        elif self.categories:
            raise ValueError("categories belong to part segmentation")
        data = self.spec.data
        if (self.resampling.points, self.resampling.normalize) != (data.points, data.normalize):
            raise ValueError("resampling differs from spec.data")
        return self

    def _require_whole_categories(self) -> None:
        names = [category.name for category in self.categories]
        if len(set(names)) != len(names):
            raise ValueError("categories must be names, each once")
        next_label = 0
        for category in sorted(self.categories, key=lambda category: category.first):
            if category.first != next_label:
                raise ValueError("each part must belong to one category")
            next_label += category.parts
        if next_label != len(self.classes):
            raise ValueError("each part must belong to one category")


def changed_entries(model: AdaptedModel, base: BaseWeights) -> dict[str, Tensor]:
    """The entries of the state dict that base weights alone do not give."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    kept = frozen & base.names
    return {name: value for name, value in model.state_dict().items() if name not in kept}


def save_adapter(
    folder: Path,
    model: AdaptedModel,
    base: BaseWeights,
    spec: RunSpec,
    classes: tuple[str, ...],
    result: Mapping[str, Any],
    merged: MergeRecord | None = None,
    categories: tuple[CategoryRecord, ...] = (),
) -> AdapterRecord:
    """Write the adapter of `model` into `folder`, over an older one.

    A crash at any moment leaves the old adapter or the new one: the new record waits beside the old
    until the weights it describes have their name.

    Raises:
        OSError: the folder cannot be written.
    """
    content = save(
        {name: value.detach().cpu().contiguous() for name, value in changed_entries(model, base).items()}
    )
    record = AdapterRecord(
        task=spec.task,
        classes=classes,
        categories=categories,
        resampling=Resampling(points=spec.data.points, normalize=spec.data.normalize),
        base=BaseRecord(
            source=base.source,
            layout=base.layout,
            file_sha256=base.file_sha256,
            weights_sha256=base.weights_sha256,
        ),
        weights=WeightsRecord(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)),
        spec=spec,
        result=dict(result),
        merged=merged,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with written_atomically(folder / _PENDING) as file:
        file.write(json.dumps(record.model_dump(mode="json"), indent=2).encode())
    try:
        with written_atomically(folder / WEIGHTS) as file:
            file.write(content)
    except OSError:
        (folder / _PENDING).unlink(missing_ok=True)
        raise
    (folder / _PENDING).replace(folder / RECORD)
    return record


def read_adapter(folder: Path) -> tuple[AdapterRecord, dict[str, Tensor]]:
    """Read and verify the adapter in `folder`.

    Raises:
        DataError: it is not there, or not an adapter.
        IntegrityError: the weights are not those that the record describes.
    """
    if not (folder / WEIGHTS).is_file():
        raise DataError(
            f"{folder}: no adapter here (no {WEIGHTS})",
            remedy="Give a run directory, its adapter/ folder, or an adapter.safetensors file.",
        )
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise DataError(f"{folder / WEIGHTS}: cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    records = [_read_record(folder / name) for name in (RECORD, _PENDING) if (folder / name).is_file()]
    if not records:
        raise DataError(f"{folder}: {RECORD} is missing beside {WEIGHTS}")
    record = next((record for record in records if record.weights.sha256 == found), None)
    if record is None:
        raise IntegrityError(
            f"{folder / WEIGHTS}: its SHA-256 is {found}, its record says {records[0].weights.sha256}",
            remedy="The file was changed or damaged after it was written; train again or restore a copy.",
        )
    try:
        return record, load(content)
    except SafetensorError as error:
        raise DataError(f"{folder / WEIGHTS}: not a safetensors file: {error}") from error


def apply_adapter(
    model: AdaptedModel, base: BaseWeights, record: AdapterRecord, tensors: Mapping[str, Tensor], folder: Path
) -> None:
    """Put an adapter onto its base: `model` then computes what the trained model computed, bit for bit.

    Raises:
        DataError: the base is another one, or names or shapes differ.
    """
    if base.weights_sha256 != record.base.weights_sha256:
        raise DataError(
            f"wrong base for the adapter in {folder}: it was trained on {record.base.source} "
            f"({_short(record.base)}), and this is {base.source} ({_short(base)})",
            remedy="Give the base it was trained on with --base PATH.",
        )
    model.adaptation.resize({name: tuple(value.shape) for name, value in tensors.items()})
    wanted = changed_entries(model, base)
    _require_fit({name: tuple(value.shape) for name, value in wanted.items()}, tensors, folder)
    model.load_state_dict({**model.state_dict(), **tensors})


def require_shapes(
    model: AdaptedModel, tensors: Mapping[str, Tensor], folder: Path, *, whole: bool = False
) -> None:
    """Raise unless an adapter's tensors fit a model, which may have no memory yet (device meta).

    It is not known before the base is there which frozen entries the adapter must hold besides; a
    merged model holds the `whole`.

    Raises:
        DataError: a trained parameter is missing, or a name or shape differs.
    """
    model.adaptation.resize({name: tuple(value.shape) for name, value in tensors.items()})
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    _require_fit(
        {name: shapes[name] for name in shapes if whole or name in trained or name in tensors},
        tensors,
        folder,
    )


def _require_fit(wanted: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], folder: Path) -> None:
    problems = [f"{name} is missing" for name in sorted(set(wanted) - set(tensors))]
    problems += [f"{name} is unknown" for name in sorted(set(tensors) - set(wanted))]
    problems += [
        f"{name} is {tuple(tensors[name].shape)}, the model has {wanted[name]}"
        for name in sorted(set(wanted) & set(tensors))
        if tuple(tensors[name].shape) != wanted[name]
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise DataError(f"the adapter in {folder} does not fit its spec: {'; '.join(problems[:3])}{more}")


def _short(base: BaseRecord | BaseWeights) -> str:
    return f"SHA-256 {(base.file_sha256 or base.weights_sha256)[:12]}…"


def _read_record(path: Path) -> AdapterRecord:
    try:
        return AdapterRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: not an adapter record: {where + ': ' if where else ''}{first['msg']}"
        ) from error
