"""Few-shot episodes of ModelNet40 that we draw ourselves, since the field's own have no seed.

An episode is a function of (seed, way, shot, fold), whatever is drawn before or after it and on any machine:

1. The stream `named_stream("few-shot", seed, way, shot, fold)` gives all that follows, in this order.
2. It permutes the forty labels. The first `way` of them that have at least `shot` training shapes and one
   test shape are the episode's classes; a class's place among these is its new label.
3. For each class in turn it permutes the class's training shapes, then its test shapes, each given in the
   order of its split's list; the first `shot`, and the first 20 (or all, where there are fewer), are taken.
4. It permutes the training shapes of all classes together, then the test shapes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.modelnet40 import CLASSES
from pointlora_cli.datasets.seeding import named_stream
from pointlora_cli.errors import DataError

QUERIES = 20
"""Test shapes of each class, as in the published episodes."""

Labels = NDArray[np.int64]


class DrawnEpisode(NamedTuple):
    """Which shapes of ModelNet40 make up an episode."""

    classes: tuple[int, ...]  # ModelNet40's label of each new one
    train: Labels  # (n,) places in the training split
    train_labels: Labels  # (n,) new labels
    test: Labels  # (m,) places in the test split
    test_labels: Labels  # (m,) new labels
    notices: tuple[str, ...]


def draw_episode(
    train_labels: Labels, test_labels: Labels, *, seed: int, way: int, shot: int, fold: int
) -> DrawnEpisode:
    """Draw an episode from the labels of ModelNet40's two splits, (n,) and (m,).

    Raises:
        DataError: fewer than `way` classes have enough shapes.
    """
    stream = named_stream("few-shot", seed, way, shot, fold)
    have_train = np.bincount(train_labels, minlength=len(CLASSES))
    have_test = np.bincount(test_labels, minlength=len(CLASSES))
    order = [int(label) for label in stream.permutation(len(CLASSES))]
    candidates = [label for label in order if have_train[label] >= shot and have_test[label] >= 1]
    if len(candidates) < way:
        raise DataError(
            f"ModelNet40: {len(candidates)} classes have {shot} training shapes and a test shape; an episode of "
            f"{way} classes needs {way}",
            remedy="Set data.way or data.shot lower, or give the whole ModelNet40.",
        )
    classes = tuple(candidates[:way])
    train, test = [], []
    for label in classes:
        train.append(stream.permutation(np.flatnonzero(train_labels == label))[:shot])
        test.append(stream.permutation(np.flatnonzero(test_labels == label))[:QUERIES])
    few = [f"{CLASSES[label]} ({have_test[label]})" for label in classes if have_test[label] < QUERIES]
    notices = (f"classes with fewer than {QUERIES} test shapes, all taken: {', '.join(few)}",) if few else ()
    return DrawnEpisode(classes, *_mixed(train, stream), *_mixed(test, stream), notices)


def _mixed(members: list[Labels], stream: np.random.RandomState) -> tuple[Labels, Labels]:
    """The members of all classes and their new labels, in one random order."""
    labels = np.repeat(np.arange(len(members)), [len(own) for own in members])
    order = stream.permutation(len(labels))
    return np.concatenate(members)[order].astype(np.int64), labels[order].astype(np.int64)
