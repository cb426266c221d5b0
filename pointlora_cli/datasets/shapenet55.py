"""ShapeNet-55 as Point-BERT published it: one file of 8,192 points for each shape, and two lists of their names."""

from __future__ import annotations

import re
from pathlib import Path

from pointlora_cli.datasets.progress import DataListener, unheard
from pointlora_cli.datasets.unlabelled import UnlabelledClouds, UnlabelledData, draw_all
from pointlora_cli.errors import DataError
from pointlora_cli.specs.data import ShapeNet55Data

STORED = 8192
"""Points of each shape."""

_LISTS = ("train.txt", "test.txt")
_LARGEST_LIST = 1 << 24  # bytes; the published ones have 2 MB
_NAME = re.compile(r"[0-9]{8}-[A-Za-z0-9._-]{1,100}\.npy")
_REMEDY = (
    "Set data.root to the folder that holds shapenet_pc/ and ShapeNet-55/train.txt and test.txt; its authors hand "
    "the files out as described at https://github.com/Pang-Yatian/Point-MAE (DATASET.md)."
)


def shapenet55_files(spec: ShapeNet55Data) -> list[Path]:
    """All files that the lists name, those to train on first.

    Raises:
        DataError: a list or a file is missing, or a list is none.
    """
    train, test = _listed(spec)
    return train + test


def load_shapenet55(spec: ShapeNet55Data, stored: int, listen: DataListener = unheard) -> UnlabelledData:
    """Draw `stored` points of each shape to train on, and `spec.points` of each that is held out.

    Raises:
        DataError: files are missing or damaged.
    """
    train, test = _listed(spec)
    return UnlabelledData(
        _drawn(train, stored, spec, "train", listen), _drawn(test, spec.points, spec, "test", listen)
    )


def _drawn(
    paths: list[Path], count: int, spec: ShapeNet55Data, split: str, listen: DataListener
) -> UnlabelledClouds:
    drawn = draw_all(paths, count, spec.normalize, what=f"reading ShapeNet-55 ({split})", listen=listen)
    if drawn.unreadable:
        raise DataError(drawn.unreadable[0], remedy="Unpack the published archive again.")
    return drawn.clouds


def _listed(spec: ShapeNet55Data) -> tuple[list[Path], list[Path]]:
    if spec.root is None:
        raise DataError("ShapeNet-55: data.root does not say where it is", remedy=_REMEDY)
    root = Path(spec.root).expanduser()
    folder = root / "shapenet_pc"
    lists = [root / "ShapeNet-55" / name for name in _LISTS]
    absent = [str(path) for path in (folder, *lists) if not path.exists()]
    if absent:
        raise DataError(f"ShapeNet-55 is not there: {' and '.join(absent)} missing", remedy=_REMEDY)
    train, test = (_files(path, folder) for path in lists)
    return train, test


def _files(path: Path, folder: Path) -> list[Path]:
    """The files of a list, which names plain files alone."""
    try:
        if path.stat().st_size > _LARGEST_LIST:
            raise DataError(f"{path}: too long for a list of ShapeNet-55", remedy=_REMEDY)
        names = path.read_text(encoding="utf-8", errors="replace").split()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    strange = [name for name in names if not _NAME.fullmatch(name)]
    if strange or not names:
        what = f"{strange[0][:60]!r} is not the name of a shape" if strange else "it is empty"
        raise DataError(f"{path}: not a list of ShapeNet-55: {what}", remedy=_REMEDY)
    if len(set(names)) < len(names):
        raise DataError(f"{path}: names a shape twice", remedy=_REMEDY)
    files = [folder / name for name in names]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise DataError(f"{missing}: listed in {path}, and missing", remedy=_REMEDY)
    return files
