"""How fast a spec's steps are on this machine, what they take, and how near to its limits they come."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from pointlora_cli.services.bench_clock import Sample, sample
from pointlora_cli.services.bench_counts import StepCounts, count_step
from pointlora_cli.services.bench_machine import Machine, describe_machine, matrix_rate, memory_rate
from pointlora_cli.services.bench_stages import Stage, StageWatch
from pointlora_cli.services.bench_workload import Mode, Workload
from pointlora_cli.services.peak_memory import PeakMemory
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.devices import memory_guard

_SECONDS = 10.0  # that the measured steps take, where their number is not given
_LEAST_STEPS, _MOST_STEPS = 5, 500
_ROUNDS = 20  # of a comparison: steps of one, then of the other
_WATCHED = 3  # steps whose stages are told apart
_MEMORY_STEPS = 2
_SETTLING = (
    4  # steps until a compiled network is what it stays: the first compiles, others record CUDA graphs
)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    steps: int | None = None  # of each setting; None: as many as take about ten seconds, 5 to 500
    warmup: int = 3  # steps before any is measured


@dataclass(frozen=True)
class Found:
    """What the steps of one setting took."""

    spec: RunSpec
    mode: Mode
    batch: int
    machine: Machine
    precision: str
    seconds: Sample  # of a step
    stages: dict[Stage, float]  # seconds of each, of steps in which they are told apart
    counts: StepCounts
    matrix_rate: float  # the machine's, FLOP/s in this precision
    memory_rate: float  # the machine's, bytes/s
    peak_memory: int | None  # bytes: of the GPU, else of the whole process; None: not told

    @property
    def clouds_per_second(self) -> float:
        """In the middle step."""
        return self.batch / self.seconds.median

    @property
    def matrix_share(self) -> float:
        """Of what the machine reaches in products of large matrices."""
        return self.counts.flops / self.seconds.median / self.matrix_rate

    @property
    def memory_share(self) -> float:
        """Of the machine's bandwidth, if nothing came from a cache: there may be more than all of it."""
        return self.counts.traffic / self.seconds.median / self.memory_rate


@dataclass(frozen=True)
class Benchmark:
    """One setting, or two that were measured in turn."""

    found: tuple[Found, ...]
    ratio: Sample | None
    """The first's time by the second's, round by round: above 1 where the second is faster."""


def bench(specs: Sequence[RunSpec], mode: Mode, effort: Effort, tell: Tell) -> Benchmark:
    """Measure one spec, or two in turn in this one run.

    Args:
        specs: weights are random and clouds made up, whatever they say of them.
        mode: steps of training with `train.batch_size`, or of prediction with `train.eval_batch_size`.
        effort: how much is measured.
        tell: hears what is being done.

    Raises:
        UsageError: no such device or precision, no compiler where one is needed, or too little memory.
    """
    smaller = max(2, max(spec.train.batch_size for spec in specs) // 2)
    with memory_guard(f"Use a smaller batch, e.g. --batch {smaller}."):
        return _bench(specs, mode, effort, tell)


def _bench(specs: Sequence[RunSpec], mode: Mode, effort: Effort, tell: Tell) -> Benchmark:
    examined = [_examine(spec, mode, tell, number) for number, spec in enumerate(specs, start=1)]
    workloads = [Workload(spec, mode) for spec in specs]
    tell("measuring what the machine can do at best")
    matrix_rates = {key: matrix_rate(*key) for key in {(one.device, one.dtype) for one in workloads}}
    memory_rates = {device: memory_rate(device) for device in {one.device for one in workloads}}
    tell(f"warming up: {effort.warmup} steps")
    for workload in workloads:
        for _ in range(effort.warmup):
            workload.step()
    steps = effort.steps or _fitting_steps(workloads)
    tell(f"measuring: {steps} steps")
    times = _in_turn(workloads, steps)
    found = [
        Found(
            spec=workload.spec,
            mode=mode,
            batch=workload.batch,
            machine=own.machine,
            precision=str(workload.dtype).removeprefix("torch."),
            seconds=sample([seconds for turn in rounds for seconds in turn]),
            stages=own.stages,
            counts=own.counts,
            matrix_rate=matrix_rates[workload.device, workload.dtype],
            memory_rate=memory_rates[workload.device],
            peak_memory=own.peak_memory,
        )
        for workload, own, rounds in zip(workloads, examined, times, strict=True)
    ]
    return Benchmark(tuple(found), _ratio(times) if len(times) == 2 else None)


@dataclass(frozen=True)
class _Examined:
    """All but the time of a step: each setting by itself, with nothing of another one in memory."""

    machine: Machine
    stages: dict[Stage, float]
    counts: StepCounts
    peak_memory: int | None


def _examine(spec: RunSpec, mode: Mode, tell: Tell, number: int) -> _Examined:
    tell(f"setting {number}: memory, stages and arithmetic of a step")
    workload = Workload(spec, mode)
    machine = describe_machine(workload.device)
    for _ in range(_SETTLING if workload.is_compiled else 1):  # makes what the optimiser keeps
        workload.step()
    memory = PeakMemory(workload.device)
    for _ in range(_MEMORY_STEPS):
        workload.step()
    workload.clock.wait()
    peak_memory = memory.read()
    examined = _Examined(machine, _stages(workload), _counts(workload), peak_memory)
    del workload
    gc.collect()  # hooks and network hold each other
    return examined


def _counts(workload: Workload) -> StepCounts:
    """Of the operations one by one, also where a compiler makes fewer of them."""
    if not workload.is_compiled:
        return count_step(workload.step)
    with torch.compiler.set_stance("force_eager"):
        return count_step(workload.step)


def _stages(workload: Workload) -> dict[Stage, float]:
    """Seconds of each stage, the median of a few steps."""
    totals = []
    with StageWatch(workload.model, workload.clock, compiled=workload.is_compiled) as watch:
        for _ in range(_WATCHED):
            workload.step(watch)
            totals.append(watch.totals())
    return {stage: statistics.median(total[stage] for total in totals) for stage in totals[0]}


def _fitting_steps(workloads: Sequence[Workload]) -> int:
    """As many of each as take ten seconds together, judged by one of each."""
    seconds = sum(sum(_turn(workload, 1)) for workload in workloads)
    return max(_LEAST_STEPS, min(_MOST_STEPS, int(_SECONDS / seconds)))


def _in_turn(workloads: Sequence[Workload], steps: int) -> list[list[list[float]]]:
    """Seconds of each step, by workload and round; who begins changes from round to round."""
    size = max(1, steps // _ROUNDS) if len(workloads) > 1 else steps
    sizes = [size] * (steps // size) + ([steps % size] if steps % size else [])
    times: list[list[list[float]]] = [[] for _ in workloads]
    for number, count in enumerate(sizes):
        order = list(enumerate(workloads))
        for index, workload in order if number % 2 == 0 else reversed(order):
            times[index].append(_turn(workload, count))
    return times


def _turn(workload: Workload, steps: int) -> list[float]:
    """Seconds of each of some steps in a row."""
    marks = [workload.clock.mark()]
    for _ in range(steps):
        workload.step()
        marks.append(workload.clock.mark())
    return workload.clock.spans(marks)


def _ratio(times: Sequence[Sequence[Sequence[float]]]) -> Sample:
    first, second = times
    return sample([statistics.fmean(a) / statistics.fmean(b) for a, b in zip(first, second, strict=True)])
