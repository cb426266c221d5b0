"""A trained model, put together from its adapter and its base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.base_weights import NO_BASE, load_base, require_weights
from pointlora_cli.models.build import build_initialized_model, build_model
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.segmenter import Segmenter
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import AdapterRecord, apply_adapter, read_adapter, require_shapes
from pointlora_cli.training.devices import memory_guard, resolve_device, resolve_precision


@dataclass(frozen=True)
class TrainedModel:
    """A model ready to use, and what is known of it."""

    folder: Path
    record: AdapterRecord
    model: AdaptedModel
    device: torch.device
    dtype: torch.dtype

    @property
    def classifier(self) -> Classifier:
        """The model of a classification run."""
        assert isinstance(self.model, Classifier)  # what its task builds
        return self.model

    @property
    def segmenter(self) -> Segmenter:
        """The model of a part-segmentation run."""
        assert isinstance(self.model, Segmenter)  # what its task builds
        return self.model


def load_trained_model(folder: Path, *, base: Path | None = None, device: str | None = None) -> TrainedModel:
    """Put the adapter in `folder` onto its base.

    Args:
        folder: the adapter's folder.
        base: the base checkpoint; None: where it was when the adapter was trained.
        device: auto, cpu, cuda or cuda:N; None: as the run's spec says.

    Raises:
        DataError: adapter or base are missing, or do not belong together.
        UsageError: a base is given for a merged model, or there is no such device.
        IntegrityError: the adapter's file was changed.
    """
    record, tensors = read_adapter(folder)
    spec, whole = record.spec, record.merged is not None
    if base is not None and whole:
        raise UsageError(f"{folder} holds a merged model, which needs no base", remedy="Leave out --base.")
    if base is not None:
        backbone = spec.backbone.model_copy(update={"init": "checkpoint", "weights": str(base)})
        spec = spec.model_copy(update={"backbone": backbone})
    if spec.backbone.init == "checkpoint" and not whole:
        try:
            require_weights(spec.backbone)
        except DataError as error:
            raise DataError(
                f"the base of the adapter in {folder} is not there: {error.message}",
                remedy=f"{error.remedy} Or say where it is with --base PATH.",
            ) from error
    target = resolve_device(device or _device_here(spec))
    dtype = resolve_precision(spec.train.precision, target)
    with torch.device("meta"):  # a record can claim any size; its tensors cannot
        require_shapes(build_model(spec, record.outputs), tensors, folder, whole=whole)
    build = build_model if whole else build_initialized_model
    with memory_guard("Run on the CPU with --device cpu, or free memory."):
        model = build(spec, record.outputs).to(target)
    own = NO_BASE if whole else load_base(model, spec.backbone, spec.train.seed)
    apply_adapter(model, own, record, tensors, folder)
    return TrainedModel(folder, record, model.eval(), target, dtype)


def _device_here(spec: RunSpec) -> str:
    """The device of the spec where this machine has it: a model trained on a GPU also runs without."""
    wanted = spec.train.device
    return wanted if wanted == "cpu" or torch.cuda.is_available() else "auto"
