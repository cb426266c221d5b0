"""The weights a run starts from, and their identity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pointlora_cli.catalog.cache import CachedFile, cached_file
from pointlora_cli.catalog.loading import load_catalog
from pointlora_cli.catalog.settings import current_settings
from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.files import file_sha256
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.checkpoint_file import read_checkpoint
from pointlora_cli.models.embedded import EMBEDDED, EMBEDDED_FILE, EMBEDDED_SHA256
from pointlora_cli.models.official import load_official_backbone
from pointlora_cli.specs.backbone import BackboneSpec

PRETRAINED = "pretrained.safetensors"
"""What a pre-training leaves in its run directory."""


@dataclass(frozen=True)
class BaseWeights:
    """What a backbone's weights were before training."""

    source: str  # the file's path, or what stands for it
    layout: str  # which kind of file
    file_sha256: str | None  # None for random weights
    weights_sha256: str  # of the tensors themselves
    names: frozenset[str]  # entries of the model's state dict that the base supplies


NO_BASE = BaseWeights(
    "no other file: it is whole", "whole", None, hashlib.sha256().hexdigest(), names=frozenset()
)
"""The base of a merged model, whose own file holds every weight."""


def require_weights(spec: BackboneSpec) -> Path:
    """The checkpoint of a spec with `init: checkpoint`: what it names, or one that was downloaded.

    Raises:
        DataError: it is not there.
        UsageError: the user's own catalogue is broken, or has no such file.
    """
    return _find_weights(spec).path


def base_identity(spec: BackboneSpec) -> str:
    """Changes with the weights that a spec starts from: their SHA-256 if they were downloaded, else size and time.

    Raises:
        DataError: the checkpoint is not there.
        UsageError: the user's own catalogue is broken, or has no such file.
        OSError: the file went away meanwhile.
    """
    if spec.init == "random":
        return "random"
    path, sha256 = _find_weights(spec)
    status = path.stat()
    return sha256 or f"{status.st_size} bytes of {status.st_mtime_ns}"


def _find_weights(spec: BackboneSpec) -> CachedFile:
    """The checkpoint; one of the user's own has no SHA-256 to be held against."""
    if spec.weights == EMBEDDED:
        if not EMBEDDED_FILE.is_file():
            raise DataError(
                f"the embedded backbone is not where the package has it: {EMBEDDED_FILE}",
                remedy="Install pointlora again.",
            )
        return CachedFile(EMBEDDED_FILE, EMBEDDED_SHA256)
    if spec.weights is not None:
        given = Path(spec.weights).expanduser()
        for file in (given, given / PRETRAINED):  # of a run directory
            if file.is_file():
                return CachedFile(file, None)
    settings = current_settings()
    reference = spec.weights or spec.catalog_entry
    if spec.weights is not None and reference.partition("/")[0] not in load_catalog(settings):
        kind = f"a folder without {PRETRAINED}" if given.is_dir() else "no such file"
        raise DataError(
            f"pre-trained weights {given}: {kind}",
            remedy=f"Check backbone.weights, or leave it out and run: pointlora download {spec.catalog_entry}",
        )
    cached = cached_file(reference, settings)
    if cached is None:
        raise DataError(
            f"the pre-trained weights {reference} are not downloaded",
            remedy=f"Run: pointlora download {reference} (or give a file with --set backbone.weights=PATH, or "
            "start from random weights with --set backbone.init=random).",
        )
    return cached


def load_base(model: AdaptedModel, spec: BackboneSpec, seed: int) -> BaseWeights:
    """Put the base weights of `spec` into an initialised model and say what they are.

    The method takes from them what it needs for itself (`Adaptation.start_from`).

    Raises:
        DataError: the checkpoint is missing or of another shape.
        IntegrityError: it asks for objects that could run code, or was changed since it was downloaded.
    """
    if spec.init == "random":
        names = frozenset(model.backbone.state_dict(prefix="backbone."))
        model.adaptation.start_from(model.backbone)
        return BaseWeights(
            f"random weights of seed {seed}", "random", None, weights_digest(model.state_dict(), names), names
        )
    path, recorded = _find_weights(spec)
    embedded = spec.weights == EMBEDDED
    sha256 = file_sha256(path)
    if recorded not in (None, sha256):
        raise IntegrityError(
            f"{path}: it was changed after it was {'installed' if embedded else 'downloaded'}: its SHA-256 is "
            f"{sha256}, it was {recorded}",
            remedy="Install pointlora again."
            if embedded
            else f"Run: pointlora download {spec.weights or spec.catalog_entry} --remove, and download it again.",
        )
    layout, names_found = load_official_backbone(model, read_checkpoint(path), str(path))
    model.adaptation.start_from(model.backbone)
    return BaseWeights(
        EMBEDDED if embedded else str(path),  # wherever the package is
        layout,
        sha256,
        weights_digest(model.state_dict(), names_found),
        frozenset(names_found),
    )


def weights_digest(state: Mapping[str, Tensor], names: Iterable[str]) -> str:
    """SHA-256 over names, types, shapes and bytes, whatever container they came in."""
    digest = hashlib.sha256()
    for name in sorted(names):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
