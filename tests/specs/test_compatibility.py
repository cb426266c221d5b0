"""Every method on every backbone: it trains, or the spec refuses it with the reason."""

import pytest
import torch
from model_specs import METHODS, tiny_model, tiny_spec
from pydantic import ValidationError

from pointlora_cli.specs.compatibility import refusal
from pointlora_cli.training.loop import training_step

SERIES = ("point-mae", "act", "point-bert", "recon", "recon-plain")
PAIRS = [(backbone, method) for backbone in SERIES for method in METHODS]


@pytest.mark.parametrize(("backbone", "method"), PAIRS)
def test_a_pair_takes_a_training_step_or_is_refused_with_the_reason(backbone, method):
    reason = refusal(backbone, METHODS[method]["name"])
    if reason is not None:
        with pytest.raises(ValidationError) as refused:
            tiny_spec(method, backbone={"name": backbone})
        assert reason in str(refused.value)
        return
    model = tiny_model(method, backbone={"name": backbone}).train()
    points = torch.rand(4, 64, 3, generator=torch.Generator().manual_seed(1))
    output = training_step(
        model, points, torch.tensor([0, 1, 2, 3]), dtype=torch.float32, label_smoothing=0.0
    )
    assert torch.isfinite(output.loss)
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("method", ["idpt", "dapt", "ppt", "pointgst", "point-peft"])
def test_recon_names_the_backbone_on_which_a_refused_method_runs(method):
    assert "recon-plain" in refusal("recon", method)
    assert refusal("recon-plain", method) is None


@pytest.mark.parametrize("method", METHODS)
def test_the_hierarchical_backbone_takes_no_method_that_adds_tokens(method):
    name = METHODS[method]["name"]
    runs = name in {"full", "linear", "mlp3", "bitfit", "lora", "adapter"}
    assert (refusal("point-m2ae", name) is None) == runs
