"""What a run learns from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pointlora_cli.specs.base import Spec

Normalization = Literal["none", "center", "unit-sphere"]


class DataSpec(Spec):
    """What every data set has: the size of its clouds and how they are centred."""

    points: int = Field(default=1024, ge=8, le=65536, description="Points of a cloud as the model sees it.")
    normalize: Normalization = Field(
        default="unit-sphere",
        description="none: as stored; center: mean at the origin; unit-sphere: centred, largest norm 1.",
    )


class ShapesData(DataSpec):
    """The built-in data set: parametric objects generated in seconds, no network needed."""

    source: Literal["shapes"] = "shapes"
    normalize: Literal["unit-sphere"] = Field(
        default="unit-sphere", description="The generated objects fill the unit sphere."
    )
    clouds_per_class: int = Field(default=100, ge=1, le=100_000, description="Training clouds of each class.")
    test_clouds_per_class: int = Field(default=30, ge=1, le=100_000, description="Test clouds of each class.")
    rotate: Literal["none", "up", "any"] = Field(
        default="up", description="Pose: none, about the up axis, any."
    )
    tilt_degrees: float = Field(default=5.0, ge=0, le=90, description="Largest random tilt of the up axis.")
    noise: float = Field(default=0.01, ge=0, le=0.2, description="Jitter as a share of the object's radius.")
    occlusion: float = Field(
        default=0.0, ge=0, le=0.9, description="Share of the surface that the scan misses."
    )
    clutter: float = Field(default=0.0, ge=0, le=0.5, description="Share of the points that are background.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of the generated objects.")


class FolderData(DataSpec):
    """A folder of clouds: root/<class>/<file>, or root/train|test/<class>/<file>."""

    source: Literal["folder"] = "folder"
    root: str = Field(description="The folder.")
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="Share of each class held out, where there is no test/ folder."
    )
    split_seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of that split.")


class ScanObjectNNData(DataSpec):
    """ScanObjectNN, read from its published HDF5 files."""

    source: Literal["scanobjectnn"] = "scanobjectnn"
    root: str = Field(default="data/ScanObjectNN", description="The folder that holds main_split/.")
    variant: Literal["obj-bg", "obj-only", "pb-t50-rs"] = Field(
        default="pb-t50-rs", description="Objects with background, objects only, or the hardest variant."
    )
    points: int = Field(default=2048, ge=8, le=2048, description="Points of a cloud, of the 2,048 stored.")
    normalize: Literal["none"] = Field(default="none", description="As stored: the published protocol.")
    replace_near_origin: bool = Field(
        default=False,
        description="Replace points with squared norm <= 1e-3 by copies of another, as the official loop "
        "does: it draws its 2,048 of 2,048 points with a sampler that never chooses them.",
    )


AnyData = Annotated[ShapesData | FolderData | ScanObjectNNData, Field(discriminator="source")]
