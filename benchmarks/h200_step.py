"""PointLoRA's training on PB_T50_RS at full speed: clouds a second, memory, and bfloat16 beside float32.

    python benchmarks/h200_step.py                      # on a GPU
    python benchmarks/h200_step.py --device cpu --batch 4 --steps 5 --curve 10

Clouds are made up in the exact shape of the data set (2,048 points), weights are random. Four questions:

- How many clouds a second, over many steps at the preset's batch of 32, and how much memory: in both precisions in
  turn, then in bfloat16 with the network compiled in each of some ways.
- How long farthest-point sampling takes, 2,048 points to 128.
- Does bfloat16 learn what float32 learns: both train from equal weights on the built-in objects in equal order,
  and their losses are compared, averaged over windows, with two float32 runs of different seeds as the measure.
- What share of the machine's own rates that is, in the same run.

Sampling in other sizes, and beside PyTorch's, is in `benchmarks/sampling.py`.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import sys

import torch
from torch import Tensor

from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.shapes.generator import SHAPE_CLASSES, ShapeOptions, generate_shapes
from pointlora_cli.errors import UsageError
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.classifier import Classifier
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.services.bench import Effort, Found, bench
from pointlora_cli.services.bench_clock import Clock, sample
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.compilation import prepare_passes
from pointlora_cli.training.devices import resolve_device, resolve_precision
from pointlora_cli.training.loop import update
from pointlora_cli.training.optimizer import build_optimizer
from pointlora_cli.training.task import Splits

CLOUDS_PER_SECOND = 6000  # wanted on one H200: 300 epochs of 11,416 clouds in under ten minutes
PEAK_MEMORY = 4e9  # wanted at most, bytes
SAMPLING = 0.4e-3  # wanted at most for 32 clouds, seconds
SAMPLED, PICKS = 2048, 128
COMPILED = ("default", "reduce-overhead")
WINDOWS = 20  # of a loss curve


def spec_of(precision: str, options: argparse.Namespace, seed: int = 0, *more: str) -> RunSpec:
    """The preset for PB_T50_RS, with random weights."""
    changes = [
        "backbone.init=random",
        f"train.precision={precision}",
        f"train.device={options.device}",
        f"train.batch_size={options.batch}",
        f"train.seed={seed}",
        *options.set,
        *more,
    ]
    return load_run_spec(preset="scanobjectnn", overrides=changes)


def show_speed(found: Found) -> None:
    """Print what the steps of one precision took."""
    seconds, memory, mode = found.seconds, found.peak_memory, found.spec.train.compile
    name = found.precision if mode == "off" else f"{found.precision}, compiled ({mode})"
    print(
        f"{name}: {found.clouds_per_second:,.0f} clouds/s in the middle one of {seconds.count} steps of "
        f"{1e3 * seconds.median:.2f} ms ({1e3 * seconds.first_quartile:.2f} to "
        f"{1e3 * seconds.third_quartile:.2f} in half of them), "
        f"peak memory {'unknown' if memory is None else f'{memory / 1e9:.2f} GB'}"
    )
    print(
        f"  {100 * found.matrix_share:.0f} % of {found.matrix_rate / 1e12:,.2f} TFLOP/s, "
        f"{100 * found.memory_share:.0f} % of {found.memory_rate / 1e9:,.0f} GB/s; "
        + ", ".join(f"{stage} {1e3 * seconds:.2f} ms" for stage, seconds in found.stages.items())
    )


def measure_steps(options: argparse.Namespace) -> list[Found]:
    """Both precisions in turn, then bfloat16 compiled in each of the ways asked for; print each."""
    effort = Effort(options.steps, warmup=max(3, options.steps // 25))
    both = bench(
        [spec_of(precision, options) for precision in ("bfloat16", "float32")], "training", effort, print
    )
    machine = both.found[0].machine
    print(f"{machine.name}, PyTorch {machine.torch}, {machine.threads} threads, load {machine.load}")
    for one in both.found:
        show_speed(one)
    assert both.ratio is not None  # there are two
    print(f"bfloat16 takes {both.ratio.median:.2f} times as long as float32", flush=True)
    found = [both.found[0]]
    for mode in options.compile:
        try:
            spec = spec_of("bfloat16", options, 0, f"train.compile={mode}")
            found += bench([spec], "training", effort, print).found
        except UsageError as error:
            print(f"compiled ({mode}): {error.message}", flush=True)
            continue
        finally:
            torch._dynamo.reset()  # what was compiled for one network is of no use to the next
        show_speed(found[-1])
    return found


def sampling_seconds(device: torch.device, batch: int) -> float:
    """Seconds of sampling a batch, the middle of some calls."""
    points = torch.rand(batch, SAMPLED, 3, generator=torch.Generator().manual_seed(0)).to(device)
    clock = Clock(device)
    for _ in range(3):
        farthest_point_sampling(points, PICKS)
    marks = [clock.mark()]
    for _ in range(100 if device.type == "cuda" else 3):
        farthest_point_sampling(points, PICKS)
        marks.append(clock.mark())
    return sample(clock.spans(marks)).median


def objects(spec: RunSpec) -> LabelledClouds:
    """Built-in objects with as many points as the model takes, two batches of each class."""
    each = 2 * spec.train.batch_size
    return LabelledClouds(*generate_shapes(each, 0, "train", ShapeOptions(points=spec.data.points)))


def loss_curve(spec: RunSpec, clouds: LabelledClouds, steps: int) -> Tensor:
    """The loss (steps,) of each step, from the first on; the host waits only at the end."""
    device = resolve_device(spec.train.device)
    torch.manual_seed(spec.train.seed)
    model = build_initialized_model(spec, Outputs(len(SHAPE_CLASSES))).to(device).train()
    assert isinstance(model, Classifier)
    prepare_passes(model, spec.train)
    task = ClassificationTask(
        model,
        spec,
        Splits(clouds, clouds, clouds),
        device=device,
        dtype=resolve_precision(spec.train.precision, device),
    )
    optimizer = build_optimizer(model, spec.optimizer)
    order = torch.Generator().manual_seed(spec.train.seed)
    size = spec.train.batch_size
    losses = []
    chosen = torch.empty(0, dtype=torch.int64, device=device)
    for _ in range(steps):
        if len(chosen) < size:
            chosen = torch.randperm(len(clouds), generator=order).to(device)
        optimizer.zero_grad(set_to_none=True)
        losses.append(task.step(chosen[:size]).loss / size)
        update(optimizer, spec.optimizer)
        chosen = chosen[size:]
    return torch.stack(losses).float().cpu()


def windows(curve: Tensor) -> Tensor:
    """Means (windows,) of equal stretches of a curve."""
    count = min(WINDOWS, len(curve))
    return curve[: len(curve) // count * count].view(count, -1).mean(dim=1)


def compare_curves(options: argparse.Namespace) -> bool:
    """Train with both precisions and print how far they are apart; whether no farther than two seeds."""
    clouds = objects(spec_of("float32", options))
    curves = {
        name: windows(loss_curve(spec_of(precision, options, seed), clouds, options.curve))
        for name, precision, seed in (
            ("float32", "float32", 0),
            ("bfloat16", "bfloat16", 0),
            ("float32, other seed", "float32", 1),
        )
    }
    for name, curve in curves.items():
        shown = curve[:: max(1, len(curve) // 5)].tolist()
        print(f"loss over {options.curve} steps, {name}: " + ", ".join(f"{loss:.3f}" for loss in shown))
    apart = float((curves["bfloat16"] - curves["float32"]).abs().mean())
    noise = float((curves["float32, other seed"] - curves["float32"]).abs().mean())
    print(f"bfloat16 and float32 are {apart:.4f} apart on average; two seeds of float32 are {noise:.4f}")
    return apart <= noise


def main() -> int:
    """Measure and print; 1 if bfloat16 does not learn as float32 does."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=500, help="steps that are timed")
    parser.add_argument("--curve", type=int, default=500, help="steps of each loss curve")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change an option of the preset"
    )
    parser.add_argument(
        "--compile",
        nargs="*",
        default=None,
        metavar="MODE",
        help=f"ways of compiling to measure; none for none. On a GPU: {' '.join(COMPILED)}; on the CPU: none",
    )
    options = parser.parse_args()
    if options.batch < 2 or options.steps < 2 or options.curve < 1:
        parser.error("--batch and --steps must be at least 2, --curve at least 1")
    device = resolve_device(options.device)
    if options.compile is None:
        options.compile = COMPILED if device.type == "cuda" else ()
    found = measure_steps(options)
    seconds = sampling_seconds(device, options.batch)
    print(f"farthest points of {options.batch} clouds, {SAMPLED:,} to {PICKS}: {1e3 * seconds:.3f} ms")
    if device.type == "cuda":
        print(f"under {1e3 * SAMPLING} ms: {'reached' if seconds < SAMPLING else 'missed'}")
        fastest = min(found, key=lambda one: one.seconds.median)
        memory = fastest.peak_memory or 0
        is_fast, is_small = fastest.clouds_per_second >= CLOUDS_PER_SECOND, memory < PEAK_MEMORY
        print(f"{CLOUDS_PER_SECOND} clouds/s: {'reached' if is_fast else 'missed'}")
        print(f"under {PEAK_MEMORY / 1e9:.0f} GB: {'reached' if is_small else 'missed'}")
        minutes = 300 * 11416 / fastest.clouds_per_second / 60
        print(f"300 epochs of 11,416 clouds take {minutes:.1f} minutes")
    is_alike = compare_curves(options)
    print("bfloat16 learns as float32 does" if is_alike else "BFLOAT16 DOES NOT LEARN AS FLOAT32 DOES")
    return 0 if is_alike else 1


if __name__ == "__main__":
    sys.exit(main())
