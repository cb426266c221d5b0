"""Finding golden cases, and building our model with their weights."""

import json
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.official import load_official_model, official_names
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
}
"""(official repository, official model) -> our method."""

BACKBONES = {"ACT": "act", "Point-BERT": "point-bert", "ReCon": "recon"}
"""Official repository -> our backbone, where it is not Point-MAE."""


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
    def points(self):
        return torch.from_numpy(self.arrays["points"])

    @property
    def labels(self):
        return torch.from_numpy(self.arrays["labels"]).long()

    def method(self):
        """The options of our method, or None where this version has no such model."""
        config = self.about["config"]
        name, repository = config.get("model", {}).get("NAME"), self.about["official_repo"].partition(" ")[0]
        make = METHODS.get((repository.rpartition("/")[2], name))
        return make(config) if make else None

    def spec(self):
        """Our run spec of the case; the test is skipped where this version has no such model."""
        method = self.method()
        if method is None:
            pytest.skip(f"{self}: this version has no model of {self.about['official_repo']}")
        model = self.about["config"]["model"]
        return RunSpec.model_validate(
            {
                "data": {"source": "shapes", "points": self.about["num_points"]},
                "backbone": {
                    "name": BACKBONES.get(self.about["official_repo"].rpartition("/")[2], "point-mae"),
                    "init": "random",
                    "width": model.get("trans_dim") or model["embed_dim"],
                    "depth": model["depth"],
                    "heads": model["num_heads"],
                    "drop_path": model["drop_path_rate"],
                },
                "tokenizer": {"centers": model["num_group"], "neighbors": model["group_size"]},
                "method": method,
            }
        )

    def model(self):
        """Our model with the case's weights, taken under their official names."""
        model = build_classifier(self.spec(), self.about["config"]["model"]["cls_dim"])
        salt = self.about["salt"]
        weights = {key: recipe(key, shape, salt) for key, shape in self.about["state_dict"].items()}
        load_official_model(model, weights)
        if "basis_U" in self.arrays:
            self._give_bases(model.adaptation)
        return model

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
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    seed = (zlib.crc32(key.encode()) ^ salt) & 0xFFFFFFFF
    z = np.random.RandomState(seed).standard_normal(tuple(shape))
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


MODEL_CASES = [
    Case(path)
    for path in sorted(FOLDER.glob("*.json"))
    if path.with_suffix(".npz").is_file() and "state_dict" in json.loads(path.read_text())
]
EVAL_CASES = [case for case in MODEL_CASES if not case.is_training]
TRAIN_CASES = [case for case in MODEL_CASES if case.is_training]
ARRAY_FILES = [path for path in sorted(FOLDER.glob("*.npz")) if not path.with_suffix(".json").is_file()]
