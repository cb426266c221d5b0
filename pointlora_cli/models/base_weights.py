"""The weights a run starts from, and their identity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.files import file_sha256
from pointlora_cli.models.checkpoint_file import read_checkpoint
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.official import load_official_backbone
from pointlora_cli.specs.backbone import BackboneSpec

POINT_MAE_URL = "https://github.com/Pang-Yatian/Point-MAE/releases/download/main/pretrain.pth"


@dataclass(frozen=True)
class BaseWeights:
    """What a backbone's weights were before training."""

    source: str  # the file's path, or what stands for it
    layout: str  # which kind of file
    file_sha256: str | None  # None for random weights
    weights_sha256: str  # of the tensors themselves
    names: frozenset[str]  # entries of the classifier's state dict that the base supplies


def require_weights(spec: BackboneSpec) -> Path:
    """The checkpoint that a spec with `init: checkpoint` names.

    Raises:
        UsageError: it names none.
        DataError: there is no such file.
    """
    remedy = (
        f"Fetch a Point-MAE checkpoint, e.g. {POINT_MAE_URL}, and give it with --set backbone.weights=PATH"
    )
    if spec.weights is None:
        raise UsageError(
            "pre-trained weights are not given: backbone.weights is not set",
            remedy=f"{remedy}; or start from random weights with --set backbone.init=random.",
        )
    path = Path(spec.weights).expanduser()
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "no such file"
        raise DataError(f"pre-trained weights {path}: {kind}", remedy=f"{remedy}.")
    return path


def load_base(model: Classifier, spec: BackboneSpec, seed: int) -> BaseWeights:
    """Put the base weights of `spec` into an initialised model and say what they are.

    Raises:
        UsageError: the spec wants a checkpoint and names none.
        DataError: the checkpoint is missing, unsafe or of another shape.
    """
    if spec.init == "random":
        names = frozenset(model.backbone.state_dict(prefix="backbone."))
        return BaseWeights(
            f"random weights of seed {seed}", "random", None, _digest(model.state_dict(), names), names
        )
    path = require_weights(spec)
    layout, names_found = load_official_backbone(model, read_checkpoint(path), str(path))
    return BaseWeights(
        str(path),
        layout,
        file_sha256(path),
        _digest(model.state_dict(), names_found),
        frozenset(names_found),
    )


def _digest(state: Mapping[str, Tensor], names: Iterable[str]) -> str:
    """SHA-256 over names, types, shapes and bytes, whatever container they came in."""
    digest = hashlib.sha256()
    for name in sorted(names):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
