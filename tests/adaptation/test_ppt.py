"""PPT's parts against the equations."""

from dataclasses import replace

import pytest
import torch
from model_specs import tiny_model, tiny_spec
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Shape
from pointlora_cli.adaptation.ppt import PPT
from pointlora_cli.models.tokens import Patches, Scale, TokenLayout, TokenSequence
from pointlora_cli.specs.method import PPTMethod

WIDTH = 16


def build(queries=1, **options):
    """A PPT of random weights."""
    shape = Shape((WIDTH, WIDTH), queries, 9)
    adaptation = PPT(shape, PPTMethod(width=4, **options)).double()
    torch.manual_seed(0)
    for parameter in adaptation.parameters():
        torch.nn.init.normal_(parameter)
    return adaptation


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def sequence(extra=0, queries=1):
    length = queries + 9 + extra
    layout = TokenLayout(queries, 9, extra)
    return TokenSequence(
        random(2, length, WIDTH), random(2, length, WIDTH), layout, torch.rand(2, 64, 3), torch.rand(2, 9, 3)
    )


def prompt(adaptation, part, tokens):
    mlp = adaptation.prompts[part]
    hidden = F.gelu(tokens @ mlp.linear1.weight.T + mlp.linear1.bias)
    return hidden @ mlp.linear2.weight.T + mlp.linear2.bias


def test_the_second_grouping_joins_at_the_end_with_its_positions():
    adaptation, before = build(), sequence()
    extra = Patches(random(2, 5, 3), random(2, 5, WIDTH), random(2, 5, WIDTH))
    after = adaptation.enter(before, [extra])
    assert after.layout == TokenLayout(1, 9, 5)
    assert torch.equal(after.tokens, torch.cat([before.tokens, extra.tokens], dim=1))
    assert torch.equal(after.positions, torch.cat([before.positions, extra.positions], dim=1))


def test_the_second_grouping_is_the_backbones_unless_it_is_given():
    own = Scale(9, 7)
    assert list(build().scales(own)) == [own]
    assert list(build(centers=4).scales(own)) == [Scale(4, 7)]
    assert list(build(centers=4, neighbors=5).scales(own)) == [Scale(4, 5)]


def test_patches_and_extra_tokens_pass_their_prompts_at_the_input():
    adaptation, before = build(), sequence(extra=5)
    after = adaptation.block_input(1, before).tokens
    queries, patches, extra = before.tokens.split([1, 9, 5], dim=1)
    assert torch.equal(after[:, :1], queries)
    torch.testing.assert_close(after[:, 1:10], patches + prompt(adaptation, "patches", patches))
    torch.testing.assert_close(after[:, 10:], extra + prompt(adaptation, "extra", extra))


def test_all_tokens_pass_the_third_beside_the_feed_forward_network():
    adaptation, before = build(), sequence(extra=5)
    branch = random(*before.tokens.shape)
    found = adaptation.join(0, before, branch)
    torch.testing.assert_close(found, before.tokens + branch + prompt(adaptation, "all", before.tokens))


@pytest.mark.parametrize("queries", [1, 3])
def test_the_head_sees_the_queries_and_two_means(queries):
    adaptation, last = build(queries), sequence(extra=5, queries=queries)
    feature = adaptation.pool(last, torch.zeros(2, 1))
    first, patches, extra = last.tokens.split([queries, 9, 5], dim=1)
    expected = [*first.unbind(1), patches.mean(dim=1), extra.mean(dim=1)]
    torch.testing.assert_close(feature, torch.cat(expected, dim=1))
    assert feature.shape[1] == adaptation.feature_width(WIDTH, 0)


def test_an_equal_second_grouping_is_encoded_once_and_tracked_twice():
    model = tiny_model("ppt", method={"centers": None, "neighbors": None}).train()
    passes = []
    model.backbone.patch_encoder.register_forward_hook(lambda *call: passes.append(call))
    sequence = model(torch.rand(2, 64, 3)).sequence
    assert len(passes) == 1
    assert model.backbone.patch_encoder.first.norm.num_batches_tracked == 2
    assert sequence.layout == TokenLayout(1, 12, 12)


def test_the_head_starts_by_the_generic_rule():
    layers = [layer for layer in tiny_model("ppt").head.layers if isinstance(layer, torch.nn.Linear)]
    assert len(layers) == 3
    for layer in layers:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert not layer.bias.any()


def test_one_network_serves_every_block():
    adaptation, before = build(), sequence(extra=5)
    outputs = [adaptation.block_input(layer, replace(before)).tokens for layer in range(2)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("option", [{"centers": 65}, {"neighbors": 65}])
def test_a_grouping_finer_than_the_cloud_is_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=rf"method\.{name} \(65\) is more than data\.points \(64\)"):
        tiny_spec("ppt", method=option)
