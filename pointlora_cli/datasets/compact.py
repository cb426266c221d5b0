"""Converted data sets, kept as plain arrays: written whole or not at all, verified on each load."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.files import file_sha256, sync_folder, synced

Array = NDArray[Any]
Key = Mapping[str, str | int | float]
_META = "arrays.json"
_ABANDONED = 3600  # seconds since the last sign of life


def load_or_build(
    root: Path, name: str, key: Key, build: Callable[[], Mapping[str, Array]]
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The arrays kept in `root` for this `key`, or, where there are none or one was damaged, what `build` makes.

    Where `root` cannot be written the arrays are made for this run alone.

    Args:
        root: the folder of converted data.
        name: of the conversion, for its folder.
        key: all that the arrays depend on: the identity of the source files, the options, and the version
            of the conversion.
        build: makes the arrays, by name (letters, digits, `-` and `_`).

    Returns:
        the arrays, and what a person should know of it.

    Raises:
        DataError: from `build`.
    """
    folder = _folder(root, name, key)
    kept = _load(folder, key)
    if kept is not None:
        return kept, ()
    arrays = dict(build())
    try:
        _store(folder, key, arrays)
    except OSError as error:
        reason = error.strerror or error
        return arrays, (f"converted data is not kept, so each run converts it anew: {root}: {reason}",)
    return arrays, ()


def _folder(root: Path, name: str, key: Key) -> Path:
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
    return root / f"{name}-{digest[:16]}"


def _record(key: Key, hashes: Mapping[str, str]) -> dict[str, object]:
    """What is kept beside the arrays; the seal tells a record that was edited or belongs elsewhere."""
    record: dict[str, object] = {"key": dict(key), "sha256": dict(hashes)}
    return {**record, "seal": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}


def _load(folder: Path, key: Key) -> dict[str, Array] | None:
    """The arrays of a folder; None where it is missing, unfinished or damaged."""
    arrays = {}
    try:
        record = json.loads((folder / _META).read_text())
        if record != _record(key, record["sha256"]):
            return None
        for name, sha256 in record["sha256"].items():
            array = _verified(folder / f"{name}.npy", sha256)
            if array is None:
                return None
            arrays[name] = array
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return arrays


def _verified(path: Path, sha256: str) -> Array | None:
    """The array of an NPY file, read once and used only if its bytes are those that were written."""
    content = np.fromfile(path, dtype=np.uint8)
    if hashlib.sha256(content.data).hexdigest() != sha256:
        return None
    header = io.BytesIO(content[:4096].tobytes())
    np.lib.format.read_magic(header)
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(header)
    array: Array = np.ndarray(shape, dtype, content.data, header.tell(), order="F" if is_fortran else "C")
    return array


def _store(folder: Path, key: Key, arrays: Mapping[str, Array]) -> None:
    """Write the arrays beside `folder`, then give them its name in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(folder)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    replaced = unfinished.with_name(f"{unfinished.name}.old")
    try:
        unfinished.mkdir()
        hashes = {}
        for name, array in arrays.items():
            path = unfinished / f"{name}.npy"
            with synced(path) as file:
                np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
            hashes[name] = file_sha256(path)
        with synced(unfinished / _META) as file:
            file.write((json.dumps(_record(key, hashes), indent=1) + "\n").encode())
        with contextlib.suppress(FileNotFoundError):
            # Damaged, or just built by another process; either way these are as good.
            folder.rename(replaced)
        try:
            unfinished.rename(folder)
        except OSError:
            if _load(folder, key) is None:  # not another process that was quicker
                raise
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed left behind; a young one may still be at work."""
    for path in folder.parent.glob(f".{folder.name}.*"):
        with contextlib.suppress(OSError):
            latest = max(part.stat().st_mtime for part in (path, *path.iterdir()))
            if time.time() - latest > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
