"""bfloat16 where it is safe: geometry and losses are what they are in float32, and a run learns the same."""

import pytest
import torch
from model_specs import tiny_model, tiny_part_model, tiny_spec
from torch.nn import functional as F

from pointlora_cli.datasets.shapes.generator import ShapeOptions, generate_shapes
from pointlora_cli.ops import neighbors, sampling
from pointlora_cli.training.classification import training_step
from pointlora_cli.training.devices import autocast
from pointlora_cli.training.loop import update
from pointlora_cli.training.optimizer import build_optimizer

CPU = torch.device("cpu")
POINTS = torch.rand(6, 64, 3, generator=torch.Generator().manual_seed(0))
CATEGORIES = torch.tensor([0, 1, 2, 3, 0, 1])


def geometry(model, dtype, monkeypatch, *others):
    """All that sampling and the search for neighbours were given and found in a pass."""
    seen = []

    def watched(operation):
        def call(*arguments):
            found = operation(*arguments)
            seen.extend((*arguments, *(found if isinstance(found, tuple) else (found,))))
            return found

        return call

    with monkeypatch.context() as patch, torch.no_grad(), autocast(CPU, dtype):
        for module in (sampling, neighbors):
            patch.setattr(module, "_on_cpu", watched(module._on_cpu))
        logits = model.eval()(POINTS, *others).logits
    return logits, [one for one in seen if isinstance(one, torch.Tensor)]


@pytest.mark.parametrize(
    ("build", "options", "others"),
    [
        (tiny_model, {}, ()),
        (tiny_model, {"method": "point-peft"}, ()),
        (tiny_model, {"method": "full", "backbone": "point-m2ae"}, ()),
        (tiny_model, {"method": "full", "backbone": "point-gpt"}, ()),
        (tiny_part_model, {}, (CATEGORIES,)),
    ],
    ids=["pointlora", "point-peft", "point-m2ae", "point-gpt", "segmentation"],
)
def test_the_geometry_is_that_of_float32(build, options, others, monkeypatch):
    model = build()
    if options:
        model = build(options["method"], backbone={"name": options.get("backbone", "point-mae")})
    exact, expected = geometry(model, torch.float32, monkeypatch, *others)
    rough, found = geometry(model, torch.bfloat16, monkeypatch, *others)
    assert len(found) == len(expected) > 4
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not any(one.dtype == torch.bfloat16 for one in found)
    assert 0 < (rough.float() - exact).abs().max() < 0.1


def test_the_loss_is_taken_in_float32(monkeypatch):
    types = []
    entropy = F.cross_entropy
    monkeypatch.setattr(
        F,
        "cross_entropy",
        lambda logits, *rest, **more: types.append(logits.dtype) or entropy(logits, *rest, **more),
    )
    model = tiny_model().train()
    output = training_step(model, POINTS, torch.arange(6) % 5, dtype=torch.bfloat16)
    assert types == [torch.float32]
    assert output.loss.dtype == torch.float32
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert {parameter.grad.dtype for parameter in trained} == {torch.float32}


def test_norms_give_and_keep_float32_statistics():
    model = tiny_model("full").train()
    training_step(model, POINTS, torch.arange(6) % 5, dtype=torch.bfloat16)
    exact = tiny_model("full").train()
    training_step(exact, POINTS, torch.arange(6) % 5)
    norms = [name for name, _ in model.named_buffers() if name.startswith("backbone") and "running" in name]
    assert norms
    for name in norms:
        rough = model.get_buffer(name)
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough, exact.get_buffer(name), rtol=0.02, atol=2e-3)


def test_thirty_steps_learn_as_in_float32():
    names = ("chair", "table", "lamp")
    points, labels = (
        torch.from_numpy(array) for array in generate_shapes(5, 0, "train", ShapeOptions(points=64), names)
    )
    spec = tiny_spec(backbone={"drop_path": 0.0}, optimizer={"lr": 3e-3})
    curves = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        model = tiny_model(classes=3, backbone={"drop_path": 0.0}).train()
        optimizer = build_optimizer(model, spec.optimizer)
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            losses.append(training_step(model, points, labels, dtype=dtype).loss / len(labels))
            update(optimizer, spec.optimizer)
        curves.append(torch.stack(losses))
    exact, rough = curves
    assert exact[-5:].mean() < 0.7 * exact[:5].mean()
    assert (rough - exact).abs().mean() < 0.05 * exact[:5].mean()
