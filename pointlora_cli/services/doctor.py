"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from pointlora_cli import __version__
from pointlora_cli.files import file_sha256
from pointlora_cli.models.embedded import EMBEDDED_FILE, EMBEDDED_SHA256

if TYPE_CHECKING:
    import torch

Status = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    status: Status
    found: str
    remedy: str | None = None
    required: bool = True


_REQUIRED = (
    "torch",
    "numpy",
    "typer",
    "rich",
    "pydantic",
    "h5py",
    "safetensors",
    "PyYAML",
    "requests",
    "platformdirs",
    "filelock",
)

_USUAL_POINTS, _USUAL_NEIGHBORS = 2048, 32


def examine() -> list[Check]:
    """Look at the interpreter, the packages, the devices, the presets and the download cache."""
    checks = [
        Check("pointlora", "ok", __version__),
        Check("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        Check("processor", "ok", f"{os.cpu_count()} cores, {platform.machine()}"),
    ]
    checks += [_package(name) for name in _REQUIRED]
    return [*checks, _open3d(), _las(), *_torch(), _presets(), _embedded(), _cache()]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str) -> Check:
    version = _version(name)
    if version is None:
        return Check(name, "missing", "not installed", f"pip install {name}")
    return Check(name, "ok", version)


def _open3d() -> Check:
    version = _version("open3d-cpu") or _version("open3d")
    remedy = "pip install 'open3d-cpu!=0.20.0' (open3d where there is no open3d-cpu); needed for FBX meshes"
    if version is None:
        return Check("open3d", "missing", "not installed", remedy, required=False)
    try:
        import open3d  # noqa: F401 - whether it imports is the question
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        return Check("open3d", "broken", f"{version} does not import: {reason}", remedy, required=False)
    return Check("open3d", "ok", version, required=False)


def _las() -> Check:
    version = _version("laspy")
    if version is None or importlib.util.find_spec("lazrs") is None:
        found = "not installed" if version is None else f"laspy {version} without lazrs"
        return Check(
            "las", "missing", found, "pip install 'pointlora[las]' to read LAS and LAZ", required=False
        )
    return Check("las", "ok", f"laspy {version} with lazrs {_version('lazrs')}", required=False)


def _torch() -> list[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [
            Check(
                "device",
                "broken",
                f"torch does not import: {str(error).splitlines()[0]}",
                "pip install torch",
            )
        ]
    threads = Check("cpu threads", "ok", str(torch.get_num_threads()))
    if not torch.cuda.is_available():
        remedy = "Training runs on the CPU. For a GPU, install a CUDA build of PyTorch and its driver."
        gpu = Check("gpu", "missing", "PyTorch sees none", remedy, required=False)
        return [threads, gpu, *_geometry([]), _compiler(torch.device("cpu"))]
    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [threads, *map(_gpu, devices), *_geometry(devices), _compiler(devices[0])]


def _compiler(device: torch.device) -> Check:
    """Whether networks can be compiled for the device that runs take by themselves."""
    from pointlora_cli.training.compilation import compiler_fault

    fault = compiler_fault(device)
    if fault is None:
        return Check("compiler", "ok", f"train.compile can be used on {device.type}")
    remedy = "Needed for train.compile alone: install a compiler, e.g. apt install g++."
    return Check("compiler", "missing", fault, remedy, required=False)


def _gpu(device: torch.device) -> Check:
    import torch

    from pointlora_cli.training.devices import computes_bfloat16

    properties = torch.cuda.get_device_properties(device)
    memory = f"{properties.total_memory / 2**30:.0f} GiB"
    bfloat16 = "bfloat16" if computes_bfloat16(device) else "no bfloat16"
    return Check(str(device), "ok", f"{properties.name}, {memory}, {bfloat16}")


def _geometry(devices: Sequence[torch.device]) -> list[Check]:
    """Which implementation samples clouds and finds neighbours, tried on each GPU at the usual size."""
    from pointlora_cli.ops.kernels import neighbors_fault, sampling_fault

    sampling = [_tried(partial(sampling_fault, _USUAL_POINTS, device)) for device in devices]
    neighbors = [
        _tried(partial(neighbors_fault, _USUAL_POINTS, _USUAL_NEIGHBORS, device)) for device in devices
    ]
    return [
        _implementation("point sampling", "NumPy and PyTorch", sampling),
        _implementation("neighbour search", "PyTorch", neighbors),
    ]


def _tried(fault: Callable[[], str | None]) -> str | None:
    import torch

    try:
        return fault()
    except torch.cuda.OutOfMemoryError:
        return "its memory is full, so the kernel could not be tried"


def _implementation(name: str, on_cpu: str, faults: Sequence[str | None]) -> Check:
    """One line for all GPUs; `faults` has what keeps the Triton kernel from each, None where it serves."""
    if not faults:
        return Check(name, "ok", f"{on_cpu} on the CPU; the Triton kernel is for GPUs")
    broken = [f"cuda:{index}: {fault}" for index, fault in enumerate(faults) if fault is not None]
    if not broken:
        return Check(name, "ok", f"kernel of Triton {_version('triton')} on the GPU, {on_cpu} on the CPU")
    remedy = "Results are the same, at less speed. Triton comes with PyTorch for CUDA; it needs a C compiler."
    status: Status = "missing" if _version("triton") is None else "broken"
    return Check(name, status, f"PyTorch on the GPU, since {'; '.join(broken)}", remedy, required=False)


def _presets() -> Check:
    from pointlora_cli.specs.presets import list_presets

    names = ", ".join(preset.name for preset in list_presets())
    if not names:
        return Check(
            "presets",
            "broken",
            "none found",
            f"Reinstall: pip install --force-reinstall pointlora ({sys.prefix})",
        )
    return Check("presets", "ok", names)


def _embedded() -> Check:
    name, remedy = "embedded backbone", "Install pointlora again."
    try:
        whole = file_sha256(EMBEDDED_FILE) == EMBEDDED_SHA256
    except OSError as error:
        return Check(name, "missing", str(error), remedy)
    if not whole:
        return Check(name, "broken", f"{EMBEDDED_FILE} was changed after it was installed", remedy)
    return Check(name, "ok", f"{EMBEDDED_FILE.name}, as shipped")


def _cache() -> Check:
    from pointlora_cli.catalog.settings import current_settings
    from pointlora_cli.files import nearest_existing

    settings = current_settings()
    there = nearest_existing(settings.home)
    found = f"{settings.home}, {shutil.disk_usage(there).free / 1e9:,.0f} GB free"
    found += ", offline" if settings.offline else ""
    found += f", mirrors {' '.join(settings.mirrors)}" if settings.mirrors else ""
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        remedy = "Set POINTLORA_HOME to a folder that you may write to; what is there already can be read."
        return Check("downloads", "broken", f"{found}, not writable", remedy, required=False)
    return Check("downloads", "ok", found)
