"""How a run trains: optimiser, schedule, augmentation, loop, output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.base import Spec

Precision = Literal["auto", "float32", "bfloat16"]
Selection = Literal["last", "best-val", "best-test"]
Compilation = Literal["off", "default", "reduce-overhead", "max-autotune"]
Residence = Literal["auto", "device", "host"]


class OptimizerSpec(Spec):
    """AdamW; 1-D parameters, biases and learned tokens are not decayed."""

    name: Literal["adamw"] = "adamw"
    lr: float = Field(default=5e-4, gt=0, description="Base learning rate.")
    weight_decay: float = Field(default=0.05, ge=0)
    head_lr_scale: float = Field(
        default=1.0,
        gt=0,
        description="The head and the class token train at this multiple of the rate, from the same start of the "
        "warm-up to the same end; ReCon: 10. In part segmentation the head alone.",
    )
    decay_head_biases: bool = Field(
        default=False,
        description="Decay all that head_lr_scale is for, biases and class token too, as ReCon does.",
    )
    betas: tuple[float, float] = Field(default=(0.9, 0.999))
    eps: float = Field(default=1e-8, gt=0)
    clip_norm: float | None = Field(
        default=10.0, gt=0, description="Largest gradient norm; null: no clipping."
    )
    double_step: bool = Field(
        default=False,
        description="Step twice with the same gradients, first as they are, then clipped, as the released loops of "
        "part segmentation do; about twice the learning rate.",
    )

    @model_validator(mode="after")
    def _betas_fit(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be in [0, 1), got {list(self.betas)}")
        return self


class ScheduleSpec(Spec):
    """Cosine with linear warm-up, constant within an epoch."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: int = Field(
        default=10,
        ge=0,
        description="Epochs of linear warm-up. One as long as the whole curve, as in a short trial, is cut "
        "to a third of it.",
    )
    warmup_lr: float = Field(default=1e-6, ge=0, description="Rate at the start of the warm-up.")
    min_lr: float = Field(default=1e-6, ge=0, description="Rate at the end.")
    length: int | None = Field(
        default=None, ge=1, description="Epochs of the whole curve; null: train.epochs."
    )
    lag: int = Field(
        default=0,
        ge=0,
        description="Epochs by which the rate lags. The released loops step after each epoch with that "
        "epoch's number, so they run epoch e at the rate of e - 1 (lag 1).",
    )


class AugmentationSpec(Spec):
    """Random changes of the training clouds, in this order: shuffle, scale, translate, rotate."""

    scale: tuple[float, float] | None = Field(
        default=(2 / 3, 3 / 2), description="Range of the factor; null: no scaling."
    )
    scale_axes: Literal["each", "all"] = Field(
        default="each",
        description="each: a factor for each axis; all: one for the cloud, which keeps its form.",
    )
    translate: float = Field(default=0.2, ge=0, description="Largest shift per axis.")
    rotate: Literal["none", "x", "y", "z"] = Field(default="none", description="Any angle about this axis.")
    shuffle: bool = Field(
        default=True,
        description="Shuffle the points, one order for a batch; it changes the first center and so all.",
    )

    @model_validator(mode="after")
    def _scale_fits(self) -> Self:
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be [low, high] with 0 < low <= high, got {list(self.scale)}")
        return self


class TrainSpec(Spec):
    """The loop."""

    epochs: int = Field(default=100, ge=1, le=100_000)
    batch_size: int = Field(
        default=32,
        ge=2,
        description="Clouds in a step of one process; batch norm needs at least 2. N processes equal one at N "
        "times as many.",
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="Batches whose gradients are summed before an update: as one batch so many times as large, in "
        "the memory of one, but that each has its own batch statistics.",
    )
    sync_batch_norm: bool = Field(
        default=False,
        description="Batch statistics over all processes of a run (--devices), not of each for itself.",
    )
    eval_batch_size: int = Field(default=64, ge=1, le=1_000_000)
    drop_last: bool = Field(default=True, description="Leave out the last, smaller batch of an epoch.")
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$", description="auto, cpu, cuda, cuda:N."
    )
    precision: Precision = Field(
        default="auto", description="auto: bfloat16 on a GPU that has it, else float32."
    )
    compile: Compilation = Field(
        default="off",
        description="Have PyTorch compile the network, which takes a minute or so at the start of a run: default; "
        "reduce-overhead, with CUDA graphs; max-autotune, which also tries out kernels, for minutes. A last batch "
        "that is smaller runs as it is.",
    )
    recompute: bool = Field(
        default=False,
        description="Keep no activations within patch encoders and transformer blocks: the backward pass "
        "computes them again. Far less memory, about a third more time, the same gradients.",
    )
    clouds_on: Residence = Field(
        default="auto",
        description="Where training clouds lie: device; host, from where each step's are sent ahead; auto: on the "
        "device, unless they would take more than half of its free memory. Results are the same.",
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    selection: Selection = Field(
        default="last",
        description="Which epoch is kept: last; best-val (a stratified part of the training set); "
        "best-test (the field's habit: it looks at the test set). Of equal scores the first is kept; the released "
        "loop of part segmentation keeps the later.",
    )
    val_fraction: float = Field(default=0.1, gt=0, lt=1, description="Part held out for best-val.")
    eval_every: int = Field(
        default=1,
        ge=1,
        description="Evaluate every so many epochs, and after the last; only an evaluated epoch is kept.",
    )
    checkpoint_minutes: float | None = Field(
        default=10.0,
        gt=0,
        description="A checkpoint is saved after each epoch, and within one whenever the newest is this old; "
        "null: within none.",
    )
    checkpoint_steps: int | None = Field(
        default=None, ge=1, description="Save a checkpoint every so many steps of an epoch, too."
    )
    keep_checkpoints: int = Field(
        default=2, ge=1, le=1000, description="How many of the newest checkpoints stay: last, last-1, …"
    )
    keep_best: bool = Field(
        default=True,
        description="Keep the checkpoint of the kept epoch too, as best, where an evaluation chooses the epoch.",
    )

    @model_validator(mode="after")
    def _compilation_fits(self) -> Self:
        if self.compile in {"reduce-overhead", "max-autotune"} and self.accumulate > 1:
            raise ValueError(
                f"compile '{self.compile}' replays CUDA graphs, in which a batch writes over the gradients of the "
                "one before, so it cannot accumulate: use compile=default or accumulate=1"
            )
        if self.compile != "off" and self.sync_batch_norm:
            raise ValueError(
                "what processes tell each other for sync_batch_norm cannot be compiled: use compile=off"
            )
        return self


class OutputSpec(Spec):
    """Where a run goes."""

    dir: str = Field(default="runs", description="The folder that holds the run directories.")
