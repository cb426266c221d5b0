"""The Triton kernels on the processor: in Triton's interpreter, which wants a process of its own.

The interpreter is chosen when the kernels are imported, and changes Triton for all who use it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray


@contextmanager
def interpreter() -> Iterator[ProcessPoolExecutor]:
    """A process that interprets kernels: `submit` one of the functions below, with arrays."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning, initializer=_interpret) as process:
        yield process


def _interpret() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    torch.set_num_threads(1)


def sampled(
    points: NDArray[Any], count: int, first: NDArray[Any], skip_near_origin: bool = False
) -> NDArray[Any]:
    """Clouds (B, N, 3) -> indices (B, count)."""
    from pointlora_cli.ops.triton_sampling import farthest_points

    points, first = torch.from_numpy(points), torch.from_numpy(first)
    return farthest_points(points, count, first, skip_near_origin=skip_near_origin).numpy()


def searched(queries: NDArray[Any], points: NDArray[Any], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Queries (B, G, 3) among points (B, N, 3) -> indices and squared distances (B, G, k)."""
    from pointlora_cli.ops.triton_neighbors import nearest

    indices, distances = nearest(torch.from_numpy(queries), torch.from_numpy(points), k)
    return indices.numpy(), distances.numpy()


def faults(size: int) -> tuple[str | None, str | None]:
    """What trials of both kernels find."""
    from pointlora_cli.ops.kernels import neighbors_fault, sampling_fault

    here = torch.device("cpu")
    return sampling_fault(size, here), neighbors_fault(size, 8, here)
