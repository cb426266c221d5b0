"""Which part of a step takes how long."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

from torch import nn
from torch.utils.hooks import RemovableHandle
from typing_extensions import Self

from pointlora_cli.models.adapted import AdaptedModel
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.transformer import Block
from pointlora_cli.services.bench_clock import Clock, Mark

Stage = Literal[
    "data", "geometry", "patch encoder", "transformer", "head", "network", "backward", "optimiser"
]
STAGES: tuple[Stage, ...] = (
    "data",
    "geometry",
    "patch encoder",
    "transformer",
    "head",
    "backward",
    "optimiser",
)
"""In the order of a step. data: drawing and augmentation; geometry: sampling and neighbours; patch encoder: with
the positions; transformer: with what the method does there; head: with what the pooling takes; backward: with the
loss; optimiser: with clipping and with the clearing of gradients."""

COMPILED_STAGES: tuple[Stage, ...] = ("data", "network", "backward", "optimiser")
"""The same where the network is compiled, whose parts cannot be told apart."""


class StageWatch:
    """Marks the borders of the stages in a model's pass while it is entered.

    The marks tile the whole step, so the stages add up to it: what lies between two parts of the network belongs
    to the part that follows, and to the geometry where that is the patch encoder.
    """

    def __init__(self, model: AdaptedModel, clock: Clock, *, compiled: bool = False) -> None:
        self._model = model
        self._clock = clock
        self._compiled = compiled
        self._marks: list[Mark] = []
        self._stages: list[Stage] = []
        self._in_pass = False  # a block may be passed again in the backward pass
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        """Listen to the parts of the network."""
        model = self._model
        self._before(model, "data", lambda: self._set_pass(True))
        self._after(model, "network" if self._compiled else "head", lambda: self._set_pass(False))
        if not self._compiled:  # a compiler would follow the marks
            self._listen_within(model)
        return self

    def _listen_within(self, model: AdaptedModel) -> None:
        for module in model.backbone.modules():
            if isinstance(module, PatchEncoder):
                self._before(module, "geometry")
                self._after(module, "patch encoder")
            elif isinstance(module, Block):
                self._before(module, "transformer")
                self._after(module, "transformer")
            embedding = getattr(module, "position_embedding", None)
            if isinstance(embedding, nn.Sequential):  # its layers are called one by one
                self._before(embedding[0], "geometry")
                self._after(embedding[-1], "patch encoder")
        self._before(model.head, "transformer")
        self._after(model.head, "head")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the network as it was."""
        for handle in self._handles:
            handle.remove()

    def begin(self) -> None:
        """A step begins."""
        self._marks, self._stages = [self._clock.mark()], []

    def end(self, stage: Stage) -> None:
        """What went on since the last mark was of this stage."""
        self._marks.append(self._clock.mark())
        self._stages.append(stage)

    def totals(self) -> dict[Stage, float]:
        """Seconds of each stage of the step since `begin`; those that did not occur are left out."""
        totals: dict[Stage, float] = {}
        for stage, seconds in zip(self._stages, self._clock.spans(self._marks), strict=True):
            totals[stage] = totals.get(stage, 0.0) + seconds
        order = COMPILED_STAGES if self._compiled else STAGES
        return {stage: totals[stage] for stage in order if stage in totals}

    def _set_pass(self, value: bool) -> None:
        self._in_pass = value

    def _before(self, module: nn.Module, stage: Stage, also: Callable[[], None] | None = None) -> None:
        def hook(*_: Any) -> None:
            if also is not None:
                also()
            if self._in_pass:
                self.end(stage)

        self._handles.append(module.register_forward_pre_hook(hook))

    def _after(self, module: nn.Module, stage: Stage, also: Callable[[], None] | None = None) -> None:
        def hook(*_: Any) -> None:
            if self._in_pass:
                self.end(stage)
            if also is not None:
                also()

        self._handles.append(module.register_forward_hook(hook))
