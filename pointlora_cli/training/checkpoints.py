"""The checkpoints of a run: the whole state of its training, from which it goes on bit for bit.

`last.safetensors` is the newest; `last-1.safetensors` is the one before it, and so on. `best.safetensors` is
that of the kept epoch, where an evaluation chooses it. Each is whole at every moment: a new one is written
beside, flushed to disk, and renamed over the old.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
from torch import Tensor

from pointlora_cli.errors import DataError, DivergedError, IntegrityError
from pointlora_cli.files import sync_folder, written_atomically
from pointlora_cli.specs.training import TrainSpec
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import Listener, Notice
from pointlora_cli.training.sealed_file import sealed, unsealed
from pointlora_cli.training.state import StateRecord, TrainingState

_KIND = "pointlora-checkpoint-"
_FORMAT = f"{_KIND}1"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    path: Path
    run: dict[str, Any]  # what the run was, as `Checkpoints` was told
    state: StateRecord
    tensors: dict[str, Tensor]


class Checkpoints:
    """Those of one run, in a folder of their own, which is made with the first of them."""

    def __init__(
        self, folder: Path, spec: TrainSpec, run: Mapping[str, Any], distribution: Distribution = ALONE
    ) -> None:
        """Args: the folder; when and how many to keep; what the run is, in JSON's own types; its processes."""
        self.folder = folder
        self.saved: tuple[int, int] | None = None  # epochs and steps of the newest one
        self._spec = spec
        self._run = dict(run)
        self._distribution = distribution
        self._time = time.monotonic()  # of the newest one
        self._is_asked_for = False

    def ask_if_old(self) -> bool:
        """Whether the newest is as old as `train.checkpoint_minutes`; told once, by the process that leads."""
        minutes = self._spec.checkpoint_minutes
        if not self._distribution.leads or minutes is None or self._is_asked_for:
            return False
        self._is_asked_for = time.monotonic() - self._time >= 60 * minutes
        return self._is_asked_for

    def is_due(self, step: int) -> bool:
        """Whether one is to be saved after a step of an epoch, as `train.checkpoint_steps` says."""
        return self._spec.checkpoint_steps is not None and step % self._spec.checkpoint_steps == 0

    def save(self, state: TrainingState) -> None:
        """Save a whole state; nothing where it is saved already, or no step was done.

        All processes of a run call this, and the one that leads writes.

        Raises:
            DivergedError: its weights are not finite; the older checkpoints stand.
            OSError: the folder cannot be written; likewise.
        """
        progress = state.progress
        place = (progress.epoch, progress.step)
        if place in {self.saved, (0, 0)}:
            return
        if not state.is_finite():
            raise DivergedError(
                f"training diverged: the loss or a weight is not finite after {place_words(*place)}",
                remedy="Lower optimizer.lr, or set optimizer.clip_norm.",
            )
        tensors = state.tensors()
        if self._distribution.leads:
            self._write(tensors, state, place)
        self.saved, self._time, self._is_asked_for = place, time.monotonic(), False

    def _write(self, tensors: Mapping[str, Tensor], state: TrainingState, place: tuple[int, int]) -> None:
        told, kept = state.record().model_dump(mode="json"), state.progress.kept
        content = sealed(tensors, {"format": _FORMAT, "run": self._run, "state": told})
        self.folder.mkdir(parents=True, exist_ok=True)
        self._shift()
        with written_atomically(self._path(0)) as file:
            file.write(content)
        is_chosen = self._spec.selection != "last" and self._spec.keep_best
        if is_chosen and kept is not None and (kept.epoch + 1, 0) == place:
            _link(self._path(0), self.folder / "best.safetensors")
        sync_folder(self.folder)

    def continue_from(self, checkpoint: Checkpoint, state: TrainingState) -> None:
        """Put a checkpoint into `state`.

        Raises:
            DataError: it does not fit.
        """
        try:
            state.restore(checkpoint.tensors, checkpoint.state)
        except DataError as error:
            raise DataError(f"{checkpoint.path}: {error.message}", error.remedy) from error
        self.saved = (state.progress.epoch, state.progress.step)

    def _shift(self) -> None:
        """Make room for a new one: each gets the name of the one before it; the newest has both for a moment."""
        for index in range(self._spec.keep_checkpoints - 1, 1, -1):
            if self._path(index - 1).exists():
                self._path(index - 1).replace(self._path(index))
        if self._spec.keep_checkpoints > 1 and self._path(0).exists():
            _link(self._path(0), self._path(1))

    def _path(self, index: int) -> Path:
        return _path(self.folder, index)


def newest_checkpoint(folder: Path, spec: TrainSpec, listen: Listener) -> Checkpoint | None:
    """The newest checkpoint in `folder` that is whole; None where there is none at all.

    `listen` is told of those that are damaged, and they go. So does what a killed process left half-written.

    Raises:
        IntegrityError: there are some, and all of them are damaged.
        DataError: one cannot be read at all, or is of another version of pointlora.
    """
    for half in folder.glob(".*.part"):
        half.unlink(missing_ok=True)
    damaged: list[str] = []
    for index in range(spec.keep_checkpoints):
        path = _path(folder, index)
        try:
            found = _read(path)
        except FileNotFoundError:
            continue
        except IntegrityError as error:
            damaged.append(error.message)
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
        for message in damaged:
            listen(Notice(f"{message}; the checkpoint before it is used"))
        if damaged:  # else the next save would keep the damaged one as the one before
            path.replace(_path(folder, 0))
        return found
    if damaged:
        raise IntegrityError(
            f"no checkpoint of the run is whole: {'; '.join(damaged)}",
            remedy=f"Start another run with its spec: pointlora finetune --spec {folder.parent / 'spec.yaml'}",
        )
    return None


def given_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint that the process that leads goes on from, read by another process of the run.

    Raises:
        DataError: it cannot be read, or is of another version of pointlora.
        IntegrityError: it is damaged.
    """
    try:
        return _read(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def place_words(epochs: int, steps: int) -> str:
    """How far a run is, in words, from epochs done and steps done in the one after."""
    return f"epoch {epochs}" if steps == 0 else f"epoch {epochs + 1}, step {steps}"


def _path(folder: Path, index: int) -> Path:
    return folder / (f"last-{index}.safetensors" if index else "last.safetensors")


def _read(path: Path) -> Checkpoint:
    tensors, record = unsealed(path)
    run, written = record.get("run"), record.get("format")
    if written != _FORMAT and isinstance(written, str) and written.startswith(_KIND):
        raise DataError(
            f"{path}: saved by another pointlora, in the format {written[len(_KIND) :][:20]!r}; this one reads "
            f"{_FORMAT[len(_KIND) :]!r}",
            remedy="Go on with the pointlora that saved it.",
        )
    if written != _FORMAT or not isinstance(run, dict):
        raise IntegrityError(f"{path}: not a checkpoint of this pointlora")
    try:
        state = StateRecord.model_validate(record.get("state"))
    except pydantic.ValidationError as error:
        raise IntegrityError(f"{path}: not a checkpoint of this pointlora") from error
    return Checkpoint(path, run, state, tensors)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: cannot be read: {(error.strerror or str(error)).lower()}",
        remedy="Make it readable; without it, the run goes on from the checkpoint before.",
    )


def _link(source: Path, name: Path) -> None:
    """Give a file a second name, over another file; where the system has no links, a copy."""
    beside = name.with_name(f".{name.name}.part")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        with written_atomically(name) as file:
            file.write(source.read_bytes())
        return
    with contextlib.suppress(FileNotFoundError):  # a rename over another name of the same file leaves both
        beside.replace(name)
    beside.unlink(missing_ok=True)
