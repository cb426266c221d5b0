"""Everything that training changes, as one object that can be saved and restored bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pydantic
import torch
from torch import Tensor

from pointlora_cli.errors import DataError
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.events import EpochDone
from pointlora_cli.training.kept_epoch import KeptEpoch
from pointlora_cli.training.optimizer import build_optimizer
from pointlora_cli.training.task import StepOutput, Task

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW knows of a parameter


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done in the epoch under way
    kept: EpochDone | None = None  # the best so far, or the last


class StateRecord(pydantic.BaseModel):
    """What of a state is no tensor."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    epoch: int = pydantic.Field(ge=0)  # epochs done
    step: int = pydantic.Field(ge=0)  # steps done in the epoch under way
    kept: KeptEpoch | None
    seconds: float = pydantic.Field(ge=0)  # of training


class TrainingState:
    """The model, the optimiser, every generator, the order of the epoch under way and its sums.

    In all processes of a run it is the same, but for the default generators, of which each holds its own. The
    learning rate follows from the epoch. Frozen parameters are not part of it: the base and the seed give
    them again.
    """

    def __init__(
        self, task: Task, spec: RunSpec, steps_per_epoch: int, distribution: Distribution = ALONE
    ) -> None:
        # Dropout and drop path draw from the default generator, each process for its own clouds.
        torch.manual_seed(spec.train.seed + distribution.rank)
        self.task = task
        self.optimizer = build_optimizer(task.model, spec.optimizer)
        self.progress = Progress()
        self.is_whole = True  # False while it changes
        self.loss_sum = torch.zeros((), device=task.device)
        self.correct = torch.zeros((), device=task.device)
        self._distribution = distribution
        self._epochs = spec.train.epochs
        self._steps_per_epoch = steps_per_epoch
        self._order = torch.Generator().manual_seed(spec.train.seed)
        self._chosen: Tensor | None = None  # (n,) on the CPU, while an epoch is under way
        self._seconds_before = 0.0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the run has trained, in all processes that went on with it."""
        return self._seconds_before + time.monotonic() - self._began

    def begin_epoch(self) -> Tensor:
        """The order (n,) of the clouds in this epoch, on the device where they lie; one begun keeps its own."""
        if self._chosen is None:
            with self.changing():
                self._chosen = torch.randperm(self.task.train_clouds, generator=self._order)
                self.loss_sum = torch.zeros((), device=self.task.device)
                self.correct = torch.zeros((), device=self.task.device)
        return self._chosen.to(self.task.clouds.numbers_on)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While the state changes; after an exception in it, it is not whole."""
        self.is_whole = False
        yield
        self.is_whole = True

    def count_step(self, output: StepOutput) -> None:
        """A step is done."""
        self.loss_sum += output.loss
        self.correct += output.correct
        self.progress = Progress(self.progress.epoch, self.progress.step + 1, self.progress.kept)

    def close_epoch(self, done: EpochDone) -> None:
        """An epoch is done."""
        with self.changing():
            self._chosen = None
            self.progress = Progress(done.epoch + 1, 0, done if done.kept else self.progress.kept)

    def is_finite(self) -> bool:
        """Whether the loss is, and each number of the model that training changes."""
        changed = (self.loss_sum, *self._model().values())
        return all(bool(value.isfinite().all()) for value in changed if value.is_floating_point())

    def tensors(self) -> dict[str, Tensor]:
        """All of it that is tensors, by name; with the generators of every process, which all call this."""
        return self._tensors(self._distribution.stack)

    def _tensors(self, of_all: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        found = {f"model/{name}": value for name, value in self._model().items()}
        found |= {f"optimizer/{name}": value for name, value in self._moments().items()}
        found |= {f"generator/{name}": value for name, value in self._generators().items()}
        found |= {f"generator/{name}": of_all(value) for name, value in self._own_generators().items()}
        found |= {"epoch/loss_sum": self.loss_sum, "epoch/correct": self.correct}
        if self._chosen is not None:
            found["epoch/order"] = self._chosen
        return found

    def record(self) -> StateRecord:
        """The rest."""
        progress = self.progress
        kept = None if progress.kept is None else KeptEpoch.of(progress.kept)
        return StateRecord(epoch=progress.epoch, step=progress.step, kept=kept, seconds=self.seconds)

    def restore(self, tensors: Mapping[str, Tensor], told: StateRecord) -> None:
        """Become the state that gave `tensors`, and `told` as its record.

        Raises:
            DataError: they are of another model, another run, or of none.
        """
        self._make_room(tensors, is_begun="epoch/order" in tensors)
        places = self._tensors(lambda own: own.expand(self._distribution.size, -1))
        _require_fit(places, tensors)
        self._require_place(told, tensors.get("epoch/order"))
        with torch.no_grad(), self.changing():
            for name, place in places.items():
                if not name.startswith("generator/"):
                    place.copy_(tensors[name])
            self._set_generators(tensors)
        kept = None if told.kept is None else told.kept.done()
        self.progress = Progress(told.epoch, told.step, kept)
        self._seconds_before, self._began = told.seconds, time.monotonic()

    def _model(self) -> dict[str, Tensor]:
        """Parameters that train, and all buffers."""
        model = self.task.model
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        return {name: value for name, value in model.state_dict().items() if name not in frozen}

    def _moments(self) -> dict[str, Tensor]:
        return {
            f"{name}/{moment}": self.optimizer.state[parameter][moment]
            for name, parameter in self.task.model.named_parameters()
            if parameter in self.optimizer.state
            for moment in _MOMENTS
        }

    def _generators(self) -> dict[str, Tensor]:
        """Those that are the same in every process."""
        return {"order": self._order.get_state(), "changes": self.task.changes.get_state()}

    def _own_generators(self) -> dict[str, Tensor]:
        states = {"default": torch.get_rng_state()}
        if self.task.device.type == "cuda":
            states["device"] = torch.cuda.get_rng_state(self.task.device)
        return states

    def _set_generators(self, tensors: Mapping[str, Tensor]) -> None:
        rank = self._distribution.rank
        try:
            self._order.set_state(tensors["generator/order"])
            self.task.changes.set_state(tensors["generator/changes"])
            torch.set_rng_state(tensors["generator/default"][rank].clone())
            if self.task.device.type == "cuda":
                torch.cuda.set_rng_state(tensors["generator/device"][rank].clone(), self.task.device)
        except RuntimeError as error:
            raise DataError("the checkpoint does not fit the run: no state of a random generator") from error

    def _make_room(self, tensors: Mapping[str, Tensor], *, is_begun: bool) -> None:
        """Places for what only a run that has begun holds."""
        for name, parameter in self.task.model.named_parameters():
            if f"optimizer/{name}/step" in tensors and parameter.requires_grad:
                self.optimizer.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                }
        self._chosen = torch.zeros(self.task.train_clouds, dtype=torch.int64) if is_begun else None

    def _require_place(self, told: StateRecord, order: Tensor | None) -> None:
        is_possible = (
            told.epoch <= (self._epochs if order is None else self._epochs - 1)
            and told.step <= (self._steps_per_epoch if order is not None else 0)
            and (told.kept is None or told.kept.epoch < told.epoch)
            and (told.kept is not None or told.epoch < self._epochs)
        )
        if order is not None:
            is_possible &= bool((order.sort().values == torch.arange(len(order))).all())
        if not is_possible:
            raise DataError(
                "the checkpoint does not fit the run: it is at a place that the run does not have"
            )


def _require_fit(places: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    problems = [f"{name} is missing" for name in sorted(set(places) - set(tensors))]
    problems += [f"{name} is unknown" for name in sorted(set(tensors) - set(places))]
    for name in sorted(set(places) & set(tensors)):
        place, found = places[name], tensors[name]
        if (place.shape, place.dtype) != (found.shape, found.dtype):
            problems.append(f"{name} is {_kind(found)}, the run has {_kind(place)}")
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise DataError(f"the checkpoint does not fit the run: {'; '.join(problems[:3])}{more}")


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
