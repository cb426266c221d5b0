"""Processes of one run on this machine, started and watched as torchrun would.

It imports no torch: the processes set their number of threads before they do.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from pointlora_cli.errors import ExitCode, LostProcessError, Terminated, ToldError, UsageError
from pointlora_cli.processes import cores, end_with_parent, let_signals_through, signals_held_back

_HOST = "127.0.0.1"
_PATIENCE = 22.0  # seconds in which the others have ended after one that failed
_KILLING = 3.0  # seconds that even a killed process may take


def train_on_devices(devices: int, device: str, arguments: Sequence[str]) -> None:
    """Run the command line `arguments` in `devices` processes that train together.

    Ctrl-C and SIGTERM are passed on to them, once. When one fails, all end.

    Args:
        devices: how many.
        device: of the spec: each takes a GPU of its own, or, on the CPU, its part of the cores.
        arguments: of the command line, which finds its place in the environment.

    Raises:
        UsageError: there are not so many.
        LostProcessError: the process that tells what happens was killed.
        ToldError: a process has said what is wrong.
    """
    _require_devices(devices, device)
    with tempfile.TemporaryDirectory(prefix="pointlora-") as folder:
        logs = [Path(folder, f"{rank}.txt") for rank in range(devices)]
        processes = _started(devices, arguments, logs)
        try:
            _wait_for(processes)
        finally:
            _end(processes)
        _conclude(processes, logs, arguments)


def _require_devices(devices: int, device: str) -> None:
    if device != "cpu":
        import torch

        if device != "auto" or torch.cuda.is_available():
            from pointlora_cli.training.process_group import require_gpus

            require_gpus(devices, device)
            return
    if devices > cores():
        raise UsageError(
            f"--devices {devices}: there are {cores()} cores for as many processes",
            remedy=f"Use --devices {cores()} or fewer.",
        )


def _started(devices: int, arguments: Sequence[str], logs: Sequence[Path]) -> list[SpawnProcess]:
    with contextlib.closing(socket.create_server((_HOST, 0))) as server:
        port = server.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(devices),
        "LOCAL_WORLD_SIZE": str(devices),
        "MASTER_ADDR": _HOST,
        "MASTER_PORT": str(port),
    }
    defaults = {
        "OMP_NUM_THREADS": str(max(1, cores() // devices)),
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # else a name that cannot be resolved is told on each start
        "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
    }
    context = multiprocessing.get_context("spawn")
    processes = []
    with signals_held_back():
        for rank, log in enumerate(logs):
            place = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            values = {**defaults, **os.environ, **place}
            process = context.Process(target=_work, args=(list(arguments), values, log if rank else None))
            process.start()
            processes.append(process)
    return processes


def _work(arguments: list[str], environment: dict[str, str], log: Path | None) -> None:
    """Be `python -m pointlora_cli` with these arguments; what is not shown goes into `log`."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C goes to the whole group, and the parent passes it on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    let_signals_through()
    end_with_parent()
    os.environ.update(environment)
    if log is not None:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    sys.argv = ["pointlora", *arguments]
    sys.modules.pop("pointlora_cli.__main__", None)  # as which the parent may have been started
    runpy.run_module("pointlora_cli", run_name="__main__")


def _wait_for(processes: Sequence[SpawnProcess]) -> None:
    """Wait until all have ended, or for a while after the first that failed; pass the first signal on."""
    deadline: float | None = None
    while alive := [process for process in processes if process.exitcode is None]:
        if deadline is None and any(process.exitcode for process in processes):
            deadline = time.monotonic() + _PATIENCE
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return
        try:
            wait([process.sentinel for process in alive], timeout=left)
        except KeyboardInterrupt as stop:
            number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
            for process in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid or 0, number)


def _end(processes: Sequence[SpawnProcess]) -> None:
    for process in processes:
        if process.exitcode is None:
            process.kill()
    for process in processes:
        process.join(_KILLING)


def _conclude(processes: Sequence[SpawnProcess], logs: Sequence[Path], arguments: Sequence[str]) -> None:
    """Raise where the run failed; what only the log of a process says is shown."""
    codes = [process.exitcode for process in processes]
    failed = [(rank, code) for rank, code in enumerate(codes) if code != 0]
    if not failed:
        return
    for rank, log in enumerate(logs):
        if rank and codes[rank] == ExitCode.BUG and log.exists():
            with log.open(errors="replace") as file:
                shutil.copyfileobj(file, sys.stderr)
    if codes[0] is not None and codes[0] > 0:
        raise ToldError(codes[0])
    killed = [(rank, code) for rank, code in failed if code is not None and code < 0]
    rank, code = (killed or failed)[0]
    how = (
        f"was killed ({signal.Signals(-code).name})"
        if code is not None and code < 0
        else f"ended with {code}"
    )
    raise LostProcessError(
        f"process {rank} (of {len(processes)}, counted from 0) {how}: most likely for lack of memory",
        remedy="Use fewer devices, or a smaller batch (--set train.batch_size=N); a run that had begun goes on with "
        f"pointlora {arguments[0]} --resume RUN --devices {len(processes)}.",
    )
