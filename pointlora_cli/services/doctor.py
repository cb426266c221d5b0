"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from typing import Literal

from pointlora_cli import __version__

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


def examine() -> list[Check]:
    """Look at the interpreter, the packages, the devices, the presets and the download cache."""
    checks = [
        Check("pointlora", "ok", __version__),
        Check("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        Check("processor", "ok", f"{os.cpu_count()} cores, {platform.machine()}"),
    ]
    checks += [_package(name) for name in _REQUIRED]
    return [*checks, _open3d(), _las(), *_torch(), _presets(), _cache()]


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
        return [threads, Check("gpu", "missing", "PyTorch sees none", remedy, required=False)]
    return [threads, *(_gpu(index) for index in range(torch.cuda.device_count()))]


def _gpu(index: int) -> Check:
    import torch

    from pointlora_cli.training.devices import computes_bfloat16

    properties = torch.cuda.get_device_properties(index)
    memory = f"{properties.total_memory / 2**30:.0f} GiB"
    bfloat16 = "bfloat16" if computes_bfloat16(torch.device("cuda", index)) else "no bfloat16"
    return Check(f"cuda:{index}", "ok", f"{properties.name}, {memory}, {bfloat16}")


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


def _cache() -> Check:
    from pointlora_cli.catalog.settings import current_settings

    settings = current_settings()
    there = settings.home
    while not there.exists() and there != there.parent:
        there = there.parent
    found = f"{settings.home}, {shutil.disk_usage(there).free / 1e9:,.0f} GB free"
    found += ", offline" if settings.offline else ""
    found += f", mirrors {' '.join(settings.mirrors)}" if settings.mirrors else ""
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        remedy = "Set POINTLORA_HOME to a folder that you may write to; what is there already can be read."
        return Check("downloads", "broken", f"{found}, not writable", remedy, required=False)
    return Check("downloads", "ok", found)
