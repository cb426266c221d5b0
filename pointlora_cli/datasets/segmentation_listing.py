"""How a folder of clouds with labels at their points is laid out: which clouds are of which category."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pointlora_cli.clouds.labelled import has_place_for_labels
from pointlora_cli.datasets.folder_listing import Listing, Splits, clouds_in, list_by_folder, list_splits
from pointlora_cli.errors import DataError

ONLY_CATEGORY = "object"
"""The category of clouds that lie in no folder of a category."""

REMEDY = (
    "Arrange the clouds as root/<category>/<file>, or root/<file> where there is one category, "
    "with train/ and test/ above them if you have a split."
)
_LISTED = 8  # names in one message


def list_labelled_splits(root: str) -> Splits:
    """List a folder, or its train/ and test/, by category.

    Raises:
        DataError: it is missing, cannot be listed, or is laid out otherwise.
    """
    return list_splits(Path(root).expanduser(), _list_clouds, remedy=REMEDY)


def _list_clouds(root: Path) -> Listing:
    """The clouds of each category; those that lie in `root` itself are the only one."""
    listing = list_by_folder(root, has_place_for_labels)
    try:
        clouds, others = clouds_in(root, has_place_for_labels)
    except OSError as error:
        raise DataError(f"{root}: cannot be listed: {error.strerror}") from error
    if clouds and listing.files:
        raise DataError(
            f"{root}: holds {len(clouds):,} clouds beside folders of clouds ({listed(list(listing.files))}), "
            "so it is not clear what the categories are",
            remedy=REMEDY,
        )
    return listing._replace(files={ONLY_CATEGORY: clouds}, ignored=others) if clouds else listing


def category_names(splits: Splits) -> tuple[str, ...]:
    """All categories, sorted.

    Raises:
        DataError: a part of the folder has no clouds, or training never sees a category of test/.
    """
    for listing in splits.listings:
        if not listing.files:
            found = f"{listing.root}: no point cloud in it or in its folders; meshes have no labels at points"
            raise DataError("; ".join([found, *listing.notices]), remedy=REMEDY)
    if splits.train is not None and splits.test is not None:
        unseen = sorted(set(splits.test.files) - set(splits.train.files))
        if unseen:
            raise DataError(
                f"{splits.test.root}: training never sees its categories {', '.join(unseen)} "
                f"(train/ has {', '.join(splits.train.files)})",
                remedy=REMEDY,
            )
    return tuple(sorted({name for listing in splits.listings for name in listing.files}))


def require_known(listing: Listing, known: Sequence[str]) -> None:
    """Raise for categories that a model does not know.

    Raises:
        DataError: there are such.
    """
    unknown = sorted(set(listing.files) - set(known))
    if not unknown:
        return
    if unknown == [ONLY_CATEGORY] and not (listing.root / ONLY_CATEGORY).is_dir():
        raise DataError(
            f"{listing.root}: its clouds lie in no folder of a category, so it is not known which they are of",
            remedy=f"Put them into folders named after the model's categories: {listed(known)}.",
        )
    remedy = f"The model knows {', '.join(known)}."
    if tuple(known) == (ONLY_CATEGORY,):
        remedy = (
            "The model was trained on clouds without folders of categories: give a folder of clouds alone."
        )
    raise DataError(
        f"{listing.root}: holds categories that the model does not know: {', '.join(unknown)}", remedy=remedy
    )


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
