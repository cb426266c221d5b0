"""Small run specs for tests."""

import torch

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.models.build import build_initialized_classifier
from pointlora_cli.specs.run import RunSpec

SCALES = ({"centers": 12, "neighbors": 8, "keep": 3}, {"centers": 6, "neighbors": 10, "keep": 2})

METHODS = {
    "full": {"name": "full"},
    "linear": {"name": "linear"},
    "mlp3": {"name": "mlp3"},
    "lora": {"name": "lora", "rank": 2, "sites": ["qkv", "proj", "fc1", "fc2"]},
    "bitfit": {"name": "bitfit"},
    "vpt": {"name": "vpt", "tokens": 3},
    "vpt-shallow": {"name": "vpt", "tokens": 3, "variant": "shallow"},
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


def tiny_spec(method="pointlora", /, **changes):
    """A spec of a model with a few thousand parameters."""
    values = {
        "data": {"source": "shapes", "points": 64},
        "backbone": {
            "name": "point-mae",
            "init": "random",
            "width": 16,
            "depth": 2,
            "heads": 2,
            "encoder_widths": (8, 12, 16),
        },
        "tokenizer": {"centers": 12, "neighbors": 8},
        "method": METHODS[method],
    }
    for section, options in changes.items():
        values[section] = {**values.get(section, {}), **options}
    return RunSpec.model_validate(values)


def tiny_model(method="pointlora", /, classes=5, **changes):
    """The model of `tiny_spec`, initialised, with a bank of features where the method has one."""
    model = build_initialized_classifier(tiny_spec(method, **changes), classes)
    if isinstance(model.adaptation, PointPEFT):
        model.adaptation.start_from(model.backbone)
        clouds = torch.rand(6, 64, 3, generator=torch.Generator().manual_seed(0))
        model.adaptation.fill_bank(model.adaptation.prior(clouds))
    return model
