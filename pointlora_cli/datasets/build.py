"""From a data spec to a data set."""

from __future__ import annotations

from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.folder import list_folder_classes, load_folder
from pointlora_cli.datasets.scanobjectnn import CLASSES as SCANOBJECTNN_CLASSES
from pointlora_cli.datasets.scanobjectnn import load_scanobjectnn, require_files
from pointlora_cli.datasets.shapes.generator import SHAPE_CLASSES, ShapeOptions, generate_shapes
from pointlora_cli.specs.data import AnyData, FolderData, ScanObjectNNData, ShapesData


def load_data(spec: AnyData) -> ClassificationData:
    """Read or generate the data set of a run.

    Raises:
        DataError: files are missing or not what they should be.
    """
    match spec:
        case ShapesData():
            return _generate(spec)
        case FolderData():
            return load_folder(spec)
        case ScanObjectNNData():
            return load_scanobjectnn(spec)


def _generate(spec: ShapesData) -> ClassificationData:
    options = ShapeOptions(
        points=spec.points,
        rotate=spec.rotate,
        tilt_degrees=spec.tilt_degrees,
        noise=spec.noise,
        occlusion=spec.occlusion,
        clutter=spec.clutter,
    )
    train = generate_shapes(spec.clouds_per_class, spec.seed, "train", options)
    test = generate_shapes(spec.test_clouds_per_class, spec.seed, "test", options)
    return ClassificationData(SHAPE_CLASSES, LabelledClouds(*train), LabelledClouds(*test))


def class_names(spec: AnyData) -> tuple[str, ...]:
    """The classes of a data set, without reading its clouds.

    Raises:
        DataError: a folder is missing or laid out otherwise.
    """
    match spec:
        case ShapesData():
            return SHAPE_CLASSES
        case FolderData():
            return list_folder_classes(spec)
        case ScanObjectNNData():
            return SCANOBJECTNN_CLASSES


def check_data(spec: AnyData) -> None:
    """Raise what `load_data` would raise for missing files, without reading any.

    Raises:
        DataError: files are missing, or a folder is laid out otherwise.
    """
    match spec:
        case ShapesData():
            return
        case FolderData():
            list_folder_classes(spec)
        case ScanObjectNNData():
            require_files(spec)
