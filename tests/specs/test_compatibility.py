"""Every method on every backbone for every task: it trains, or the spec refuses it with the reason."""

import pytest
import torch
from model_specs import (
    BACKBONES,
    CATEGORIES,
    METHODS,
    PARTS,
    tiny_model,
    tiny_part_model,
    tiny_spec,
)
from pydantic import ValidationError
from torch.nn import functional as F

from pointlora_cli.adaptation import build as adaptation_build
from pointlora_cli.models import build as model_build
from pointlora_cli.specs import compatibility
from pointlora_cli.specs.compatibility import refusal
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.classification import training_step

PAIRS = [(backbone, method) for backbone in BACKBONES for method in METHODS]
GENERIC = ("full", "linear", "mlp3", "bitfit", "lora", "adapter")
"""Methods that ask nothing of a backbone."""

SPECIFIC = {
    "vpt": {"recon"},
    "pointlora": {"recon"},
    "pointgst": {"point-gpt"},
    "idpt": set(),
    "dapt": set(),
    "ppt": set(),
    "point-peft": set(),
}
"""Other methods, and the backbones of blocks of their own that they run on."""


def clouds():
    return torch.rand(4, 64, 3, generator=torch.Generator().manual_seed(1))


def require_gradients(model):
    """What trains, and nothing else, has a finite gradient where it has one."""
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(dict(model.named_parameters())[name].requires_grad for name in gradients)


@pytest.mark.parametrize(("backbone", "method"), PAIRS)
def test_a_pair_takes_a_training_step_or_is_refused_with_the_reason(backbone, method):
    reason = refusal(backbone, METHODS[method]["name"])
    if reason is not None:
        with pytest.raises(ValidationError) as refused:
            tiny_spec(method, backbone={"name": backbone})
        assert reason in str(refused.value)
        return
    model = tiny_model(method, backbone={"name": backbone}).train()
    output = training_step(model, clouds(), torch.tensor([0, 1, 2, 3]))
    assert output.loss.isfinite()
    require_gradients(model)


@pytest.mark.parametrize(("backbone", "method"), PAIRS)
def test_a_pair_labels_parts_or_is_refused_with_the_reason(backbone, method):
    reason = refusal(backbone, METHODS[method]["name"], "part-segmentation")
    if reason is not None:
        with pytest.raises(ValidationError) as refused:
            RunSpec.model_validate(
                {
                    "task": "part-segmentation",
                    "data": {"source": "shapenetpart"},
                    "backbone": {"name": backbone},
                    "method": METHODS[method],
                }
            )
        assert reason in str(refused.value)
        return
    model = tiny_part_model(method, backbone).train()
    logits = model(clouds(), torch.arange(4) % CATEGORIES).logits
    assert logits.shape == (4, 64, PARTS)
    F.cross_entropy(logits.flatten(0, 1), torch.arange(4 * 64) % PARTS).backward()
    require_gradients(model)


def test_the_dictionaries_of_specs_and_of_modules_hold_the_same():
    assert set(adaptation_build.METHODS) == set(compatibility.METHODS.values())
    assert set(model_build.BACKBONES) == set(compatibility.BACKBONES.values())
    segmented = {spec for spec in compatibility.BACKBONES.values() if spec.unsegmented is None}
    assert set(model_build.SEGMENTING) == segmented
    assert {options["name"] for options in METHODS.values()} == set(compatibility.METHODS)


@pytest.mark.parametrize("method", [*GENERIC, *SPECIFIC])
def test_what_runs_where(method):
    runs = {name for name in compatibility.BACKBONES if refusal(name, method) is None}
    plain = {"point-mae", "act", "point-bert", "recon-plain"}
    others = {"recon", "point-m2ae", "point-gpt"}
    assert runs == plain | (others if method in GENERIC else SPECIFIC[method])
    segments = {
        name for name in compatibility.BACKBONES if refusal(name, method, "part-segmentation") is None
    }
    heads = {"linear", "mlp3", "point-peft"}
    assert segments == (set() if method in heads else runs & {"point-mae", "act", "recon-plain", "recon"})


def test_a_refusal_says_why_and_what_would_run():
    words = refusal("recon", "idpt")
    assert words.startswith("method idpt does not run on backbone recon, which leads queries")
    assert "idpt runs on point-mae, act, point-bert and recon-plain, while recon takes full, linear" in words
    assert "bank" in refusal("point-mae", "point-peft", "part-segmentation")
    assert "point-mae, act, recon and recon-plain do" in refusal("point-bert", "full", "part-segmentation")


@pytest.mark.parametrize(
    ("task", "source", "wanted"),
    [
        ("part-segmentation", {"source": "shapes"}, "classification"),
        ("classification", {"source": "shapenetpart"}, "part-segmentation"),
        ("classification", {"source": "segmentation-folder", "root": "clouds"}, "part-segmentation"),
    ],
)
def test_a_task_that_does_not_belong_to_the_data_is_refused(task, source, wanted):
    with pytest.raises(ValidationError) as refused:
        RunSpec.model_validate({"task": task, "data": source})
    message = f"task ({task}) does not belong to data.source ({source['source']}): set task to '{wanted}'"
    assert message in str(refused.value)


def test_sizes_of_a_head_are_refused_where_the_head_is_another():
    values = {"task": "part-segmentation", "data": {"source": "shapenetpart"}}
    assert RunSpec.model_validate({**values, "head": {"width": 256}})
    with pytest.raises(
        ValidationError, match=r"head\.width and head\.dropout are of the head of classification, not of"
    ):
        RunSpec.model_validate({**values, "head": {"width": 64}})
