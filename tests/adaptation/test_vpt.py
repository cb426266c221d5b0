"""VPT: where its prompts enter, where they leave, and that the head never sees them."""

import pytest
import torch
from model_specs import tiny_model
from torch.nn import functional as F

PROMPTS = 3


def built(variant):
    """A model of random prompts, in float64, and clouds for it."""
    torch.manual_seed(0)
    model = tiny_model("vpt", method={"name": "vpt", "tokens": PROMPTS, "variant": variant}).double().eval()
    for parameter in model.adaptation.parameters():
        torch.nn.init.normal_(parameter)
    return model, torch.rand(2, 64, 3, dtype=torch.float64)


def plain_block(block, tokens):
    """A transformer block in plain torch: (B, T, C) -> (B, T, C)."""

    def attention(inputs):
        batch, length, width = inputs.shape
        heads = F.linear(inputs, block.attn.qkv.weight).view(batch, length, 3, block.attn.heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / (width / block.attn.heads) ** 0.5
        return block.attn.proj((scores.softmax(-1) @ value).transpose(1, 2).reshape(inputs.shape))

    tokens = tokens + attention(block.norm1(tokens))
    return tokens + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(tokens))))


def plain_feature(model, points, *, deep):
    """The head's input, computed from the patches alone: [class token | maximum of the patches]."""
    backbone, adaptation = model.backbone, model.adaptation
    (own,) = backbone.patches(points, [backbone.scale])
    expand = (len(points), -1, -1)
    tokens = torch.cat([backbone.cls_token.expand(*expand), own.tokens], dim=1)
    positions = torch.cat([backbone.cls_pos.expand(*expand), own.positions], dim=1)
    end = tokens.shape[1]
    for layer, block in enumerate(backbone.blocks):
        if deep or layer == 0:
            tokens = torch.cat([tokens[:, :end], adaptation.prompts[layer].expand(*expand)], dim=1)
            prompt_positions = adaptation.positions[layer].expand(*expand)
        tokens = plain_block(block, tokens + torch.cat([positions, prompt_positions], dim=1))
    tokens = backbone.norm(tokens)
    return torch.cat([tokens[:, 0], tokens[:, 1:end].amax(dim=1)], dim=-1)


@pytest.mark.parametrize("variant", ["deep", "shallow"])
def test_prompts_act_through_attention_alone(variant):
    model, points = built(variant)
    with torch.no_grad():
        prediction = model(points)
        expected = plain_feature(model, points, deep=variant == "deep")
    torch.testing.assert_close(prediction.feature, expected)
    assert prediction.sequence.layout.extra == 0
    assert prediction.sequence.tokens.shape[1] == 1 + 12


def test_what_a_shallow_prompt_becomes_in_one_block_is_what_the_next_one_sees():
    model, points = built("shallow")
    lengths = []
    for block in model.backbone.blocks:
        block.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    with torch.no_grad():
        model(points)
    assert lengths == [1 + 12 + PROMPTS] * 2


def test_deep_has_prompts_for_each_block_and_shallow_for_one():
    shapes = {
        variant: [tuple(part.shape) for part in built(variant)[0].adaptation.parameters()]
        for variant in ("deep", "shallow")
    }
    assert shapes == {"deep": [(1, PROMPTS, 16)] * 4, "shallow": [(1, PROMPTS, 16)] * 2}


def test_weight_decay_acts_on_prompts_as_it_does_officially():
    model, _ = built("deep")
    assert not set(model.adaptation.parameters()) & model.undecayed()
