"""Evaluate a trained part-segmentation model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pointlora_cli.datasets.build import load_part_data
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.datasets.part_vocabulary import PartVocabulary
from pointlora_cli.datasets.segmentation_folder import load_labelled_clouds
from pointlora_cli.errors import DataError
from pointlora_cli.services.preparation import category_records
from pointlora_cli.services.trained_model import TrainedModel
from pointlora_cli.specs.data import AnyPartData, SegmentationFolderData, ShapeNetPartData
from pointlora_cli.training.adapter_file import AdapterRecord
from pointlora_cli.training.devices import memory_guard
from pointlora_cli.training.events import Listener, Notice
from pointlora_cli.training.part_metrics import PartMetrics
from pointlora_cli.training.part_segmentation import evaluate_parts, sampled


def evaluate_segmenter(trained: TrainedModel, root: Path | None, listen: Listener) -> tuple[str, PartMetrics]:
    """Segment the test clouds of the model's own data, or those of a folder with labels at the points.

    Returns:
        what it was evaluated on, and how it did.

    Raises:
        DataError: the clouds are not there, or have categories or parts that the model does not know.
    """
    record = trained.record
    own = _data_of(record)
    data = own if root is None else _folder(own, root)
    if isinstance(data, SegmentationFolderData) and root is not None:
        name = str(root)
        clouds, notices = _labelled_clouds(data, record, listen)
        if isinstance(own, SegmentationFolderData) and _same_place(root, own.root):
            notices += (
                f"{root} is the folder that the model was trained on; clouds it has seen may be among these",
            )
    else:
        name = f"{data.source} test set"
        found = load_part_data(data, listen)
        if (found.part_names, category_records(found)) != (record.classes, record.categories):
            raise DataError(
                "the data set now holds other parts than the model was trained on",
                remedy="Give a folder to evaluate on with --data DIR.",
            )
        clouds, notices = found.test, found.notices
    for notice in notices:
        listen(Notice(notice))
    with memory_guard("Run on the CPU with --device cpu, or free memory."):
        metrics = evaluate_parts(
            trained.segmenter,
            sampled(clouds, data),
            [category.labels for category in record.categories],
            batch_size=record.spec.train.eval_batch_size,
            device=trained.device,
            dtype=trained.dtype,
        )
    return name, metrics


def _data_of(record: AdapterRecord) -> AnyPartData:
    data = record.spec.data
    assert isinstance(data, ShapeNetPartData | SegmentationFolderData)  # as the record's task says
    return data


def _folder(own: AnyPartData, root: Path) -> SegmentationFolderData:
    """The spec of a folder to evaluate on, read and sampled as the model's own data."""
    return SegmentationFolderData(
        root=str(root),
        points=own.points,
        normalize=own.normalize,
        test_sampling=own.test_sampling,
        test_seed=own.test_seed,
        label=own.label if isinstance(own, SegmentationFolderData) else "auto",
    )


def _labelled_clouds(
    data: SegmentationFolderData, record: AdapterRecord, listen: Listener
) -> tuple[PartClouds, tuple[str, ...]]:
    """The clouds of a folder, with the model's numbers of categories and parts."""
    order = sorted(range(len(record.categories)), key=lambda place: record.categories[place].first)
    categories = [record.categories[place] for place in order]  # a vocabulary counts parts in this order
    vocabulary = PartVocabulary.of_names(
        [category.name for category in categories],
        [category.labels for category in categories],
        record.classes,
    )
    clouds, notices = load_labelled_clouds(data, vocabulary, listen)
    return replace(clouds, category=np.array(order, dtype=np.int64)[clouds.category]), notices


def _same_place(one: Path, other: str) -> bool:
    return one.expanduser().resolve() == Path(other).expanduser().resolve()
