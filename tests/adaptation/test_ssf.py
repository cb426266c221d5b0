"""SSF: a scale and a shift behind every frozen layer."""

import pytest
import torch
from model_specs import tiny_model

from pointlora_cli.adaptation.scale_shift import ScaleShift

POINTS = torch.rand(2, 64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def model_with(gamma, beta):
    model = tiny_model("ssf").double().eval()
    for module in model.adaptation.modules():
        if isinstance(module, ScaleShift):
            torch.nn.init.constant_(module.gamma, gamma)
            torch.nn.init.constant_(module.beta, beta)
    return model


def places():
    return [
        name
        for name, module in tiny_model("ssf").adaptation.scale_shift.named_modules()
        if isinstance(module, ScaleShift)
    ]


def test_at_the_identity_the_network_is_the_frozen_one():
    with torch.no_grad():
        plain = tiny_model("mlp3").double().eval()(POINTS).logits
        assert torch.equal(model_with(1, 0)(POINTS).logits, plain)


def test_there_is_one_behind_every_layer():
    depth = len(tiny_model("ssf").backbone.blocks)
    inside = {f"blocks.{layer}.{place}" for layer in range(depth) for place in
              ("norm1", "qkv", "proj", "norm2", "fc1", "fc2")}  # fmt: skip
    assert set(places()) == {"patches", "norm", *inside}


@pytest.mark.parametrize("place", places())
def test_each_changes_what_comes_out_and_learns(place):
    model = model_with(1, 0)
    with torch.no_grad():
        before = model(POINTS).feature
        own = model.adaptation.scale_shift.get_submodule(place)
        # Uneven, for a shift of all keys alike, or of all of a norm's inputs, changes nothing.
        own.gamma.copy_(torch.linspace(0.5, 1.5, len(own.gamma)))
        own.beta.copy_(torch.linspace(-1, 1, len(own.beta)))
        assert not torch.allclose(model(POINTS).feature, before)
    model(POINTS).logits.sum().backward()
    assert own.gamma.grad.abs().max() > 0
    assert own.beta.grad.abs().max() > 0


def test_class_token_and_patches_are_told_apart():
    model, seen = model_with(1, 0), []
    with torch.no_grad():
        model.adaptation.scale_shift.patches.gamma.zero_()
        model.backbone.blocks[0].norm1.register_forward_pre_hook(
            lambda module, inputs: seen.append(inputs[0])
        )
        model(POINTS)
    queries, patches = seen[0][:, 0], seen[0][:, 1:]
    assert torch.equal(queries, (model.backbone.cls_token + model.backbone.cls_pos)[:, 0].expand_as(queries))
    assert patches.abs().max() > 0  # the positions alone
