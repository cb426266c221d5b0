"""The classifier as a whole."""

import pytest
import torch
from model_specs import METHODS, tiny_model, tiny_spec

from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.grouping import group
from pointlora_cli.models.initialization import initialize
from pointlora_cli.models.tokens import Scale

ALL_METHODS = pytest.mark.parametrize("method", METHODS)


@ALL_METHODS
def test_every_weight_is_set_by_the_seed_alone(method):
    models = []
    for torch_seed in (1, 2):  # modules draw from torch's generator when they are made
        torch.manual_seed(torch_seed)
        models.append(tiny_model(method))
    for name, value in models[0].state_dict().items():
        assert torch.equal(value, models[1].state_dict()[name]), name


@ALL_METHODS
def test_another_seed_gives_other_weights(method):
    first, second = tiny_model(method), tiny_model(method)
    initialize(second, 1)
    assert not torch.equal(
        first.backbone.blocks[1].attn.qkv.weight, second.backbone.blocks[1].attn.qkv.weight
    )
    assert not torch.equal(first.head.layers[-1].weight, second.head.layers[-1].weight)


def test_the_backbone_is_the_same_beside_every_method():
    backbones = [tiny_model(method).backbone.state_dict() for method in METHODS]
    for other in backbones[1:]:
        assert all(torch.equal(value, other[name]) for name, value in backbones[0].items())


@ALL_METHODS
def test_logits_do_not_depend_on_the_batch_in_evaluation(method):
    model = tiny_model(method).double().eval()  # in float32 rounding decides between close scores
    points = torch.rand(4, 64, 3, dtype=torch.float64)
    with torch.no_grad():
        together = model(points).logits
        alone = torch.cat([model(cloud[None]).logits for cloud in points])
    torch.testing.assert_close(together, alone)


@ALL_METHODS
def test_training_reaches_every_trained_parameter_and_no_other(method):
    torch.manual_seed(0)
    model = tiny_model(method).train()
    with torch.no_grad():
        for parameter in model.adaptation.parameters():  # zero B matrices would hide A
            parameter.add_(0.1 * torch.randn_like(parameter))
    prediction = model(torch.rand(4, 64, 3))
    loss = prediction.logits.square().sum()
    regularization = model.adaptation.regularization(prediction.sequence)
    (loss if regularization is None else loss + regularization).backward()
    for name, parameter in model.named_parameters():
        if method == "point-peft" and (name.endswith(".gate") or name == "adaptation.points"):
            continue  # they only count
        assert (parameter.grad is not None) == parameter.requires_grad, name
        # A bias before batch norm has no effect, so its gradient is rounding.
        if parameter.requires_grad and not name.endswith("bias"):
            assert parameter.grad.abs().sum() > 0, name


def test_low_rank_terms_and_prompts_start_as_published():
    plain, lora, pointlora = (tiny_model(method).eval() for method in ("mlp3", "lora", "pointlora"))
    points = torch.rand(2, 64, 3)
    with torch.no_grad():
        assert torch.equal(lora(points).logits, plain(points).logits)  # B is zero
        assert not torch.allclose(pointlora(points).feature, plain(points).feature)  # prompt MLPs are not


def test_a_model_can_be_counted_without_memory():
    with torch.device("meta"):
        model = build_classifier(tiny_spec(backbone={"width": 1024, "depth": 24, "heads": 16}), 5)
    assert all(parameter.is_meta for parameter in model.parameters())


def test_scales_are_grouped_as_if_each_were_grouped_alone():
    points = torch.rand(2, 80, 3)
    scales = [Scale(6, 20), Scale(16, 5), Scale(10, 10)]
    for scale, together in zip(scales, group(points, scales), strict=True):
        (alone,) = group(points, [scale])
        assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


def test_equal_scales_are_encoded_once_and_tracked_each_time():
    model = tiny_model().train()
    encoder = model.backbone.patch_encoder
    passes = []
    encoder.register_forward_hook(lambda module, inputs, output: passes.append(inputs[0].shape))
    model(torch.rand(2, 64, 3))
    assert [tuple(shape[1:3]) for shape in passes] == [(12, 8), (6, 10)]  # the first is the backbone's
    assert encoder.first.norm.num_batches_tracked == 3


@pytest.mark.parametrize(("name", "hidden"), [("point-mae", 2), ("point-bert", 1)])
def test_the_hidden_layers_of_the_head_have_the_width_and_dropout_asked_for(name, hidden):
    head = tiny_model("full", backbone={"name": name}, head={"width": 24, "dropout": 0.25}).head
    widths = [layer.out_features for layer in head.layers if isinstance(layer, torch.nn.Linear)]
    rates = [layer.p for layer in head.layers if isinstance(layer, torch.nn.Dropout)]
    assert (widths, rates) == ([24] * hidden + [5], [0.25] * hidden)
