"""The option `--devices`, and what a command does as one process of several."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from pointlora_cli.errors import UsageError
from pointlora_cli.training.distribution import ALONE, Distribution
from pointlora_cli.training.place import Place

if TYPE_CHECKING:
    from pathlib import Path

    from pointlora_cli.console.screen import Screen
    from pointlora_cli.specs.run import RunSpec

Devices = Annotated[
    int | None,
    typer.Option(
        "--devices",
        metavar="N",
        min=1,
        max=1024,
        help="Train in N processes on this machine, each on a GPU of its own, or, with --device cpu, on its part of "
        "the cores. They take train.batch_size clouds each: N equal one with N times as many. torchrun works too.",
    ),
]


def are_started(context: typer.Context, devices: int | None, load: Callable[[], RunSpec]) -> bool:
    """Start the processes that `--devices` asks for, and wait for them; False where this is to do the work itself.

    Raises:
        UsageError: there are not so many devices, or torchrun has started another number.
        PointLoRAError: what `load` raises, or a process met.
    """
    place = Place.of(os.environ)
    if place is not None and devices not in {None, place.local_size}:
        raise UsageError(
            f"--devices {devices}, but {place.local_size} processes were started on this machine",
            remedy="Leave out --devices where torchrun starts the processes.",
        )
    if place is not None or devices is None or devices == 1:
        return False
    from pointlora_cli.services.launch import train_on_devices

    train_on_devices(devices, load().train.device, context.obj)
    return True


def among_others(screen: Screen) -> AbstractContextManager[Distribution]:
    """This process among those that torchrun, or `--devices`, has started; alone where it was not.

    Raises:
        PointLoRAError: the others did not come, or one failed.
    """
    place = Place.of(os.environ)
    if place is None:
        return nullcontext(ALONE)
    from pointlora_cli.training.process_group import joined

    return joined(place, screen.error)


def follow(spec: RunSpec, resumed: Path | None, distribution: Distribution, *, dry_run: bool) -> None:
    """Do a run's work, or its rehearsal's, in a process that another one leads.

    Raises:
        PointLoRAError: as the run, or as another process.
    """
    from pointlora_cli.services.rehearsal import rehearse
    from pointlora_cli.services.taking_part import take_part

    if dry_run:
        rehearse(spec, lambda event: None, distribution)
    else:
        take_part(spec, distribution, resumed)
