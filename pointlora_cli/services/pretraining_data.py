"""The clouds of a pre-training: those that it learns from, those held out, and those of the linear probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pointlora_cli.datasets.base import ClassificationData, LabelledClouds
from pointlora_cli.datasets.build import load_data, load_unlabelled_data
from pointlora_cli.datasets.shapenet55 import STORED
from pointlora_cli.datasets.unlabelled import UnlabelledClouds
from pointlora_cli.services.held_out import held_out, require_clouds
from pointlora_cli.specs.data import (
    DataSpec,
    FolderData,
    ModelNet40Data,
    ScanObjectNNData,
    ShapeNet55Data,
    ShapesData,
    UnlabelledFolderData,
)
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.events import Listener, Notice
from pointlora_cli.training.linear_probe import ProbeClouds
from pointlora_cli.training.masked_modelling import StoredClouds
from pointlora_cli.training.random_subsets import filling_unit_sphere
from pointlora_cli.training.task import Splits

_PROBED = ShapesData(clouds_per_class=60, test_clouds_per_class=30, occlusion=0.2)
"""Built-in clouds for a probe: always the same, so that pre-trainings on different clouds can be compared."""


@dataclass(frozen=True)
class PretrainingData:
    """All clouds of a pre-training."""

    splits: Splits[StoredClouds]
    probe: ProbeClouds | None


def load_pretraining_data(spec: RunSpec, listen: Listener) -> PretrainingData:
    """Read or generate the clouds of a run.

    Raises:
        DataError: files are missing or damaged, or there are too few.
        IntegrityError: a file asks for objects that could run code.
    """
    labelled: ClassificationData | None = None
    stored, data = _stored(spec), spec.data
    train: LabelledClouds | UnlabelledClouds
    match data:
        case UnlabelledFolderData() | ShapeNet55Data():
            unlabelled = load_unlabelled_data(data, stored, listen)
            train, test, notices = unlabelled.train, unlabelled.test.points, unlabelled.notices
        case ShapesData() | FolderData():
            labelled = load_data(data.model_copy(update={"points": stored}), listen)
        case ModelNet40Data() | ScanObjectNNData():
            labelled = load_data(data, listen)
        case _:
            raise AssertionError  # few-shot episodes and labels at points: the spec refuses them
    if labelled is not None:
        train = LabelledClouds(labelled.train.points[:, :stored], labelled.train.labels)
        test, notices = labelled.test.points, labelled.notices
    for notice in notices:
        listen(Notice(notice))
    probe = _probe(spec, labelled, listen)
    tested = UnlabelledClouds(_fitting(test, data))
    evaluated = tested
    if spec.train.selection == "best-val":
        is_labelled = isinstance(train, LabelledClouds)
        labels = train.labels if isinstance(train, LabelledClouds) else np.zeros(len(train), dtype=np.int64)
        rest, chosen = held_out(spec.train, labels, "class" if is_labelled else "data set")
        evaluated = UnlabelledClouds(_fitting(train.points[chosen], data))
        train = train.subset(rest)
    require_clouds(len(train), len(evaluated), "Add clouds.")
    _tell_memory(train, spec, listen)
    return PretrainingData(Splits(train, evaluated, tested), probe)


def _stored(spec: RunSpec) -> int:
    """How many points of a training cloud are kept."""
    wanted = spec.masking.stored_points
    match spec.data:
        case ShapeNet55Data() | ModelNet40Data():
            return wanted or STORED
        case ScanObjectNNData():
            return wanted or 2048
        case _:
            return wanted or 2 * spec.data.points


def _fitting(points: NDArray[np.float32], data: DataSpec) -> NDArray[np.float32]:
    """Clouds (n, S, 3) as (n, P, 3): the first points, in the frame of their own."""
    points = points[:, : data.points]
    if data.normalize != "unit-sphere":
        return np.ascontiguousarray(points)
    return filling_unit_sphere(torch.from_numpy(points)).numpy()


def _probe(spec: RunSpec, own: ClassificationData | None, listen: Listener) -> ProbeClouds | None:
    """The clouds of the linear probe: the run's own where they have classes, else built-in ones."""
    data = spec.data
    if not spec.masking.probe:
        return None
    if own is not None and not (isinstance(data, ShapesData) and data.collection == "pretraining"):
        train, test = (
            LabelledClouds(_fitting(split.points, data), split.labels) for split in (own.train, own.test)
        )
        return ProbeClouds(train, test, len(own.classes))
    if data.normalize != "unit-sphere":
        listen(
            Notice(f"no linear probe: the built-in shapes are no clouds of data.normalize {data.normalize}")
        )
        return None
    shapes = load_data(_PROBED.model_copy(update={"points": data.points}))
    listen(
        Notice(
            f"the linear probe tells {len(shapes.classes)} classes of built-in shapes apart that are not trained on: "
            f"{len(shapes.train)} clouds to fit it, {len(shapes.test)} to score it"
        )
    )
    return ProbeClouds(shapes.train, shapes.test, len(shapes.classes))


def _tell_memory(train: StoredClouds, spec: RunSpec, listen: Listener) -> None:
    points = train.points.shape[1]
    drawn = f", of which a step draws {spec.data.points:,} at random" if points > spec.data.points else ""
    size = f"{train.points.nbytes / 2**20:,.0f} MiB"
    listen(
        Notice(f"{len(train):,} training clouds of {points:,} points each are kept in memory ({size}){drawn}")
    )
