"""Each method's own settings on each data set, as its source has them.

A recipe gives the method's options, and what else of the training its source fixes: drop path, learning
rate, batch size, patches. It leaves the augmentation as it is, though PPT and IDPT released theirs with
rotations on ScanObjectNN, for that alone moves accuracy by points: methods are compared under one
augmentation. Where a source does not depart from what all share on a published data set, that holds: a rate of
5e-4 and batches of 32 (ShapeNetPart: 2e-4 and 16; PointGPT has its own), and drop path, loss and network of the
backbone's own fine-tuning. On other data all but the method stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pointlora_cli.errors import UsageError
from pointlora_cli.specs.compatibility import BACKBONES, METHODS, refusal
from pointlora_cli.specs.data import AnyData
from pointlora_cli.specs.merging import merge
from pointlora_cli.specs.method import (
    AnyMethod,
    DAPTMethod,
    FullMethod,
    IDPTMethod,
    LinearMethod,
    MLP3Method,
    PointGSTMethod,
    PointPEFTMethod,
    PPTMethod,
)
from pointlora_cli.specs.needs import Task
from pointlora_cli.specs.pointlora import PointLoRAMethod
from pointlora_cli.specs.problems import SpecError, explain
from pointlora_cli.specs.protocol import PUBLISHED, data_key
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.wording import did_you_mean, names, near_match, shown


@dataclass(frozen=True)
class Recipe:
    """A method's own settings on one data set; None and empty: its source does not say, or all of them."""

    method: AnyMethod
    data: str
    """A source, or a source and its variant, as `data_key` writes them."""
    source: str
    backbones: tuple[str, ...] = ()
    points: int | None = None
    drop_path: float | None = None
    lr: float | None = None
    head_lr_scale: float | None = None
    decay_head_biases: bool | None = None
    batch_size: int | None = None
    label_smoothing: float | None = None
    patches: tuple[int, int] | None = None
    """Centers and neighbors of the backbone's own grouping."""

    def fits(self, method: str, backbone: str, data: AnyData) -> bool:
        """Whether it is a recipe of the method for this backbone and these data."""
        return (
            self.method.name == method
            and self.data in (data.source, data_key(data))
            and (not self.backbones or backbone in self.backbones)
            and self.points in (None, data.points)
        )

    def values(self) -> dict[str, Any]:
        """What it says, as part of a run spec."""
        said: dict[str, dict[str, Any]] = {
            "method": {**self.method.model_dump(mode="json", exclude_unset=True), "name": self.method.name},
            "backbone": {"drop_path": self.drop_path},
            "optimizer": {
                "lr": self.lr,
                "head_lr_scale": self.head_lr_scale,
                "decay_head_biases": self.decay_head_biases,
            },
            "train": {"batch_size": self.batch_size, "label_smoothing": self.label_smoothing},
        }
        if self.patches is not None:
            said["tokenizer"] = dict(zip(("centers", "neighbors"), self.patches, strict=True))
        given = {
            section: {key: value for key, value in options.items() if value is not None}
            for section, options in said.items()
        }
        return {section: options for section, options in given.items() if options}


_DAPT = "the released configurations of DAPT"
_PPT = "the released configurations of PPT"
_IDPT = "the released configurations of IDPT"
_GST = "the released configurations of PointGST"
_BERT = "the released configurations of Point-BERT"
_BERT_SMOOTHING = 0.2 * 40 / 39
"""Theirs gives 0.2 to the 39 wrong classes alone, also on ScanObjectNN; PyTorch's gives it to all 40."""
_RECON = "the released configurations of ReCon"
_RECON_RATES: dict[str, Any] = {"head_lr_scale": 10.0, "decay_head_biases": True}

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        PointLoRAMethod(),
        "scanobjectnn",
        "PointLoRA's released configuration for PB_T50_RS, the only one",
        drop_path=0.3,
    ),
    Recipe(DAPTMethod(dropout=0.2), "scanobjectnn/pb-t50-rs", _DAPT, drop_path=0.3),
    Recipe(DAPTMethod(dropout=0.5), "scanobjectnn/obj-bg", _DAPT, drop_path=0.3),
    Recipe(DAPTMethod(dropout=0.0, patch_pooling="none"), "scanobjectnn/obj-only", _DAPT, drop_path=0.1),
    Recipe(DAPTMethod(rank=72, dropout=0.0, prompt_pooling="none"), "modelnet40", _DAPT, drop_path=0.1),
    Recipe(PPTMethod(), "scanobjectnn", _PPT, drop_path=0.3),
    Recipe(PPTMethod(), "modelnet40", _PPT, points=1024, drop_path=0.3, lr=1e-4),
    Recipe(
        PPTMethod(centers=64, neighbors=32),
        "modelnet40",
        _PPT,
        backbones=("point-mae",),
        points=8192,
        drop_path=0.3,
        lr=1e-4,
        batch_size=22,
    ),
    Recipe(
        PPTMethod(),
        "modelnet40",
        _PPT,
        backbones=("recon-plain",),
        points=8192,
        drop_path=0.3,
        lr=1e-4,
        batch_size=22,
    ),
    Recipe(
        PPTMethod(),
        "modelnet40-fewshot",
        _PPT,
        backbones=("recon-plain",),
        drop_path=0.3,
        batch_size=4,
        patches=(32, 64),
    ),
    Recipe(PPTMethod(width=128), "shapenetpart", f"{_PPT} and its README", lr=2e-4),
    Recipe(IDPTMethod(), "scanobjectnn", _IDPT, drop_path=0.1),
    Recipe(IDPTMethod(), "modelnet40", _IDPT, drop_path=0.1),
    Recipe(IDPTMethod(), "modelnet40-fewshot", _IDPT, drop_path=0.1),
    Recipe(IDPTMethod(), "shapenetpart", _IDPT, lr=2e-4),
    Recipe(
        PointPEFTMethod(),
        "scanobjectnn",
        "Point-PEFT's released configuration for PB_T50_RS, the only one",
        drop_path=0.1,
    ),
    Recipe(
        PointGSTMethod(),
        "scanobjectnn",
        _GST,
        backbones=("point-gpt",),
        drop_path=0.2,
        lr=1e-4,
        batch_size=64,
    ),
    Recipe(
        PointGSTMethod(),
        "modelnet40",
        _GST,
        backbones=("point-gpt",),
        drop_path=0.2,
        lr=1e-4,
        batch_size=128,
    ),
    Recipe(PointGSTMethod(), "scanobjectnn", _GST, drop_path=0.1),
    Recipe(PointGSTMethod(), "modelnet40", _GST, drop_path=0.1),
    Recipe(
        FullMethod(), "scanobjectnn", _RECON, backbones=("recon",), drop_path=0.2, lr=2e-5, **_RECON_RATES
    ),
    Recipe(FullMethod(), "modelnet40", _RECON, backbones=("recon",), drop_path=0.2, lr=1e-5, **_RECON_RATES),
    Recipe(FullMethod(), "modelnet40-fewshot", _RECON, backbones=("recon",), drop_path=0.1, **_RECON_RATES),
    # The head's convolutions alone in the released code.
    Recipe(FullMethod(), "shapenetpart", _RECON, backbones=("recon",), lr=1e-4, head_lr_scale=10.0),
    *(
        Recipe(probe, data, _RECON, backbones=("recon",), points=points, lr=lr, **_RECON_RATES)
        for probe in (LinearMethod(), MLP3Method())
        for data, points, lr in (
            ("scanobjectnn", None, 1e-4),
            ("modelnet40", 8192, 5e-5),
            ("modelnet40", None, 1e-4),
        )
    ),
    *(
        Recipe(FullMethod(), data, _BERT, backbones=("point-bert",), label_smoothing=_BERT_SMOOTHING)
        for data in ("scanobjectnn", "modelnet40", "modelnet40-fewshot")
    ),
)
"""All recipes; the first that fits counts."""

_BATCHES_OF_POINT_GPT = {"scanobjectnn": 64, "modelnet40": 128}


def recipe_for(method: str, backbone: str, data: AnyData) -> Recipe | None:
    """The recipe of a method, or None where its source has none."""
    return next((recipe for recipe in RECIPES if recipe.fits(method, backbone, data)), None)


def recipe_values(method: str, backbone: str, data: AnyData) -> dict[str, Any]:
    """A method in its own settings, as part of a run spec."""
    recipe = recipe_for(method, backbone, data)
    own = recipe.values() if recipe is not None else {"method": {"name": method}}
    return merge(_common(backbone, data), own) if data.source in PUBLISHED else own


def _common(backbone: str, data: AnyData) -> dict[str, Any]:
    """What all methods share on a published data set, where their own sources do not depart from it."""
    lr, batch_size = (2e-4, 16) if data.source == "shapenetpart" else (5e-4, 32)
    if backbone == "point-gpt":
        lr, batch_size = 1e-4, _BATCHES_OF_POINT_GPT.get(data.source, batch_size)
    training: dict[str, Any] = {
        "backbone": {"drop_path": BACKBONES[backbone].model_fields["drop_path"].default},
        "optimizer": {"lr": lr, "head_lr_scale": 1.0, "decay_head_biases": False},
        "train": {"batch_size": batch_size, "label_smoothing": 0.0},
    }
    if backbone == "point-m2ae" and data.source == "modelnet40":
        training["backbone"] |= {"neighbors": [16, 8, 8], "pooling": "sum"}
        training["train"]["label_smoothing"] = 0.3
    return training


def require_method(name: str) -> None:
    """Refuse the name of a method that there is not.

    Raises:
        UsageError: there is none; the error lists the methods and the nearest name.
    """
    if name not in METHODS:
        meant = did_you_mean(near_match(name, METHODS))
        raise UsageError(
            f"there is no method {shown(name)} (methods: {names(METHODS)})" + (f"; {meant}" if meant else "")
        )


def with_method(spec: RunSpec, method: str) -> RunSpec:
    """The run with another method in its own settings; unchanged, where it has that method already.

    Raises:
        UsageError: there is no such method, it does not run on the backbone for the task, or its settings do
            not fit the rest of the run.
    """
    require_method(method)
    if spec.method.name == method:
        return spec
    task: Task = spec.task
    if reason := refusal(spec.backbone.name, method, task):
        raise UsageError(reason)
    rest = spec.model_dump(mode="json", exclude={"method"})
    tree = merge(rest, recipe_values(method, spec.backbone.name, spec.data))
    try:
        return RunSpec.model_validate(tree)
    except ValidationError as error:
        raise SpecError(explain(error), f"the run spec with method {method}") from error
