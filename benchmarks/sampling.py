"""Farthest-point sampling and nearest neighbours: what is used on this machine beside the plain reference.

    python benchmarks/sampling.py

On a GPU the Triton kernels stand beside passes over all points and a matrix of distances in PyTorch; on the
processor, the pruned sampler beside those passes (neighbours are found by the reference itself there). Both
must give equal indices. They are timed in turn in one run,
so their ratio says more than the times, which depend on the machine and on what else runs there.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pointlora_cli.ops import neighbors, sampling
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.kernels import neighbors_fault, sampling_fault

CLOUDS = ((32, 1024, 64), (32, 2048, 128), (32, 2048, 512), (4, 8192, 1200), (1, 32768, 1024))
"""Batch, points, picks."""

SEARCHES = (
    (32, 64, 1024, 32),
    (32, 128, 2048, 32),
    (32, 512, 2048, 16),
    (32, 2048, 128, 3),
    (4, 512, 8192, 32),
)
"""Batch, queries, points, neighbours."""

HEADER = f"{'':34}{'reference':>12}{'used':>12}{'spread':>9}{'ratio':>8}"


def surface(batch: int, size: int, device: torch.device) -> Tensor:
    """Clouds (B, N, 3) on a bent sheet, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    u, v = torch.rand(2, batch, size, generator=generator)
    return torch.stack((u - 0.5, v - 0.5, 0.3 * torch.sin(6 * u) * v), dim=-1).to(device)


def milliseconds(work: Callable[[], object], device: torch.device, calls: int) -> float:
    """How long one of some calls takes, by the GPU's own clock where there is one."""
    if device.type == "cpu":
        start = time.perf_counter()
        for _ in range(calls):
            work()
        return (time.perf_counter() - start) / calls * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / calls


def compare(
    name: str,
    reference: Callable[[], Tensor],
    used: Callable[[], Tensor],
    device: torch.device,
    repeats: int,
) -> bool:
    """Check that both give the same, time them in turn, and print a line."""
    is_equal = torch.equal(reference(), used())  # it warms both up, too
    calls = 10 if device.type == "cuda" else 1
    times = [
        (milliseconds(reference, device, calls), milliseconds(used, device, calls)) for _ in range(repeats)
    ]
    before, after = (statistics.median(column) for column in zip(*times, strict=True))
    own = sorted(time for _, time in times)
    spread = (own[-1] - own[0]) / after
    verdict = f"{before / after:7.1f}x" if is_equal else "  NOT EQUAL"
    print(f"{name:34}{before:9.3f} ms{after:9.3f} ms{spread:8.0%}{verdict}", flush=True)
    return is_equal


def compare_sampling(device: torch.device, repeats: int) -> bool:
    """Every size of `CLOUDS`, near-origin points left out as the official models do."""
    print(f"farthest points\n{HEADER}")
    agree = True
    for batch, size, count in CLOUDS:
        points = surface(batch, size, device)
        first = torch.zeros(batch, dtype=torch.int64, device=device)
        agree &= compare(
            f"{batch} x {size} -> {count}",
            lambda: sampling._by_full_passes(points, count, first, True),  # noqa: B023 - called at once
            lambda: sampling.farthest_point_sampling(points, count, skip_near_origin=True),  # noqa: B023
            device,
            repeats,
        )
    return agree


def compare_search(device: torch.device, repeats: int) -> bool:
    """Every size of `SEARCHES`."""
    print(f"nearest neighbours\n{HEADER}")
    agree = True
    for batch, groups, size, k in SEARCHES:
        points = surface(batch, size, device)
        chosen = torch.randint(size, (batch, groups), generator=torch.Generator().manual_seed(1))
        queries = gather(points, chosen.to(device))
        agree &= compare(
            f"{batch} x {groups} of {size}, {k} nearest",
            lambda: neighbors._by_sorting(queries, points, k)[0],  # noqa: B023 - called at once
            lambda: neighbors.nearest_neighbors(queries, points, k)[0],  # noqa: B023
            device,
            repeats,
        )
    return agree


def describe(device: torch.device) -> str:
    """The machine, and what is used on it."""
    versions = f"PyTorch {torch.__version__}, Python {platform.python_version()}"
    if device.type == "cpu":
        return f"{platform.machine()}, {torch.get_num_threads()} threads, {versions}; no Triton kernels"
    faults = {"sampling": sampling_fault(2048, device), "neighbours": neighbors_fault(2048, 32, device)}
    used = [f"{name}: {fault or 'Triton kernel'}" for name, fault in faults.items()]
    return f"{torch.cuda.get_device_name(device)}, {versions}; {'; '.join(used)}"


def main() -> int:
    """Measure, and print; 1 if indices differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_gpu else "cpu")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each; the median counts")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    if options.device == "cuda" and not has_gpu:
        parser.error("PyTorch sees no GPU")
    device = (
        torch.device("cuda", torch.cuda.current_device()) if options.device == "cuda" else torch.device("cpu")
    )
    print(describe(device))
    agree = compare_sampling(device, options.repeats)
    if device.type == "cuda":
        agree &= compare_search(device, options.repeats)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
