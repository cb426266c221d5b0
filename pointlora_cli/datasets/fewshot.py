"""ModelNet40 few-shot: one episode, published or drawn by us."""

from __future__ import annotations

from collections.abc import Sequence

from pointlora_cli.datasets.base import SPARE, ClassificationData, LabelledClouds
from pointlora_cli.datasets.episodes import DrawnEpisode, draw_episode
from pointlora_cli.datasets.fewshot_files import Episode, find_episode, read_episode
from pointlora_cli.datasets.modelnet40 import (
    CLASSES,
    Stored,
    load_stored,
    normalized,
    require_modelnet40,
)
from pointlora_cli.datasets.progress import DataListener, unheard
from pointlora_cli.datasets.thinning import thin
from pointlora_cli.specs.data import FewShotData, ModelNet40Data


def require_fewshot(spec: FewShotData) -> None:
    """Raise what `load_fewshot` would raise for missing files, without reading any.

    Raises:
        DataError: a file is missing, and how to get it.
    """
    if spec.episodes == "published":
        find_episode(spec)
    else:
        require_modelnet40(ModelNet40Data(root=spec.root))


def fewshot_classes(spec: FewShotData) -> tuple[str, ...]:
    """The names of the episode's outputs; they are known from the labels in the files alone.

    Raises:
        DataError: a file is missing or damaged, or ModelNet40 has too few shapes.
        IntegrityError: a file asks for objects that could run code.
    """
    if spec.episodes == "published":
        return _names(read_episode(find_episode(spec), spec.way, spec.shot).classes, spec)
    _, drawn = _drawn(spec, unheard)
    return _names(drawn.classes, spec)


def load_fewshot(spec: FewShotData, listen: DataListener = unheard) -> ClassificationData:
    """Read or draw an episode: training clouds with all 8,192 points, test clouds with `spec.points`.

    Raises:
        DataError: a file is missing or damaged, or ModelNet40 has too few shapes.
        IntegrityError: a file asks for objects that could run code.
    """
    if spec.episodes == "published":
        episode = read_episode(find_episode(spec), spec.way, spec.shot)
    else:
        episode = _from_modelnet40(*_drawn(spec, listen))
    test = thin(normalized(episode.test.points), spec.points, skip_near_origin=spec.skip_near_origin)
    return ClassificationData(
        _names(episode.classes, spec),
        LabelledClouds(normalized(episode.train.points), episode.train.labels),
        LabelledClouds(test, episode.test.labels),
        episode.notices,
    )


def _drawn(spec: FewShotData, listen: DataListener) -> tuple[Stored, DrawnEpisode]:
    stored = load_stored(spec.root, "auto", listen)
    drawn = draw_episode(
        stored.train_labels,
        stored.test_labels,
        seed=spec.episode_seed,
        way=spec.way,
        shot=spec.shot,
        fold=spec.fold,
    )
    return stored, drawn


def _from_modelnet40(stored: Stored, drawn: DrawnEpisode) -> Episode:
    return Episode(
        drawn.classes,
        LabelledClouds(stored.train_points[drawn.train], drawn.train_labels),
        LabelledClouds(stored.test_points[drawn.test], drawn.test_labels),
        stored.notices + drawn.notices,
    )


def _names(classes: Sequence[int], spec: FewShotData) -> tuple[str, ...]:
    """The names of the classes, then those of outputs that the released code keeps and no cloud has."""
    spare = range(spec.way + 1, (spec.outputs or spec.way) + 1)
    return (*(CLASSES[label] for label in classes), *(f"{SPARE}{number}" for number in spare))
