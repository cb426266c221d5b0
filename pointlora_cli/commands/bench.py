"""`pointlora bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.commands.options import (
    AsJson,
    Data,
    Device,
    Method,
    Overrides,
    Preset,
    SpecFile,
    load_spec,
)

if TYPE_CHECKING:
    from pointlora_cli.services.bench import Benchmark, Found
    from pointlora_cli.services.bench_clock import Sample


def _checked_precision(name: str | None) -> str | None:
    if name in (None, "auto", "float32", "bfloat16"):
        return name
    raise typer.BadParameter(f"must be auto, float32 or bfloat16, got '{name}'")


def bench(
    preset: Preset = None,
    method: Method = None,
    spec: SpecFile = None,
    data: Data = None,
    overrides: Overrides = None,
    batch: Annotated[
        int | None, typer.Option("--batch", "-b", min=2, help="Clouds in a step; else as the spec says.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", callback=_checked_precision, help="auto, float32 or bfloat16."),
    ] = None,
    device: Device = None,
    inference: Annotated[bool, typer.Option("--inference", help="Measure prediction, not training.")] = False,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="KEY=VALUE",
            help="Measure a second setting in turn with the first, which differs by this; repeatable.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=2,
            max=100_000,
            help="Steps to measure; else as many as take ten seconds, 5 to 500.",
        ),
    ] = None,
    warmup: Annotated[
        int, typer.Option("--warmup", min=1, max=10_000, help="Steps before any is measured.")
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Measure how fast steps are here, and where their time goes.

    Needs neither weights nor data: weights are random, clouds are made up in the shape that the data set has. A
    folder of clouds is taken to have ten classes. What the machine reaches in products of large matrices and in
    copying memory is measured in the same run. The first setting's time by the second's is given round by round.
    The parts of a compiled network (train.compile) are not told apart.

    \b
    Examples:
      pointlora bench --preset scanobjectnn --batch 4
      pointlora bench --preset scanobjectnn --method dapt --inference --json
      pointlora bench --preset quickstart --compare method.name=full
      pointlora bench --preset scanobjectnn --batch 4 --compare train.precision=bfloat16
      pointlora bench --preset scanobjectnn --compare train.compile=default
    """
    from pointlora_cli.console.bench_tables import draw_benchmark
    from pointlora_cli.console.screen import Screen

    screen = Screen(as_json=as_json)
    changes = list(overrides or [])
    if batch is not None:
        changes += [f"train.batch_size={batch}", f"train.eval_batch_size={batch}"]
    changes += [f"train.precision={precision}"] if precision is not None else []
    settings = [changes, [*changes, *compare]] if compare else [changes]
    specs = [load_spec(preset, spec, data, setting, method=method, device=device) for setting in settings]
    from pointlora_cli.services import bench as service

    result = service.bench(
        specs, "inference" if inference else "training", service.Effort(steps, warmup), screen.note
    )
    document = _document(result, ", ".join(compare or ()))
    screen.result("bench", document, lambda console: draw_benchmark(console, document))


def _document(result: Benchmark, compared: str) -> dict[str, object]:
    return {
        "settings": [_setting(found) for found in result.found],
        "compared": compared or None,
        "ratio": None if result.ratio is None else _sample(result.ratio),
    }


def _setting(found: Found) -> dict[str, object]:
    spec, machine = found.spec, found.machine
    return {
        "name": spec.name,
        "task": spec.task,
        "backbone": spec.backbone.name,
        "method": spec.method.name,
        "mode": found.mode,
        "batch": found.batch,
        "points": spec.data.points,
        "precision": found.precision,
        "step_seconds": _sample(found.seconds),
        "steps_per_second": 1 / found.seconds.median,
        "clouds_per_second": found.clouds_per_second,
        "peak_memory_bytes": found.peak_memory,
        "stage_seconds": {str(stage): seconds for stage, seconds in found.stages.items()},
        "flops_per_step": found.counts.flops,
        "bytes_per_step": found.counts.traffic,
        "share_of_matrix_rate": found.matrix_share,
        "share_of_memory_rate": found.memory_share,
        "machine": {
            "device": machine.device,
            "name": machine.name,
            "cores": machine.cores,
            "threads": machine.threads,
            "load": machine.load,
            "torch": machine.torch,
            "matrix_flops_per_second": found.matrix_rate,
            "memory_bytes_per_second": found.memory_rate,
        },
    }


def _sample(values: Sample) -> dict[str, object]:
    return {
        "median": values.median,
        "first_quartile": values.first_quartile,
        "third_quartile": values.third_quartile,
        "least": values.least,
        "most": values.most,
        "count": values.count,
    }
