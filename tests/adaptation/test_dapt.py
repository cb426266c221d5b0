"""DAPT's parts against the equations."""

from dataclasses import replace

import pytest
import torch
from model_specs import tiny_model, tiny_spec
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Shape
from pointlora_cli.adaptation.dapt import DAPT
from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.counting import count_parameters
from pointlora_cli.models.tokens import TokenLayout, TokenSequence
from pointlora_cli.specs.method import DAPTMethod
from pointlora_cli.specs.run import RunSpec

WIDTH, PATCHES = 8, 6


def build(**options):
    """A DAPT of random weights, in evaluation."""
    method = DAPTMethod.model_validate({"rank": 3, **options})
    adaptation = DAPT(Shape((WIDTH, WIDTH), 1, PATCHES), method).double().eval()
    torch.manual_seed(0)
    for parameter in adaptation.parameters():
        torch.nn.init.normal_(parameter)
    return adaptation


def random_tokens(count):
    return torch.randn(2, count, WIDTH, dtype=torch.float64)


def sequence(prompts=0):
    tokens = random_tokens(1 + prompts + PATCHES)
    layout = TokenLayout(1, PATCHES, prompts=prompts)
    return TokenSequence(tokens, None, layout, torch.rand(2, 32, 3), torch.rand(2, PATCHES, 3))


def linear(values, layer):
    return values @ layer.weight.T + layer.bias


def adapter_by_hand(adapter, u):
    v = F.layer_norm(u, (WIDTH,), adapter.norm.weight, adapter.norm.bias)
    strength = linear(v, adapter.strength).clamp(min=0)
    low = F.gelu(linear(v, adapter.bottleneck.down))
    return strength * linear(low, adapter.bottleneck.up)


def test_the_adapter_adds_to_the_feed_forward_network_and_makes_a_prompt():
    adaptation, before = build(), sequence(prompts=1)
    u, mlp = random_tokens(8), random_tokens(8)
    a = adapter_by_hand(adaptation.adapters[1], u)
    torch.testing.assert_close(adaptation.feed_forward(1, before, u, mlp), mlp + a)
    after = adaptation.block_output(1, before)
    at = adaptation.scale_shift.blocks[1]["prompt"]
    prompt = F.gelu(a).sum(dim=1) / 8 * at.gamma + at.beta  # of all tokens, the class token included
    torch.testing.assert_close(after.tokens[:, 1], prompt)
    assert after.layout == TokenLayout(1, PATCHES, prompts=2)
    assert torch.equal(after.tokens[:, :1], before.tokens[:, :1])
    assert torch.equal(after.tokens[:, 2:], before.tokens[:, 1:])  # older prompts stand behind it


def test_scale_and_shift_follow_every_layer_each_with_its_own():
    adaptation = build()
    seen = set()
    for layer in range(2):
        for place, width in (("norm1", 1), ("norm2", 1), ("qkv", 3), ("proj", 1), ("fc1", 4), ("fc2", 1)):
            values = torch.randn(2, 7, width * WIDTH, dtype=torch.float64)
            at = adaptation.scale_shift.blocks[layer][place]
            if place.startswith("norm"):
                changed = adaptation.normalized(layer, place, values)
            else:
                changed = adaptation.projection(layer, place, values, values)
            torch.testing.assert_close(changed, at.gamma * values + at.beta)
            seen.add(at)
    assert len(seen) == 12


def test_positions_are_added_once_and_to_scaled_and_shifted_patches():
    adaptation, before = build(), sequence()
    positions = random_tokens(1 + PATCHES)
    after = adaptation.enter(replace(before, positions=positions), [])
    at = adaptation.scale_shift.patches
    torch.testing.assert_close(after.tokens[:, 0], before.tokens[:, 0] + positions[:, 0])
    expected = before.tokens[:, 1:] * at.gamma + at.beta + positions[:, 1:]
    torch.testing.assert_close(after.tokens[:, 1:], expected)
    assert after.positions is None


@pytest.mark.parametrize("prompt_pooling", ["mean", "max", "none"])
@pytest.mark.parametrize("patch_pooling", ["mean", "max", "none"])
def test_the_head_sees_what_the_spec_wants(prompt_pooling, patch_pooling):
    adaptation = build(prompt_pooling=prompt_pooling, patch_pooling=patch_pooling)
    before = sequence(prompts=2)
    pooled = {"mean": lambda part: part.mean(dim=1), "max": lambda part: part.max(dim=1).values}
    parts = [before.tokens[:, 0]]
    for part, pooling in ((before.tokens[:, 1:3], prompt_pooling), (before.tokens[:, 3:], patch_pooling)):
        parts += [pooled[pooling](part)] if pooling in pooled else []
    feature = adaptation.pool(before, before.tokens.flatten(1))
    assert torch.equal(feature, torch.cat(parts, dim=1))
    assert feature.shape[1] == adaptation.feature_width(WIDTH, 0)


def test_the_sequence_grows_by_a_prompt_with_each_block():
    model = tiny_model("dapt").eval()
    leaving = model(torch.rand(2, 64, 3)).sequence
    assert leaving.layout == TokenLayout(1, 12, prompts=2)
    assert leaving.tokens.shape[1] == 15


def test_adapters_start_at_nothing_and_scale_and_shift_close_to_the_identity():
    adaptation = tiny_model("dapt").adaptation
    u = torch.randn(2, 5, 16)
    for adapter, block in zip(adaptation.adapters, adaptation.scale_shift.blocks, strict=True):
        assert adapter(u).eq(0).all()
        assert adapter.bottleneck.down.weight.std() > 0.05
        for place in ("norm1", "fc1", "prompt"):
            at = block[place]
            assert 0 < (at.gamma - 1).abs().max() < 0.1
            assert 0 < at.beta.abs().max() < 0.1


@pytest.mark.parametrize(
    ("options", "classes", "trained"),
    [
        ({}, 15, 1_087_771),  # PB_T50_RS
        ({"dropout": 0.5}, 15, 1_087_771),  # OBJ_BG
        ({"dropout": 0, "patch_pooling": "none"}, 15, 989_467),  # OBJ_ONLY
        ({"rank": 72, "dropout": 0, "prompt_pooling": "none"}, 40, 1_069_716),  # ModelNet40
    ],
)
def test_published_sizes(options, classes, trained):
    with torch.device("meta"):
        model = build_classifier(RunSpec.model_validate({"method": {"name": "dapt", **options}}), classes)
    assert count_parameters(model).trained == trained


def test_weight_decay_spares_scale_and_shift_and_not_the_adapters():
    from pointlora_cli.training.optimizer import decay_groups

    decayed, undecayed = decay_groups(build_classifier(tiny_spec("dapt"), 3))
    own = {name for name in decayed if name.startswith("adaptation.")}
    assert own == {
        f"adaptation.adapters.{layer}.{part}.weight"
        for layer in range(2)
        for part in ("strength", "bottleneck.down", "bottleneck.up")
    }
    assert "backbone.cls_token" in undecayed
    assert "backbone.cls_pos" in decayed
