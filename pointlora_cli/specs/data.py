"""What a run learns from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pointlora_cli.specs.base import Spec

Normalization = Literal["none", "center", "unit-sphere"]


class DataSpec(Spec):
    """What every data set has: the size of its clouds and how they are centred."""

    points: int = Field(default=1024, ge=8, le=65536, description="Points of a cloud as the model sees it.")
    normalize: Normalization = Field(
        default="unit-sphere",
        description="none: as stored; center: mean at the origin; unit-sphere: centred, largest norm 1.",
    )

    @property
    def drawn_from(self) -> int:
        """The farthest points of which a training step draws `points` at random."""
        return self.points

    @property
    def skips_near_origin(self) -> bool:
        """Whether sampling leaves out points near the origin."""
        return False


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
    collection: Literal["objects", "pretraining"] = Field(
        default="objects",
        description="objects: ten classes to fine-tune on; pretraining: many others, of other kinds.",
    )
    ray_noise: float = Field(
        default=0.0,
        ge=0,
        le=0.2,
        description="Noise along a scanner's rays, as a share of the object's radius.",
    )
    falloff: float = Field(
        default=0.0,
        ge=0,
        le=4,
        description="Power of the distance to the scanner with which the density falls; 2: as a turning laser's.",
    )
    holes: float = Field(
        default=0.0, ge=0, le=0.5, description="Share of the surface that is lost in round holes."
    )
    fragments: float = Field(
        default=0.0, ge=0, le=0.3, description="Share of the points that are a piece of another object."
    )
    outliers: float = Field(default=0.0, ge=0, le=0.1, description="Share of the points that lie anywhere.")
    distinct: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Least share of different points; the rest repeat them, as where a file has few.",
    )
    airborne: float = Field(
        default=0.0, ge=0, le=1, description="Chance of a cloud to be scanned from above in parallel lines."
    )
    varied: bool = Field(
        default=False,
        description="Each cloud draws how much noise, occlusion, clutter, ray_noise, falloff, holes, fragments and "
        "outliers it has, from none to what is given.",
    )


class FolderData(DataSpec):
    """A folder of clouds: root/<class>/<file>, or root/train|test/<class>/<file>."""

    source: Literal["folder"] = "folder"
    root: str = Field(description="The folder.")
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="Share of each class held out, where there is no test/ folder."
    )
    split_seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of that split.")


class ScanObjectNNData(DataSpec):
    """ScanObjectNN (ICCV 2019), read from its published HDF5 files."""

    source: Literal["scanobjectnn"] = "scanobjectnn"
    root: str | None = Field(
        default=None,
        description="The folder that holds main_split/; null: what `pointlora download` fetched.",
    )
    variant: Literal["obj-bg", "obj-only", "pb-t50-rs"] = Field(
        default="pb-t50-rs", description="Objects with background, objects only, or the hardest variant."
    )
    points: int = Field(
        default=2048,
        ge=8,
        le=2048,
        description="Points of a cloud, of the 2,048 stored. A training step draws them at random from the farthest "
        "1,200 for 1,024 points, as published, else from all.",
    )
    normalize: Literal["none"] = Field(default="none", description="As stored: the published protocol.")
    replace_near_origin: bool = Field(
        default=False,
        description="Replace points with squared norm <= 1e-3 by copies of another, as the official loop "
        "does: it draws its 2,048 of 2,048 points with a sampler that never chooses them.",
    )

    @property
    def drawn_from(self) -> int:
        """As published; all that are stored, where it is not."""
        return min(2048, _CANDIDATES.get(self.points, 2048))


class _ModelNetSpec(DataSpec):
    """What ModelNet40 and its few-shot episodes have in common: 8,192 stored points of each shape."""

    points: int = Field(default=1024, ge=8, le=8192, description="Points of a cloud, of the 8,192 stored.")
    normalize: Literal["unit-sphere"] = Field(
        default="unit-sphere", description="Centred, largest norm 1: the published protocol."
    )
    candidates: int | None = Field(
        default=None,
        ge=8,
        le=8192,
        description="A training step takes this many farthest points and draws data.points of them at random; "
        "null: as published, 1,200 for 1,024 points, 2,400 for 2,048, 4,800 for 4,096, else all.",
    )
    skip_near_origin: bool = Field(
        default=False,
        description="Never take a point with squared norm <= 1e-3, as the official CUDA sampler does.",
    )

    @property
    def skips_near_origin(self) -> bool:
        """As the option says."""
        return self.skip_near_origin

    @property
    def drawn_from(self) -> int:
        """As the option says, else as published."""
        return self.candidates or _CANDIDATES.get(self.points, 8192)

    @model_validator(mode="after")
    def _candidates_fit(self) -> Self:
        if self.drawn_from < self.points:
            raise ValueError(f"candidates ({self.drawn_from}) is less than points ({self.points})")
        return self


_CANDIDATES = {1024: 1200, 2048: 2400, 4096: 4800}


class ModelNet40Data(_ModelNetSpec):
    """ModelNet40: the processed files of 8,192 points, or the raw tree of 10,000, converted once."""

    source: Literal["modelnet40"] = "modelnet40"
    root: str | None = Field(
        default=None,
        description="The folder that holds modelnet40_{train,test}_8192pts_fps.dat or "
        "modelnet40_normal_resampled/; null: what `pointlora download` fetched.",
    )
    files: Literal["auto", "processed", "raw"] = Field(
        default="auto",
        description="Which of the two to read; auto: the processed files where they are there.",
    )


class FewShotData(_ModelNetSpec):
    """One few-shot episode of ModelNet40: `way` classes, `shot` training clouds of each, 20 test clouds."""

    source: Literal["modelnet40-fewshot"] = "modelnet40-fewshot"
    episodes: Literal["published", "generated"] = Field(
        default="published",
        description="published: the field's files; generated: drawn from ModelNet40 by data.episode_seed.",
    )
    root: str | None = Field(
        default=None,
        description="published: the folder that holds 5way_10shot/ and so on; generated: that of ModelNet40; "
        "null: what `pointlora download` fetched.",
    )
    way: int = Field(default=5, ge=2, le=40, description="Classes; the published files have 5 and 10.")
    shot: int = Field(
        default=10, ge=1, le=60, description="Training clouds of a class; the published files have 10 and 20."
    )
    fold: int = Field(default=0, ge=0, le=9999, description="Which episode; the published files have 0 to 9.")
    episode_seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of generated episodes.")
    outputs: int | None = Field(
        default=None,
        ge=2,
        le=1000,
        description="Outputs of the head, at least `way`; null: `way`. The released code keeps ModelNet40's 40.",
    )

    @model_validator(mode="after")
    def _episode_fits(self) -> Self:
        if self.outputs is not None and self.outputs < self.way:
            raise ValueError(f"outputs ({self.outputs}) is less than way ({self.way})")
        if self.episodes == "published" and (
            self.way not in (5, 10) or self.shot not in (10, 20) or self.fold > 9
        ):
            raise ValueError(
                f"there are no published episodes of way {self.way}, shot {self.shot}, fold {self.fold}: they have "
                "way 5 or 10, shot 10 or 20, fold 0 to 9 (for others, set episodes to 'generated')"
            )
        return self


class _PartSpec(DataSpec):
    """What data sets with a part label at each point have in common: clouds of any size, drawn from anew."""

    points: int = Field(
        default=2048,
        ge=8,
        le=65536,
        description="Points of a cloud as the model sees it; a training step draws them with replacement from all.",
    )
    test_sampling: Literal["fixed", "with-replacement"] = Field(
        default="fixed",
        description="Points of an evaluation. fixed: without replacement; with-replacement: one draw by "
        "data.test_seed, the same for all evaluations of a run (the released loops draw anew in each).",
    )
    test_seed: int = Field(
        default=0, ge=0, lt=2**32, description="Seed of drawing test points with replacement."
    )


class ShapeNetPartData(_PartSpec):
    """ShapeNetPart: clouds of 16 categories whose points carry one of 50 part labels."""

    source: Literal["shapenetpart"] = "shapenetpart"
    root: str | None = Field(
        default=None,
        description="The folder that holds synsetoffset2category.txt; null: what `pointlora download` fetched.",
    )
    normalize: Literal["unit-sphere"] = Field(
        default="unit-sphere",
        description="Centred and scaled by all points of the file: the published protocol.",
    )


class SegmentationFolderData(_PartSpec):
    """A folder of clouds with a label at each point: root/<category>/<file>, or root/train|test/<category>/<file>.

    Without folders of categories, all clouds are of one category.
    """

    source: Literal["segmentation-folder"] = "segmentation-folder"
    root: str = Field(description="The folder.")
    label: str = Field(
        default="auto",
        min_length=1,
        description="Name of the attribute or column that holds the points' labels; auto: label, part, class and the "
        "like, or of 4 or 7 columns without names the last; last: the last column.",
    )
    test_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of each category held out, where there is no test/ folder.",
    )
    split_seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of that split.")


class UnlabelledFolderData(DataSpec):
    """A folder of clouds or meshes to pre-train on: at any depth, with train/ and test/ above them or without."""

    source: Literal["unlabelled-folder"] = "unlabelled-folder"
    root: str = Field(description="The folder.")
    test_fraction: float = Field(
        default=0.05, gt=0, lt=1, description="Share held out, where there is no test/ folder."
    )
    split_seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of that split.")


class ShapeNet55Data(DataSpec):
    """ShapeNet-55: 52,470 shapes of 8,192 points, in its published files, to pre-train on."""

    source: Literal["shapenet55"] = "shapenet55"
    root: str | None = Field(
        default=None,
        description="The folder that holds shapenet_pc/ and ShapeNet-55/ with its two lists; it is not among the "
        "downloads.",
    )
    points: int = Field(default=1024, ge=8, le=8192, description="Points of a cloud, of the 8,192 stored.")
    normalize: Literal["unit-sphere"] = Field(
        default="unit-sphere", description="Centred, largest norm 1: the published protocol."
    )


AnyClassificationData = ShapesData | FolderData | ScanObjectNNData | ModelNet40Data | FewShotData
AnyPartData = ShapeNetPartData | SegmentationFolderData
AnyUnlabelledData = UnlabelledFolderData | ShapeNet55Data
AnyData = Annotated[AnyClassificationData | AnyPartData | AnyUnlabelledData, Field(discriminator="source")]
