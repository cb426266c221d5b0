"""A spec's part that follows from the pre-trained backbone that it starts from."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from pointlora_cli.errors import DataError
from pointlora_cli.models.base_weights import PRETRAINED, require_weights
from pointlora_cli.models.embedded import EMBEDDED, EMBEDDED_FILE
from pointlora_cli.specs.backbone import BackboneSpec, PlainBackboneSpec
from pointlora_cli.specs.run import RunSpec

_SIZES = ("width", "depth", "heads", "encoder_widths", "position_width")


def base_changes(base: Path) -> list[str]:
    """The `key=value` changes to a spec that starts from `base`.

    Args:
        base: a run directory of a pre-training, a checkpoint file, or `embedded`. A file that says how it was
            pre-trained gives its sizes, its patches and the points of its clouds; any other gives the weights alone.

    Raises:
        DataError: it is not there, or what it says is none of ours.
    """
    path = EMBEDDED_FILE if str(base) == EMBEDDED else base.expanduser()
    if path.is_dir():
        path /= PRETRAINED
    if not path.is_file():
        what = f"{base}: a folder without {PRETRAINED}" if base.is_dir() else f"{base}: no such file"
        raise DataError(
            what, remedy="Give the run directory of a finished `pointlora pretrain`, or its file."
        )
    changes: dict[str, object] = {"backbone.init": "checkpoint", "backbone.weights": str(base)}
    spec = pretraining_of(path)
    if spec is not None:
        assert isinstance(spec.backbone, PlainBackboneSpec)  # no other is pre-trained
        backbone = spec.backbone.model_dump(mode="json", include=set(_SIZES))
        patches = spec.tokenizer.model_dump(mode="json")
        changes |= {"backbone.name": spec.backbone.name, "data.points": spec.data.points}
        changes |= {f"backbone.{key}": value for key, value in backbone.items()}
        changes |= {f"tokenizer.{key}": value for key, value in patches.items()}
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items()]


def require_base(spec: BackboneSpec) -> None:
    """Raise where the weights that a spec starts from are not there, or say that their network is another.

    Raises:
        DataError: so it is; or as `require_weights`.
        UsageError: as `require_weights`.
    """
    if spec.init == "random":
        return
    path, made_by = require_weights(spec), None
    with suppress(DataError):  # what another program says of its files is its own affair
        made_by = pretraining_of(path)
    if made_by is None or not isinstance(spec, PlainBackboneSpec):
        return
    theirs = made_by.backbone.model_dump(include=set(_SIZES))
    ours = spec.model_dump(include=set(_SIZES))
    wrong = [
        f"backbone.{key} {json.dumps(theirs[key])}, not {json.dumps(ours[key])}"
        for key in _SIZES
        if theirs[key] != ours[key]
    ]
    if wrong:
        raise DataError(
            f"the pre-trained weights {spec.weights} are of a network with {'; '.join(wrong)}",
            remedy=f"Take its sizes with --base {spec.weights}, or start from random weights with "
            "--set backbone.init=random.",
        )


def pretraining_of(path: Path) -> RunSpec | None:
    """The spec that a file was pre-trained with; None where it says nothing of it.

    Raises:
        DataError: it says something else.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("provenance")
        if text is None:
            return None
        spec = RunSpec.model_validate(json.loads(text)["spec"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: does not say how it was pre-trained: {reason[:200]}") from error
    if spec.task != "pretraining":
        raise DataError(f"{path}: does not say how it was pre-trained: its spec is of {spec.task}")
    return spec
