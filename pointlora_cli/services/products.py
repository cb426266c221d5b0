"""What a run leaves for use: an adapter, or in pre-training the checkpoint of a backbone."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from pointlora_cli import __version__
from pointlora_cli.models.base_weights import PRETRAINED
from pointlora_cli.models.checkpoint_file import read_checkpoint
from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder
from pointlora_cli.models.official import load_official_model
from pointlora_cli.models.pretrained_file import write_pretrained
from pointlora_cli.services.preparation import Prepared
from pointlora_cli.services.run_events import metrics_row
from pointlora_cli.services.runs import RunDirectory
from pointlora_cli.specs.needs import Task
from pointlora_cli.training.adapter_file import apply_adapter, read_adapter, save_adapter
from pointlora_cli.training.events import EpochDone

OFFICIAL = "pretrained.pth"
"""The whole network of a pre-training, as the official code stores it."""


class Product(ABC):
    """What a run of some task keeps of its best epoch."""

    command: ClassVar[str]
    """Of the command line, which makes it."""

    @abstractmethod
    def path(self, run: RunDirectory) -> Path:
        """Where it is: a folder or a file."""

    @abstractmethod
    def size(self, run: RunDirectory) -> int:
        """Its bytes."""

    @abstractmethod
    def keep(self, prepared: Prepared, run: RunDirectory, epoch: EpochDone) -> None:
        """Make the model's weights last, which stand as after `epoch`, over those of an earlier one.

        Raises:
            OSError: they cannot be written.
        """

    @abstractmethod
    def restore(self, prepared: Prepared, run: RunDirectory) -> None:
        """Put what was kept back into the model.

        Raises:
            PointLoRAError: it is missing or damaged.
        """

    @abstractmethod
    def use(self, run: Path) -> str:
        """A command that uses it."""


class AdapterProduct(Product):
    """All that fine-tuning changed."""

    command = "finetune"

    def path(self, run: RunDirectory) -> Path:
        """The adapter's folder."""
        return run.adapter

    def size(self, run: RunDirectory) -> int:
        """Of the folder's files."""
        return sum(path.stat().st_size for path in run.adapter.iterdir())

    def keep(self, prepared: Prepared, run: RunDirectory, epoch: EpochDone) -> None:
        """Write the adapter."""
        save_adapter(
            run.adapter,
            prepared.task.model,
            prepared.base,
            prepared.spec,
            prepared.classes,
            metrics_row(epoch, prepared.spec),
            categories=prepared.categories,
        )

    def restore(self, prepared: Prepared, run: RunDirectory) -> None:
        """Read the adapter."""
        record, tensors = read_adapter(run.adapter)
        apply_adapter(prepared.task.model, prepared.base, record, tensors, run.adapter)

    def use(self, run: Path) -> str:
        """Evaluate it."""
        return f"pointlora evaluate {shlex.quote(str(run))}"


class PretrainedProduct(Product):
    """The backbone, with its provenance; and the whole network in the official layout."""

    command = "pretrain"

    def path(self, run: RunDirectory) -> Path:
        """The backbone's file."""
        return run.path / PRETRAINED

    def size(self, run: RunDirectory) -> int:
        """Of the backbone's file."""
        return self.path(run).stat().st_size

    def keep(self, prepared: Prepared, run: RunDirectory, epoch: EpochDone) -> None:
        """Write both files; equal runs write equal bytes."""
        model = prepared.task.model
        assert isinstance(model, MaskedAutoencoder)  # what the task builds
        provenance: dict[str, object] = {
            "pointlora": __version__,
            "spec": prepared.spec.model_dump(mode="json", exclude={"output"}),
            "clouds": prepared.task.train_clouds,
            "clouds_sha256": prepared.task.fingerprint,
            "base_sha256": prepared.base.weights_sha256,
            "result": metrics_row(epoch, prepared.spec),
        }
        write_pretrained(run.path / OFFICIAL, model, epoch=epoch.epoch, provenance=provenance)
        write_pretrained(self.path(run), model, epoch=epoch.epoch, provenance=provenance, encoder_only=True)

    def restore(self, prepared: Prepared, run: RunDirectory) -> None:
        """Read the whole network."""
        path = run.path / OFFICIAL
        load_official_model(prepared.task.model, read_checkpoint(path), str(path))

    def use(self, run: Path) -> str:
        """Fine-tune it."""
        return f"pointlora finetune --base {shlex.quote(str(run))} --data DIR"


_ADAPTER, _PRETRAINED = AdapterProduct(), PretrainedProduct()


def product_of(task: Task) -> Product:
    """What runs of a task leave."""
    return _PRETRAINED if task == "pretraining" else _ADAPTER
