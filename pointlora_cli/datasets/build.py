"""From a data spec to a data set."""

from __future__ import annotations

from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.fewshot import fewshot_classes, load_fewshot, require_fewshot
from pointlora_cli.datasets.folder import list_folder_classes, load_folder
from pointlora_cli.datasets.modelnet40 import CLASSES as MODELNET40_CLASSES
from pointlora_cli.datasets.modelnet40 import load_modelnet40, require_modelnet40
from pointlora_cli.datasets.part_segmentation import PartSegmentationData
from pointlora_cli.datasets.progress import DataListener, unheard
from pointlora_cli.datasets.scanobjectnn import CLASSES as SCANOBJECTNN_CLASSES
from pointlora_cli.datasets.scanobjectnn import load_scanobjectnn, require_files
from pointlora_cli.datasets.segmentation_folder import (
    folder_outputs,
    load_segmentation_folder,
    require_segmentation_folder,
)
from pointlora_cli.datasets.shapenet55 import load_shapenet55, shapenet55_files
from pointlora_cli.datasets.shapenetpart import load_shapenetpart, require_shapenetpart
from pointlora_cli.datasets.shapenetpart_tree import PARTS
from pointlora_cli.datasets.shapes.collection import collection_classes
from pointlora_cli.datasets.shapes.generator import ShapeOptions
from pointlora_cli.datasets.shapes.many import generate_many
from pointlora_cli.datasets.unlabelled import UnlabelledData
from pointlora_cli.datasets.unlabelled_folder import load_unlabelled_folder, unlabelled_files
from pointlora_cli.specs.data import (
    AnyClassificationData,
    AnyData,
    AnyPartData,
    AnyUnlabelledData,
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


def load_data(spec: AnyClassificationData, listen: DataListener = unheard) -> ClassificationData:
    """Read or generate clouds with a class; `listen` hears of what takes long and is kept for the next time.

    Raises:
        DataError: files are missing or not what they should be.
        IntegrityError: a file asks for objects that could run code.
    """
    match spec:
        case ShapesData():
            return _generate(spec, listen)
        case FolderData():
            return load_folder(spec)
        case ScanObjectNNData():
            return load_scanobjectnn(spec)
        case ModelNet40Data():
            return load_modelnet40(spec, listen)
        case FewShotData():
            return load_fewshot(spec, listen)


def _generate(spec: ShapesData, listen: DataListener) -> ClassificationData:
    options = ShapeOptions(
        points=spec.points,
        rotate=spec.rotate,
        tilt_degrees=spec.tilt_degrees,
        noise=spec.noise,
        occlusion=spec.occlusion,
        clutter=spec.clutter,
        ray_noise=spec.ray_noise,
        falloff=spec.falloff,
        holes=spec.holes,
        fragments=spec.fragments,
        outliers=spec.outliers,
        distinct=spec.distinct,
        airborne=spec.airborne,
        varied=spec.varied,
    )
    classes = collection_classes(spec.collection)
    train = generate_many(spec.clouds_per_class, spec.seed, "train", options, classes, listen)
    test = generate_many(spec.test_clouds_per_class, spec.seed, "test", options, classes, listen)
    return ClassificationData(classes, LabelledClouds(*train), LabelledClouds(*test))


def load_part_data(spec: AnyPartData, listen: DataListener = unheard) -> PartSegmentationData:
    """Read clouds with a part label at each point; `listen` hears of what takes long.

    Raises:
        DataError: files are missing or damaged.
        IntegrityError: a list names a path outside the data set.
    """
    match spec:
        case ShapeNetPartData():
            return load_shapenetpart(spec, listen)
        case SegmentationFolderData():
            return load_segmentation_folder(spec, listen)


def load_unlabelled_data(
    spec: AnyUnlabelledData, stored: int, listen: DataListener = unheard
) -> UnlabelledData:
    """Read clouds without labels, `stored` points of each that is to be learnt from.

    Raises:
        DataError: files are missing or damaged.
    """
    match spec:
        case UnlabelledFolderData():
            return load_unlabelled_folder(spec, stored, listen)
        case ShapeNet55Data():
            return load_shapenet55(spec, stored, listen)


def class_names(spec: AnyClassificationData) -> tuple[str, ...]:
    """The classes of a data set, without reading its clouds.

    Raises:
        DataError: a folder is missing or laid out otherwise.
    """
    match spec:
        case ShapesData():
            return collection_classes(spec.collection)
        case FolderData():
            return list_folder_classes(spec)
        case ScanObjectNNData():
            return SCANOBJECTNN_CLASSES
        case ModelNet40Data():
            return MODELNET40_CLASSES
        case FewShotData():
            return fewshot_classes(spec)


def class_count(spec: AnyClassificationData) -> int:
    """The outputs that a classifier of this data set has.

    Raises:
        DataError: a folder is missing or laid out otherwise.
    """
    if isinstance(spec, FewShotData):
        return spec.outputs or spec.way
    return len(class_names(spec))


def output_counts(spec: AnyData) -> tuple[int, int]:
    """The classes that a model of this data set tells apart, or its parts; and its categories, of parts alone.

    Raises:
        DataError: a folder is missing or laid out otherwise.
    """
    match spec:
        case ShapeNetPartData():
            return sum(map(len, PARTS.values())), len(PARTS)
        case SegmentationFolderData():
            return folder_outputs(spec)
        case UnlabelledFolderData() | ShapeNet55Data():
            return 0, 0
        case _:
            return class_count(spec), 0


def check_data(spec: AnyData) -> None:
    """Raise what loading would raise for missing files; none is read, but one cloud of each labelled category.

    Raises:
        DataError: files are missing, or a folder is laid out otherwise, or its clouds have no labels.
    """
    match spec:
        case ShapesData():
            return
        case FolderData():
            list_folder_classes(spec)
        case ScanObjectNNData():
            require_files(spec)
        case ModelNet40Data():
            require_modelnet40(spec)
        case FewShotData():
            require_fewshot(spec)
        case ShapeNetPartData():
            require_shapenetpart(spec)
        case SegmentationFolderData():
            require_segmentation_folder(spec)
        case UnlabelledFolderData():
            unlabelled_files(spec)
        case ShapeNet55Data():
            shapenet55_files(spec)
