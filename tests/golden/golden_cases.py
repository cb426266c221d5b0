"""Finding golden cases, and building our model with their weights."""

import json
import os
import zlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pointlora_cli.models.build import Outputs, build_classifier, build_model
from pointlora_cli.models.official import load_official_backbone, load_official_model, official_names
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.tokens import Scale
from pointlora_cli.specs.run import RunSpec

FOLDER = Path(os.environ.get("POINTLORA_GOLDEN_DIR") or Path(__file__).parent)


METHODS = {
    ("PointLoRA", "PointTransformer_PointLoRA"): lambda config: {
        "name": "pointlora",
        "variant": "released",
        "rank": config["gamma"],
        "alpha": config["lora_alpha"],
        "regularizer": {"weight": config["mask_loss_weight"]},
    },
    ("Point-MAE", "PointTransformer"): lambda config: {"name": "full"},
    ("ACT", "PointTransformer"): lambda config: {"name": "full"},
    ("Point-BERT", "PointTransformer"): lambda config: {"name": "full"},
    ("ReCon", "PointTransformer"): lambda config: {"name": "full"},
    ("Point-M2AE", "Point_M2AE_ModelNet40"): lambda config: {"name": "full"},
    ("Point-M2AE", "Point_M2AE_ScanObjectNN"): lambda config: {"name": "full"},
    ("DAPT", "PointTransformer_DAPT"): lambda config: {
        "name": "dapt",
        "rank": config["model"]["rank"],
        "dropout": config["model"]["drop_adapter_rate"],
        "prompt_pooling": config["model"]["prompt_token"],
        "patch_pooling": config["model"]["patch_token"],
    },
    ("ICCV23-IDPT", "PointTransformer"): lambda config: {"name": "idpt"},
    ("PPT", "PointTransformer"): lambda config: {
        "name": "ppt",
        "centers": config["model"]["prompt_num_group"],
        "neighbors": config["model"]["prompt_group_size"],
    },
    ("PointGST", "PointTransformer_PGST"): lambda config: {
        "name": "pointgst",
        "rank": config["model"]["rank"],
        "local": config["model"]["local"],
    },
    ("Point-PEFT", "PointTransformer_best"): lambda config: {
        "name": "point-peft",
        "gather": "released",
        "tokens": config["num_prompt_tokens"],
        "prompted_layers": config["prompted_layers"],
        "width": config["model"]["adapter_config"]["adapter_dim"],
        "dropout": config["model"]["adapter_config"]["adapter_drop_path_rate"],
        "prior": {
            "centers": config["prior_model"]["num_group"],
            "neighbors": config["prior_model"]["group_size"],
        },
    },
}
"""(official repository, official model) -> our method."""

SEGMENTATION = {
    "trans_dim": 384,
    "depth": 12,
    "num_heads": 6,
    "drop_path_rate": 0.1,
    "num_group": 128,
    "group_size": 32,
}
"""What the released segmentation networks, which have no configuration, have built in."""

BACKBONES = {"ACT": "act", "Point-BERT": "point-bert", "ReCon": "recon", "Point-M2AE": "point-m2ae"}
"""Official repository -> our backbone, where it is not Point-MAE."""


def plain_backbone(model, name):
    """Our spec sections of a backbone of one scale."""
    return {
        "backbone": {
            "name": name,
            "width": model.get("trans_dim") or model["embed_dim"],
            "depth": model["depth"],
            "heads": model["num_heads"],
            "drop_path": model["drop_path_rate"],
        },
        "tokenizer": {"centers": model["num_group"], "neighbors": model["group_size"]},
    }


def point_m2ae(model, name):
    """Our spec section of Point-M2AE."""
    return {
        "backbone": {
            "name": name,
            "widths": model["encoder_dims"],
            "depths": model["encoder_depths"],
            "heads": model["num_heads"],
            "groups": model["num_groups"],
            "neighbors": model["group_sizes"],
            "radii": model["local_radius"],
            "drop_path": model["drop_path_rate"],
            "pooling": "sum" if model["NAME"].endswith("ModelNet40") else "concat",
        }
    }


@dataclass(frozen=True)
class Case:
    """A pair of files."""

    path: Path  # of the json

    def __str__(self):
        return self.path.stem

    @cached_property
    def about(self):
        return json.loads(self.path.read_text())

    @cached_property
    def arrays(self):
        with np.load(self.path.with_suffix(".npz")) as file:
            return {name: file[name] for name in file}

    @property
    def is_training(self):
        return "step_log" in self.arrays

    @property
    def is_pretraining(self):
        return "rebuilt_points" in self.arrays

    @property
    def is_segmentation(self):
        return "cls_label" in self.arrays

    @property
    def points(self):
        return torch.from_numpy(self.arrays["points"])

    @property
    def labels(self):
        return torch.from_numpy(self.arrays["labels"]).long()

    def method(self):
        """The options of our method, or None where this version has no such model."""
        if self.is_segmentation:
            return {"name": "full"}
        config = self.about["config"]
        name, repository = config.get("model", {}).get("NAME"), self.about["official_repo"].partition(" ")[0]
        make = METHODS.get((repository.rpartition("/")[2], name))
        return make(config) if make else None

    def spec(self):
        """Our run spec of the case; the test is skipped where this version has no such model."""
        method = self.method()
        if method is None:
            pytest.skip(f"{self}: this version has no model of {self.about['official_repo']}")
        name = BACKBONES.get(self.about["official_repo"].rpartition("/")[2], "point-mae")
        sections = point_m2ae if name == "point-m2ae" else plain_backbone
        values = sections(SEGMENTATION if self.is_segmentation else self.about["config"]["model"], name)
        values["backbone"]["init"] = "random"
        values["task"] = "part-segmentation" if self.is_segmentation else "classification"
        source = "shapenetpart" if self.is_segmentation else "shapes"
        data = {"source": source, "points": self.about["num_points"]}
        return RunSpec.model_validate({**values, "data": data, "method": method})

    def scale(self):
        """The (finest) grouping of the cloud."""
        spec = self.spec()
        if spec.backbone.name == "point-m2ae":
            return Scale(spec.backbone.groups[0], spec.backbone.neighbors[0])
        return Scale(spec.tokenizer.centers, spec.tokenizer.neighbors)

    def predict(self, model):
        """What a pass gives."""
        if self.is_segmentation:
            return model(self.points, torch.from_numpy(self.arrays["cls_label"]).long())
        return model(self.points)

    def cross_entropy(self, logits):
        """The official loss: some smooth labels by eps / (n - 1) on each wrong class."""
        if self.is_segmentation:
            return F.cross_entropy(logits.flatten(0, 1), self.labels.flatten())
        smooth, classes = self.about["config"].get("model", {}).get("smooth", 0.0), logits.shape[-1]
        return F.cross_entropy(logits, self.labels, label_smoothing=smooth * classes / (classes - 1))

    def untouched_model(self):
        """Our model of the case, its weights not yet set."""
        spec, config = self.spec(), self.about["config"]
        classes = {**config, **config.get("model", {})}["cls_dim"]
        return build_model(spec, Outputs(classes, config.get("num_shape_classes", 0)))

    def model(self):
        """Our model with the case's weights, taken under their official names."""
        model = self.untouched_model()
        salt = self.about["salt"]
        weights = {key: recipe(key, shape, salt) for key, shape in self.about["state_dict"].items()}
        if "bank" in self.arrays:
            self._give_prior(model, weights)
        load_official_model(model, weights)
        if "basis_U" in self.arrays:
            self._give_bases(model.adaptation)
        return model

    def _give_prior(self, model, weights):
        """Let Point-PEFT have the case's prior, and the bank, which is a file beside the official weights."""
        prior = build_classifier(self.spec(), 2)
        shapes, salt = self.about["prior_state_dict"], self.about["salt"]
        own = {key: recipe(key, shape, salt) for key, shape in shapes.items()}
        layout, _ = load_official_backbone(prior, own, "the prior")
        assert layout == "pre-training"
        model.adaptation.start_from(prior.backbone)
        weights["bank"] = torch.from_numpy(self.arrays["bank"])
        model.adaptation.resize({"adaptation.bank": weights["bank"].shape})

    def _give_bases(self, adaptation):
        """Let PointGST take the case's bases for its own: their signs and scale are those of a machine."""
        own = adaptation.spectrum
        cloud = torch.from_numpy(self.arrays["basis_U"])
        groups = torch.from_numpy(self.arrays["basis_subU"]).unflatten(0, (len(cloud), -1))
        adaptation.spectrum = lambda centers: own(centers)._replace(cloud=cloud, groups=groups)

    def close(self, ours, name, *, scale_tolerance=None):
        """Assert that an array agrees: within the case's tolerance for logits, or relative to its largest value."""
        theirs, ours = self.arrays[name], ours.detach().double().numpy()
        tolerance = self.about["recommended_tolerance"]
        if scale_tolerance is None:
            atol, rtol = tolerance["logits_atol"], tolerance["logits_rtol"]
        else:
            atol, rtol = scale_tolerance * np.abs(theirs).max(), scale_tolerance
        np.testing.assert_allclose(ours, theirs, atol=atol, rtol=rtol, err_msg=f"{self}: {name}")


def patch_encoder(model):
    """The module that turns points into tokens."""
    return next(module for module in model.backbone.modules() if isinstance(module, PatchEncoder))


def gradient_norms(model):
    """Official name -> L2 norm of the gradient, of each trained parameter; None where it takes no part."""
    names = official_names(model)
    return {
        names[name]: None if parameter.grad is None else parameter.grad.norm().item()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def assert_gradient_norms(case, ours):
    """Every trained parameter is there, and every norm within the case's tolerance."""
    theirs, tolerance = case.about["grad_norm"], case.about["recommended_tolerance"]
    assert set(ours) == set(case.about["trainable"])
    for name, expected in theirs.items():
        if expected is None:
            assert not ours[name], f"{name} takes no part"
        else:
            limit = tolerance["grad_norm_atol"] + tolerance["grad_norm_rtol"] * expected
            assert abs(ours[name] - expected) <= limit, (
                f"{case}: gradient of {name}: {ours[name]} for {expected}"
            )


def recipe(key, shape, salt=0):
    """The tensor of a name: the first rule that fits gives its values."""
    return _recipe(key, tuple(shape), salt).clone()


@cache
def _recipe(key, shape, salt):
    """What the cases, which share most names, have made once: some 400 MB for all of them."""
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    seed = (zlib.crc32(key.encode()) ^ salt) & 0xFFFFFFFF
    z = np.random.RandomState(seed).standard_normal(shape)
    fan = int(np.prod(shape[1:]))
    if last == "running_var":
        value = 0.12 * (1 + 0.25 * np.abs(z))
    elif last == "running_mean":
        value = 0.05 * z
    elif last == "bias":
        value = 0.02 * z
    elif last == "weight" and len(shape) < 2:
        value = 1 + 0.05 * z
    elif last in {"weight", "lora_A", "lora_B"}:
        value = (4 if fan <= 4 else 0.8) * z / np.sqrt(fan)
    elif "scale" in last or "gamma" in last:
        value = 1 + 0.05 * z
    else:
        value = 0.2 * z
    return torch.from_numpy(np.asarray(value)).float()


ALL_CASES = [
    Case(path)
    for path in sorted(FOLDER.glob("*.json"))
    if path.with_suffix(".npz").is_file() and "state_dict" in json.loads(path.read_text())
]
PRETRAINING_CASES = [case for case in ALL_CASES if case.is_pretraining]
MODEL_CASES = [case for case in ALL_CASES if not case.is_pretraining]
EVAL_CASES = [case for case in MODEL_CASES if not case.is_training]
SEGMENTATION_CASES = [case for case in EVAL_CASES if case.is_segmentation]
CLASSIFICATION_CASES = [case for case in EVAL_CASES if not case.is_segmentation]
TRAIN_CASES = [case for case in MODEL_CASES if case.is_training]
ARRAY_FILES = [path for path in sorted(FOLDER.glob("*.npz")) if not path.with_suffix(".json").is_file()]
