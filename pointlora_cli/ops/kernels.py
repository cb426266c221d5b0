"""Whether the Triton kernels for sampling and neighbours serve a device: they must run there, and agree."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import torch

from pointlora_cli.ops.pruned_sampling import Floats, pruned_farthest_points

MOST_SAMPLED = 2**17
"""Points of a cloud up to which one program reads them faster than PyTorch starts ten passes over them."""

MOST_SEARCHED = 2**13
"""Points of a cloud up to which a query's distances to them fit into registers."""

MOST_NEIGHBORS = 128
"""Neighbours up to which taking the nearest one by one is quick."""

UNFUSED = MappingProxyType({"enable_fp_fusion": False})
"""How kernels are compiled: a product keeps its own rounding when it is added to another."""

_LEAST_SAMPLED, _LEAST_SEARCHED = 127, 31  # points of the smallest trials
_TRIAL_PICKS = 32
_TRIAL_QUERIES = 37
_TRIAL_NEIGHBORS = 16


def sampling_fault(size: int, device: torch.device) -> str | None:
    """Why no kernel samples clouds of `size` points on a `device` (with its index); None: one does.

    The first question for a power of two of points compiles the kernel, runs it on a small cloud and
    compares: ask before a CUDA graph is captured. The first failure of a kind gives a warning.
    """
    if size > MOST_SAMPLED:
        return f"clouds of more than {MOST_SAMPLED:,} points are sampled by the whole device"
    return _missing() or _fault_in_sampling(max(_trial_size(size), _LEAST_SAMPLED), device)


def neighbors_fault(size: int, k: int, device: torch.device) -> str | None:
    """Why no kernel finds `k` neighbours among `size` points on a `device`; as `sampling_fault`."""
    if size > MOST_SEARCHED or k > MOST_NEIGHBORS:
        return f"more than {MOST_SEARCHED:,} points or {MOST_NEIGHBORS} neighbours do not fit into registers"
    return _missing() or _fault_in_neighbors(max(_trial_size(size), _LEAST_SEARCHED), device)


@functools.cache
def _missing() -> str | None:
    return None if importlib.util.find_spec("triton") else "triton is not installed"


def _trial_size(size: int) -> int:
    """The largest cloud below the power of two that `size` is padded to: it runs the same kernel."""
    return (1 << (size - 1).bit_length()) - 1


@functools.cache
def _fault_in_sampling(size: int, device: torch.device) -> str | None:
    def agrees() -> bool:
        from pointlora_cli.ops.triton_sampling import farthest_points

        cloud = _trial_cloud(size)
        expected = pruned_farthest_points(cloud, _TRIAL_PICKS, first=1, skip_near_origin=True)
        points, first = torch.from_numpy(cloud)[None].to(device), torch.ones(1, dtype=torch.int64)
        chosen = farthest_points(points, _TRIAL_PICKS, first.to(device), skip_near_origin=True)
        return np.array_equal(chosen[0].cpu().numpy(), expected)

    return _fault(agrees)


@functools.cache
def _fault_in_neighbors(size: int, device: torch.device) -> str | None:
    def agrees() -> bool:
        from pointlora_cli.ops.triton_neighbors import nearest

        cloud = _trial_cloud(size)
        queries = cloud[:_TRIAL_QUERIES]
        x, y, z = (queries[:, None] - cloud).transpose(2, 0, 1)
        squared = x * x + y * y + z * z
        expected = squared.argsort(axis=1, kind="stable")[:, :_TRIAL_NEIGHBORS]
        points = torch.from_numpy(cloud)[None].to(device)
        indices, distances = nearest(points[:, :_TRIAL_QUERIES], points, _TRIAL_NEIGHBORS)
        return np.array_equal(indices[0].cpu().numpy(), expected) and np.array_equal(
            distances[0].cpu().numpy(), np.take_along_axis(squared, expected, axis=1)
        )

    return _fault(agrees)


def _trial_cloud(size: int) -> Floats:
    """(size, 3) float32 points of which many are equal, or equally far from others, or near the origin."""
    cloud: Floats = np.random.default_rng(0).standard_normal((size, 3)).round(1).astype(np.float32)
    return cloud


def _fault(agrees: Callable[[], bool]) -> str | None:
    """What is wrong with a kernel, by a trial; None: nothing."""
    try:
        if agrees():
            return None
        reason = "its answers are not the reference's"
    except torch.cuda.OutOfMemoryError:
        raise  # says nothing about the kernel
    except Exception as error:  # whatever a compiler or a driver may have against it
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    _announce(reason)
    return reason


@functools.cache
def _announce(reason: str) -> None:
    """Warn, once for each reason."""
    message = f"A Triton kernel does not serve here ({reason}), so PyTorch does its work, at less speed."
    warnings.warn(message, RuntimeWarning, stacklevel=2)
