"""Small run specs for tests."""

import torch
from torch.nn import functional as F

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.specs import compatibility
from pointlora_cli.specs.run import RunSpec

SCALES = ({"centers": 12, "neighbors": 8, "keep": 3}, {"centers": 6, "neighbors": 10, "keep": 2})

_PLAIN = {"init": "random", "width": 16, "depth": 2, "heads": 2, "encoder_widths": (8, 12, 16)}

BACKBONES = {
    **dict.fromkeys(compatibility.BACKBONES, _PLAIN),
    "point-m2ae": {
        "init": "random",
        "widths": (8, 12, 16),
        "depths": (1, 1, 1),
        "groups": (16, 8, 4),
        "neighbors": (8, 4, 4),
        "heads": 2,
        "encoder_widths": (8, 12, 16),
    },
}
"""Every backbone, small."""

_SMALL = {
    "full": {"name": "full"},
    "linear": {"name": "linear"},
    "mlp3": {"name": "mlp3"},
    "lora": {"name": "lora", "rank": 2, "sites": ["qkv", "proj", "fc1", "fc2"]},
    "bitfit": {"name": "bitfit"},
    "vpt": {"name": "vpt", "tokens": 3},
    "vpt-shallow": {"name": "vpt", "tokens": 2, "variant": "shallow"},
    "adapter": {"name": "adapter", "width": 4},
    "adapter-sequential": {"name": "adapter", "width": 4, "placement": "sequential"},
    "idpt": {"name": "idpt", "neighbors": 4},
    "dapt": {"name": "dapt", "rank": 4, "dropout": 0.1},
    "ppt": {"name": "ppt", "width": 4, "centers": 6, "neighbors": 10},
    "pointgst": {"name": "pointgst", "rank": 4, "local": 4},
    "point-peft": {
        "name": "point-peft",
        "tokens": 5,
        "width": 4,
        "prompt_width": 4,
        "local_neighbors": 4,
        "prior": {"centers": 6, "neighbors": 8},
    },
    "pointlora": {"name": "pointlora", "rank": 2, "prompt_width": 4, "scales": SCALES},
    "pointlora-paper": {
        "name": "pointlora",
        "variant": "paper",
        "rank": 2,
        "prompt_width": 4,
        "scales": SCALES,
    },
}

METHODS = {**{name: {"name": name} for name in compatibility.METHODS}, **_SMALL}
"""Every method, small, and some in two variants; a new one is here of itself, with its defaults."""

PARTS, CATEGORIES = 7, 4


def tiny_spec(method="pointlora", /, **changes):
    """A spec of a model with a few thousand parameters."""
    name = changes.get("backbone", {}).get("name", "point-mae")
    values = {
        "data": {"source": "shapes", "points": 64},
        "backbone": {"name": name, **BACKBONES[name]},
        "tokenizer": {"centers": 12, "neighbors": 8},
        "method": METHODS[method],
    }
    for section, options in changes.items():
        values[section] = {**values.get(section, {}), **options}
    return RunSpec.model_validate(values)


def tiny_part_spec(method="pointlora", /, backbone="point-mae"):
    """The same for part segmentation."""
    values = tiny_spec(method, backbone={"name": "point-mae", "depth": 3}).model_dump(mode="json")
    values["task"] = "part-segmentation"
    values["data"] = {"source": "shapenetpart", "points": 64}
    values["backbone"] |= {"name": backbone}
    return RunSpec.model_validate(values)


def tiny_part_model(method="pointlora", /, backbone="point-mae"):
    """The model of `tiny_part_spec`, initialised."""
    return build_initialized_model(tiny_part_spec(method, backbone), Outputs(PARTS, CATEGORIES))


def tiny_model(method="pointlora", /, classes=5, **changes):
    """The model of `tiny_spec`, initialised, with a bank of features where the method has one."""
    model = build_initialized_model(tiny_spec(method, **changes), Outputs(classes))
    if isinstance(model.adaptation, PointPEFT):
        model.adaptation.start_from(model.backbone)
        clouds = torch.rand(6, 64, 3, generator=torch.Generator().manual_seed(0))
        model.adaptation.fill_bank(model.adaptation.prior(clouds))
    return model


def assert_it_learns(model, points, labels, steps):
    """Train a classifier on one batch: its loss falls, all that trains has a gradient, the rest stays as it was."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    frozen = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(points).logits, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in trained)
    assert min(losses[-3:]) < losses[0]
    assert all(model.get_parameter(name).equal(value) for name, value in frozen.items())


def masked_autoencoder_of(spec, masking, seed=0):
    """The network that pre-trains a spec's backbone, as a run of it builds it."""
    values = {**spec.model_dump(mode="json"), "task": "pretraining", "method": {"name": "full"}}
    values |= {"masking": masking.model_dump(mode="json"), "train": {"seed": seed}}
    return build_initialized_model(RunSpec.model_validate(values), Outputs(0))
