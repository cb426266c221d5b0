"""What tells whether a data set is still the one that it was; no cloud is read for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pointlora_cli.datasets.fewshot_files import find_episode
from pointlora_cli.datasets.folder import folder_files
from pointlora_cli.datasets.modelnet40 import stored_identity
from pointlora_cli.datasets.scanobjectnn import require_files
from pointlora_cli.datasets.segmentation_folder import segmentation_files
from pointlora_cli.datasets.shapenet55 import shapenet55_files
from pointlora_cli.datasets.shapenetpart_tree import find_tree, read_tree
from pointlora_cli.datasets.unlabelled_folder import unlabelled_files
from pointlora_cli.specs.data import (
    AnyData,
    FewShotData,
    FolderData,
    ModelNet40Data,
    ScanObjectNNData,
    SegmentationFolderData,
    ShapeNet55Data,
    ShapeNetPartData,
    ShapesData,
    UnlabelledFolderData,
)


def data_identity(spec: AnyData) -> str:
    """Changes with the name, size or time of any file that `spec` reads; generated shapes have the spec alone.

    Raises:
        DataError: files are missing, or a folder is laid out otherwise.
        IntegrityError: a list names a path outside the data set.
        OSError: a file went away meanwhile.
    """
    match spec:
        case ShapesData():
            identity = "generated"
        case FolderData():
            identity = _of_files(folder_files(spec))
        case SegmentationFolderData():
            identity = _of_files(segmentation_files(spec))
        case ScanObjectNNData():
            identity = _of_files(require_files(spec))
        case ModelNet40Data():
            identity = _of_words(sorted(stored_identity(spec.root, spec.files).items()))
        case FewShotData(episodes="published"):
            identity = _of_files([find_episode(spec)])
        case FewShotData():
            identity = _of_words(sorted(stored_identity(spec.root).items()))
        case UnlabelledFolderData():
            identity = _of_files(unlabelled_files(spec))
        case ShapeNet55Data():
            identity = _of_files(shapenet55_files(spec))
        case ShapeNetPartData():
            identity = read_tree(find_tree(spec.root)).identity
    return identity


def _of_files(paths: Iterable[Path]) -> str:
    found = ((path, path.stat()) for path in paths)
    return _of_words((path, status.st_size, status.st_mtime_ns) for path, status in found)


def _of_words(lines: Iterable[tuple[object, ...]]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{' '.join(map(str, line))}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
