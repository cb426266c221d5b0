"""Processes of one run in tests, forked from one that has loaded all there is."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from contextlib import nullcontext
from typing import NamedTuple

from pointlora_cli.training.place import Place

LOADED = (
    "filelock",
    "pointlora_cli.app",
    "pointlora_cli.services.finetune",
    "pointlora_cli.services.taking_part",
    "pointlora_cli.training.process_group",
    "process_pairs",
    "pytest",
    "torch._dynamo",
)


class Raised(NamedTuple):
    """An error of another process."""

    kind: type[BaseException]
    message: str
    exit_code: int | None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def places(size):
    """The environments of `size` processes on this machine."""
    shared = {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def together(size, job, *arguments):
    """What `job(distribution, *arguments)` gives, or raises, in each of `size` processes; None: it was killed.

    One process is alone: its distribution is that of a plain run. The job begins once all of them have joined: a
    failure meets the others in the job, not in a message of their meeting.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED])
    start = context.Barrier(size)
    processes = []
    for place in places(size):
        here, there = context.Pipe()
        process = context.Process(target=_run, args=(there, place, start, job, arguments))
        process.start()
        there.close()
        processes.append((process, here))
    outcomes = []
    for process, here in processes:
        try:
            outcomes.append(here.recv() if here.poll(60) else None)
        except EOFError:
            outcomes.append(None)
        process.join(30)
        assert process.exitcode is not None, "it hangs"
    return outcomes


def _run(connection, environment, start, job, arguments):
    import torch

    from pointlora_cli.training.distribution import ALONE
    from pointlora_cli.training.process_group import joined

    torch.set_num_threads(1)
    os.environ.update(environment)
    try:
        place = Place.of(os.environ)
        with joined(place, lambda error: None) if place else nullcontext(ALONE) as distribution:
            distribution.take_device("cpu")
            start.wait(60)
            outcome = job(distribution, *arguments)
    except (Exception, KeyboardInterrupt) as error:
        traceback.print_exc()
        outcome = Raised(type(error), str(error), getattr(error, "exit_code", None))
    connection.send(outcome)
