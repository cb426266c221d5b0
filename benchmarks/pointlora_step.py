"""Our PointLoRA training step on the processor beside one written straight from the equations.

    python benchmarks/pointlora_step.py

First both must agree, from equal weights on equal clouds: logits and every trained parameter's gradient. Then
they are timed in turn in one run, so their ratio says more than the times, which depend on the machine and on
what else runs there. A step is forward, backward, clipping and optimiser, from points that are drawn already.
Sizes are those of the preset scanobjectnn, weights are random, clouds are made up.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from plain_pointlora import PlainPointLoRA
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.models.official import official_names
from pointlora_cli.models.transformer import DropPath
from pointlora_cli.services.bench_clock import sample
from pointlora_cli.services.bench_data import made_up_clouds
from pointlora_cli.services.bench_machine import describe_machine
from pointlora_cli.specs.data import ScanObjectNNData
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.classification import training_step
from pointlora_cli.training.compilation import compile_passes
from pointlora_cli.training.loop import update
from pointlora_cli.training.optimizer import build_optimizer

CLASSES = 15
TOLERANCE = 1e-4
LOOSE = 1e-2  # of a single gradient in float32
NOTHING = {torch.float32: 1e-4, torch.float64: 1e-12}
"""Of the largest gradient: what is zero but for rounding, as that of a bias before a batch norm."""


class Ours:
    """The package's model and step."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        model = build_initialized_model(spec, Outputs(CLASSES))
        assert isinstance(model, Classifier)
        self.model = model
        generator = torch.Generator().manual_seed(0)
        for name, parameter in self.model.named_parameters():
            if name.startswith("adaptation.low_rank.") and name.endswith(".B"):
                nn.init.normal_(
                    parameter, std=0.02, generator=generator
                )  # from zero, A would have no gradient
        self.model.train()
        self.optimizer = build_optimizer(self.model, spec.optimizer)

    def step(self, points: Tensor, labels: Tensor, dtype: torch.dtype = torch.float32) -> None:
        """One whole step."""
        self.optimizer.zero_grad(set_to_none=True)
        training_step(self.model, points, labels, dtype=dtype)
        update(self.optimizer, self.spec.optimizer)

    def gradients(self, points: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, classes), and the gradient of each trained parameter by its released name."""
        names = official_names(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        training_step(self.model, points, labels)
        trained = {names[name]: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        with torch.no_grad():
            return self.model(points).logits, trained


class Plain:
    """The same from the equations, with the weights of `ours`."""

    def __init__(self, ours: Ours) -> None:
        names = official_names(ours.model)
        backbone = ours.spec.backbone
        self.model = PlainPointLoRA(
            CLASSES,
            width=backbone.width,
            depth=backbone.depth,
            widths=backbone.encoder_widths,
            drop_path=backbone.drop_path,
        )
        self.model.load_released({names[name]: value for name, value in ours.model.state_dict().items()})
        trained = {names[name] for name, p in ours.model.named_parameters() if p.requires_grad}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in trained)
        self.model.train()
        options = ours.spec.optimizer
        self.clip_norm = options.clip_norm or float("inf")
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.trained if p.dim() > 1], "weight_decay": options.weight_decay},
                {"params": [p for p in self.trained if p.dim() <= 1], "weight_decay": 0.0},
            ],
            lr=options.lr,
        )

    def _backward(self, points: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        logits, regularization = self.model(points)
        torch.autograd.backward(F.cross_entropy(logits, labels) + regularization)

    def step(self, points: Tensor, labels: Tensor) -> None:
        """One whole step."""
        self._backward(points, labels)
        clip_grad_norm_(self.trained, self.clip_norm)
        self.optimizer.step()

    def gradients(self, points: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, classes), and the gradient of each trained parameter."""
        self._backward(points, labels)
        trained = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        with torch.no_grad():
            return self.model(points)[0], trained


def without_chance(model: nn.Module) -> None:
    """Switch dropout and drop path off."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "rate") and not isinstance(module.rate, Tensor):  # ours, and the plain block's
            assert isinstance(module, DropPath) or type(module).__module__ == "plain_pointlora"
            module.rate = 0.0


def difference(a: Tensor, b: Tensor) -> float:
    """|a - b| / |b|, in double precision."""
    a, b = a.double().flatten(), b.double().flatten()
    return float((a - b).norm() / b.norm())


def differences(
    spec: RunSpec, points: Tensor, labels: Tensor, dtype: torch.dtype
) -> tuple[float, list[float]]:
    """Between both, computing in `dtype`: of logits, and of each gradient that is not zero but for rounding."""
    ours = Ours(spec)
    plain = Plain(ours)
    found = []
    for one in (ours, plain):
        without_chance(one.model)
        one.model.to(dtype)
        found.append(one.gradients(points.to(dtype), labels))
    (logits, gradients), (plain_logits, reference) = found
    assert gradients.keys() == reference.keys()
    least = NOTHING[dtype] * max(float(gradient.norm()) for gradient in reference.values())
    return difference(logits, plain_logits), [
        difference(gradients[name], gradient)
        for name, gradient in reference.items()
        if float(gradient.norm()) > least
    ]


def agree(spec: RunSpec, points: Tensor, labels: Tensor) -> bool:
    """Hold both against each other, and print what differs.

    In float64 every gradient must agree, which shows that the equations are the same. In float32 the logits and
    the gradients in the middle must; a few differ more in any two implementations, since rounding decides which of
    two nearly equal points is the maximum of a patch and gets all of its gradient, and since the head normalises
    over a few clouds.
    """
    limits = {torch.float64: (TOLERANCE,) * 3, torch.float32: (TOLERANCE, TOLERANCE, LOOSE)}
    print(f"{'relative difference of':24}{'logits':>10}{'gradients, median':>20}{'greatest':>12}")
    agreed = True
    for dtype, most in limits.items():
        logits, gradients = differences(spec, points, labels, dtype)
        found = (logits, statistics.median(gradients), max(gradients))
        print(f"{str(dtype).removeprefix('torch.'):24}{found[0]:10.1e}{found[1]:20.1e}{found[2]:12.1e}")
        agreed &= all(value <= limit for value, limit in zip(found, most, strict=True))
    print("they agree" if agreed else "THEY DO NOT AGREE", flush=True)
    return agreed


class Times(NamedTuple):
    """Seconds of each round."""

    passed: list[float]
    worked: list[float]  # of the processor for this process alone: other processes lengthen it far less


def times_in_turn(steps: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, Times]:
    """How long each step takes in each round; who begins changes from round to round."""
    times = {name: Times([], []) for name in steps}
    for number in range(rounds + 1):  # the first warms up
        order = list(steps) if number % 2 else list(reversed(steps))
        for name in order:
            began, worked = time.perf_counter(), time.process_time()
            steps[name]()
            if number:
                times[name].passed.append(time.perf_counter() - began)
                times[name].worked.append(time.process_time() - worked)
    return times


def show(times: Mapping[str, Times]) -> None:
    """Print each, and how many times as long as ours it takes, round by round."""
    ours = times["ours"]
    for name, own in times.items():
        print(
            f"{name:12}{1e3 * statistics.median(own.passed):10.1f} ms, "
            f"{1e3 * min(own.passed):.1f} to {1e3 * max(own.passed):.1f}; of ours "
            f"{_ratios(own.passed, ours.passed)}; of processor time {_ratios(own.worked, ours.worked)}"
        )


def _ratios(others: list[float], ours: list[float]) -> str:
    """The one in the middle, the half about it, and the extremes."""
    found = sample([other / our for other, our in zip(others, ours, strict=True)])
    half = f"{found.first_quartile:.2f} to {found.third_quartile:.2f} in half"
    return f"{found.median:.2f} ({half}, {found.least:.2f} to {found.most:.2f} in all)"


def has_bfloat16() -> bool:
    """Whether the processor computes bfloat16; elsewhere it is emulated, and slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine() in {"arm64", "aarch64"}
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) is not None


def main() -> int:
    """Check, measure, and print; 1 if they do not agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15, help="steps of each; the median counts")
    parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
    parser.add_argument("--width", type=int, default=384, help="for a quick trial: channels of the tokens")
    parser.add_argument("--depth", type=int, default=12, help="for a quick trial: blocks")
    parser.add_argument(
        "--encoder", type=int, nargs=3, default=(128, 256, 512), help="for a quick trial: its channels"
    )
    parser.add_argument("--points", type=int, default=2048, help="for a quick trial: points of a cloud")
    parser.add_argument(
        "--compile", action="store_true", help="measure our step compiled, too; it takes minutes to compile"
    )
    options = parser.parse_args()
    if options.batch < 2 or options.rounds < 2:
        parser.error("--batch and --rounds must be at least 2")
    if options.threads:
        torch.set_num_threads(options.threads)
    sizes = (
        f"backbone.width={options.width}",
        f"backbone.depth={options.depth}",
        f"backbone.encoder_widths={list(options.encoder)}",
        f"data.points={options.points}",
    )
    spec = load_run_spec(preset="scanobjectnn", overrides=["backbone.init=random", *sizes])
    assert isinstance(spec.data, ScanObjectNNData)
    clouds = made_up_clouds(spec.data, CLASSES, options.batch)
    points, labels = torch.from_numpy(clouds.points)[:, : options.points], torch.from_numpy(clouds.labels)
    machine = describe_machine(torch.device("cpu"))
    print(
        f"{machine.name}, {machine.threads} of {machine.cores} cores, PyTorch {machine.torch}, load {machine.load}"
    )
    if not agree(spec, points, labels):
        return 1
    ours = Ours(spec)
    plain = Plain(ours)
    steps = {"ours": lambda: ours.step(points, labels), "plain": lambda: plain.step(points, labels)}
    if has_bfloat16():
        steps["ours, bf16"] = lambda: ours.step(points, labels, torch.bfloat16)
    if options.compile:
        compiled = Ours(spec)
        compile_passes(compiled.model, {options.batch})
        steps["compiled"] = lambda: compiled.step(points, labels)
    show(times_in_turn(steps, options.rounds))
    if not has_bfloat16():
        print("this processor does not compute bfloat16: nothing to add")
    if hasattr(os, "getloadavg"):
        print(f"load afterwards {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
