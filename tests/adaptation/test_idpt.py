"""IDPT's parts against the equations."""

import pytest
import torch
from model_specs import tiny_model, tiny_spec
from pydantic import ValidationError
from torch import nn

from pointlora_cli.adaptation.base import Shape
from pointlora_cli.adaptation.idpt import IDPT, EdgeConvolution, PromptGenerator
from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.counting import count_parameters
from pointlora_cli.models.official import official_names
from pointlora_cli.models.tokens import TokenLayout, TokenSequence
from pointlora_cli.ops.feature_neighbors import nearest_features
from pointlora_cli.specs.method import IDPTMethod
from pointlora_cli.specs.run import RunSpec

WIDTH, PATCHES, NEAREST = 8, 9, 4


def randomized(module):
    """A module in double precision, its parameters and running statistics random."""
    torch.manual_seed(0)
    for name, value in module.double().state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "running_var" in name else torch.randn_like(value))
    return module


def build():
    return randomized(IDPT(Shape((WIDTH,) * 3, 1, PATCHES), IDPTMethod(neighbors=NEAREST))).eval()


def random_tokens(count, batch=2):
    return torch.randn(batch, count, WIDTH, dtype=torch.float64)


def sequence():
    tokens = random_tokens(1 + PATCHES)
    return TokenSequence(
        tokens,
        torch.randn_like(tokens),
        TokenLayout(1, PATCHES),
        torch.rand(2, 32, 3),
        torch.rand(2, PATCHES, 3),
    )


def edge_convolution_by_hand(layer, features, training):
    """As published: a 1x1 convolution of [neighbour - centre, centre], batch norm, leaky ReLU, maximum."""
    edges = []
    for cloud in features:
        distances = (cloud[:, None] - cloud[None]).square().sum(dim=-1)
        nearest = distances.argsort(dim=-1)[:, :NEAREST]
        centers = cloud[:, None].expand(-1, NEAREST, -1)
        edges.append(torch.cat([cloud[nearest] - centers, centers], dim=-1))
    convolution = nn.Conv2d(2 * WIDTH, WIDTH, 1, bias=False).double()
    norm = nn.BatchNorm2d(WIDTH).double().train(training)
    norm.load_state_dict(layer.norm.state_dict())
    convolution.weight.data.copy_(layer.linear.weight[:, :, None, None])
    activated = nn.functional.leaky_relu(norm(convolution(torch.stack(edges).permute(0, 3, 1, 2))), 0.2)
    return activated.amax(dim=-1).transpose(1, 2), norm


@pytest.mark.parametrize("training", [False, True])
def test_an_edge_convolution_is_the_published_one(training):
    layer = randomized(EdgeConvolution(WIDTH, NEAREST)).train(training)
    features = random_tokens(PATCHES)
    expected, norm = edge_convolution_by_hand(layer, features, training)
    torch.testing.assert_close(layer(features), expected)
    for name, value in norm.state_dict().items():  # running statistics move alike
        torch.testing.assert_close(layer.norm.state_dict()[name], value)


def test_the_prompt_is_the_maximum_of_a_layer_over_all_three():
    generator = randomized(PromptGenerator(WIDTH, NEAREST)).eval()
    patches = random_tokens(PATCHES)
    levels = [patches]
    for edge in generator.edges:
        levels.append(edge(levels[-1]))
    rows = torch.cat(levels[1:], dim=-1) @ generator.fusion.linear.weight.T
    norm = generator.fusion.norm
    normal = (rows - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    expected = torch.where(normal > 0, normal, 0.2 * normal).amax(dim=1, keepdim=True)
    torch.testing.assert_close(generator(patches), expected)


def test_the_order_of_the_patches_does_not_matter():
    generator, patches = randomized(PromptGenerator(WIDTH, NEAREST)).eval(), random_tokens(PATCHES)
    torch.testing.assert_close(generator(patches.flip(1)), generator(patches))


def test_nearest_features_include_the_feature_itself():
    features = torch.randn(3, 7, 5)
    found = nearest_features(features, 3)
    assert torch.equal(found[..., 0], torch.arange(7).expand(3, 7))
    distances = (features[:, :, None] - features[:, None]).square().sum(dim=-1)
    assert torch.equal(found, distances.argsort(dim=-1)[..., :3])
    for wrong in (0, 8):
        with pytest.raises(ValueError, match="k must be from 1 to 7"):
            nearest_features(features, wrong)
    with pytest.raises(ValueError, match=r"\(B, G, C\)"):
        nearest_features(features[0], 3)


def test_one_prompt_enters_before_the_last_block_with_its_position():
    adaptation, before = build(), sequence()
    assert adaptation.before_block(0, before) is before
    assert adaptation.before_block(1, before) is before
    after = adaptation.before_block(2, before)
    assert after.layout == TokenLayout(1, PATCHES, prompts=1)
    for values, old, new in (
        (after.tokens, before.tokens, adaptation.generator(before.tokens[:, 1:])),
        (after.positions, before.positions, adaptation.prompt_position.expand(2, -1, -1)),
    ):
        assert torch.equal(values, torch.cat([old[:, :1], new, old[:, 1:]], dim=1))


def test_the_head_sees_class_token_prompt_and_patches():
    adaptation, after = build(), build().before_block(2, sequence())
    feature = adaptation.pool(after, after.tokens.flatten(1))
    expected = [after.tokens[:, 0], after.tokens[:, 1], after.tokens[:, 2:].amax(dim=1)]
    assert torch.equal(feature, torch.cat(expected, dim=1))
    assert feature.shape[1] == adaptation.feature_width(WIDTH, 0)


def test_the_prompts_position_exists_and_does_not_train():
    model = tiny_model("idpt")
    position = model.adaptation.prompt_position
    assert not position.requires_grad
    assert position.abs().sum() > 0
    assert official_names(model)["adaptation.prompt_position"] == "prompt_pos"


def test_published_size():
    with torch.device("meta"):
        model = build_classifier(RunSpec.model_validate({"method": {"name": "idpt"}}), 15)
    counts = count_parameters(model)
    assert (counts.trained, counts.total) == (1_696_783, 23_522_191)


def test_more_neighbors_than_patches_are_refused():
    with pytest.raises(
        ValidationError, match=r"method\.neighbors \(13\) is more than tokenizer\.centers \(12\)"
    ):
        tiny_spec("idpt", method={"neighbors": 13})
