"""ShapeNetPart (SIGGRAPH Asia 2016): the published tree of text files, converted once."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.catalog.settings import current_settings
from pointlora_cli.datasets.compact import load_or_build
from pointlora_cli.datasets.labelled_text import LabelledFile, read_labelled
from pointlora_cli.datasets.part_segmentation import PartClouds, PartSegmentationData, part_name
from pointlora_cli.datasets.progress import DataListener, reporter, unheard
from pointlora_cli.datasets.shapenetpart_tree import PARTS, SPLITS, Tree, find_tree, read_tree
from pointlora_cli.datasets.workers import map_in_workers
from pointlora_cli.specs.data import ShapeNetPartData

PUBLISHED_COUNTS = (12_137, 1_870, 2_874)
"""Shapes of the published lists, in the order of the splits."""

_VERSION = 1  # of the conversion: another one makes other arrays of the same files


def require_shapenetpart(spec: ShapeNetPartData) -> None:
    """Raise what `load_shapenetpart` would raise for a missing tree, without reading any of it.

    Raises:
        DataError: the category file or a list is missing, and how to get it.
    """
    find_tree(spec.root)


def load_shapenetpart(spec: ShapeNetPartData, listen: DataListener = unheard) -> PartSegmentationData:
    """Read all clouds, with all their points, each in the unit sphere.

    The text files are converted once, in several processes, and kept under the cache's folder; as long as
    no file changes its name, size or time, the next load reads what was kept.

    Raises:
        DataError: a file is missing or damaged.
        IntegrityError: a list names a path outside the tree.
    """
    tree = read_tree(find_tree(spec.root))
    key: dict[str, str | int] = {"tree": tree.identity, "version": _VERSION}
    converted = current_settings().home / "converted"
    arrays, notices = load_or_build(converted, "shapenetpart", key, lambda: _convert(tree, listen))
    category = np.array([shape.category for shape in tree.shapes], dtype=np.int64)
    clouds = PartClouds(arrays["points"], arrays["parts"], arrays["offsets"], category)
    train, val, test = tree.counts
    if tree.counts != PUBLISHED_COUNTS:
        listed, published = (
            ", ".join(f"{split} {count:,}" for split, count in zip(SPLITS, counts, strict=True))
            for counts in (tree.counts, PUBLISHED_COUNTS)
        )
        notices += (f"these lists of ShapeNetPart hold {listed} shapes; the published ones hold {published}",)
    return PartSegmentationData(
        tree.categories,
        tuple(PARTS[name] for name in tree.categories),
        trainval=clouds.between(0, train + val),
        train_count=train,
        test=clouds.between(train + val, train + val + test),
        notices=notices,
        part_names=tuple(part_name(name, label) for name in PARTS for label in PARTS[name]),
    )


def _convert(tree: Tree, listen: DataListener) -> dict[str, NDArray[Any]]:
    """Points, parts and offsets of all shapes."""
    allowed = [PARTS[name] for name in tree.categories]
    files = [
        LabelledFile(str(path), allowed[category].start, allowed[category].stop)
        for category, path in tree.shapes
    ]
    points, parts, report = [], [], reporter("converting ShapeNetPart", len(files), listen)
    with closing(map_in_workers(read_labelled, files)) as clouds:
        for done, (own_points, own_parts) in enumerate(clouds, start=1):
            points.append(own_points)
            parts.append(own_parts)
            report(done)
    offsets = np.zeros(len(files) + 1, dtype=np.int64)
    np.cumsum([len(own_parts) for own_parts in parts], out=offsets[1:])
    return {"points": np.concatenate(points), "parts": np.concatenate(parts), "offsets": offsets}
