"""The part-segmentation network: its head, its levels, and every method that may run in it."""

import pytest
import torch
from model_specs import METHODS, tiny_model, tiny_spec
from torch.nn import functional as F

from pointlora_cli.errors import DataError
from pointlora_cli.models import segmentation_head
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import (
    Outputs,
    build_initialized_model,
    build_model,
    build_segmenter,
)
from pointlora_cli.models.counting import count_parameters
from pointlora_cli.models.official import official_names
from pointlora_cli.models.segmentation_head import SegmentationHead
from pointlora_cli.models.segmenter import tapped_layers
from pointlora_cli.ops.interpolation import interpolate
from pointlora_cli.specs.compatibility import refusal
from pointlora_cli.specs.run import RunSpec

POINTS, CATEGORIES, PARTS = 32, 4, 7
OUTPUTS = Outputs(PARTS, CATEGORIES)
CATEGORY = torch.tensor([3, 0, 1])


def segmentation_spec(method="full", backbone="point-mae", **changes):
    values = tiny_spec(method, backbone={"depth": 3}).model_dump(mode="json")
    values["task"] = "part-segmentation"
    values["data"] = {"source": "shapenetpart", "points": POINTS}
    values["backbone"] |= {"name": backbone, **changes}
    return RunSpec.model_validate(values)


def tiny_segmenter(method="full", backbone="point-mae"):
    return build_initialized_model(segmentation_spec(method, backbone), OUTPUTS)


def clouds(count=3, points=POINTS):
    return torch.rand(count, points, 3, generator=torch.Generator().manual_seed(0))


RUNNING = [
    (backbone, method)
    for backbone in ("point-mae", "recon")
    for method, options in METHODS.items()
    if refusal(backbone, options["name"], "part-segmentation") is None
]


@pytest.mark.parametrize(("backbone", "method"), RUNNING)
def test_each_method_trains_what_it_lists_and_shows_the_head_the_patches_alone(backbone, method):
    torch.manual_seed(0)
    model = tiny_segmenter(method, backbone).train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    shown = []
    model.head.register_forward_pre_hook(lambda module, inputs: shown.append(inputs))
    prediction = model(clouds(), CATEGORY)
    assert prediction.logits.shape == (3, POINTS, PARTS)
    tokens, _, queries, *_ = shown[0]
    assert tokens.shape == (3, 12, 3 * 16)
    assert queries is None if backbone == "point-mae" else queries.shape == (3, 16)

    loss = F.cross_entropy(prediction.logits.flatten(0, 1), torch.arange(3 * POINTS) % PARTS)
    regularization = model.adaptation.regularization(prediction.sequence)
    (loss if regularization is None else loss + regularization).backward()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    unreached = {name for name, value in trained.items() if value.grad is None}
    # The prompt of DAPT's last block goes nowhere: the head takes patches only.
    assert all("scale_shift.blocks.2.prompt" in name for name in unreached)
    assert {name for name in before if name.startswith("head.")} <= set(trained)
    torch.optim.SGD(trained.values(), lr=0.1).step()
    for name, value in model.named_parameters():
        if name not in trained:
            assert torch.equal(value, before[name]), name


def test_only_recon_has_tokens_for_the_whole_cloud():
    queries = {"cls_token", "cls_pos", "img_token", "img_pos", "text_token", "text_pos"}
    for backbone, expected in (
        ("point-mae", set()),
        ("act", set()),
        ("recon-plain", set()),
        ("recon", queries),
    ):
        with torch.device("meta"):
            model = build_model(segmentation_spec(backbone=backbone), OUTPUTS)
        assert queries & set(model.backbone.state_dict()) == expected


def test_the_backbone_starts_as_the_classifiers():
    segmenter = tiny_segmenter("lora").state_dict()
    classifier = tiny_model("lora", backbone={"depth": 3}).state_dict()
    shared = {name for name in segmenter if name.startswith(("backbone.", "adaptation."))}
    assert set(classifier) - shared - {"backbone.cls_token", "backbone.cls_pos"} == {
        name for name in classifier if name.startswith("head.")
    }
    assert all(torch.equal(segmenter[name], classifier[name]) for name in shared)


@pytest.mark.parametrize("backbone", ["point-mae", "recon"])
def test_cloud_and_category_decide_the_labels(backbone):
    model = tiny_segmenter(backbone=backbone).eval()
    with torch.no_grad():
        logits = model(clouds(), CATEGORY).logits
        alone = model(clouds()[1:2], CATEGORY[1:2]).logits
        other = model(clouds(), (CATEGORY + 1) % CATEGORIES).logits
    torch.testing.assert_close(alone, logits[1:2])
    assert ((other - logits).abs().amax(dim=(1, 2)) > 1e-6).all()


@pytest.mark.parametrize("category", [torch.tensor([0, 1]), torch.tensor([[0], [1], [2]])])
def test_each_cloud_needs_one_category(category):
    with pytest.raises(ValueError, match="category"):
        tiny_segmenter()(clouds(), category)


def test_points_other_than_the_clouds_own_are_labelled_too(monkeypatch):
    model = tiny_segmenter().eval()
    more = torch.cat([clouds(points=50)[:, :7], clouds()], dim=1)
    with torch.no_grad():
        own, other = (model(clouds(), CATEGORY, at).logits for at in (None, more))
        torch.testing.assert_close(other[:, 7:], own)
        monkeypatch.setattr(segmentation_head, "_ROWS", 3 * 8)  # 8 points of each cloud at once
        torch.testing.assert_close(model(clouds(), CATEGORY, more).logits, other)


def test_levels_are_the_last_blocks_of_each_third():
    assert tapped_layers(12) == (3, 7, 11)
    assert tapped_layers(24) == (7, 15, 23)
    assert [tapped_layers(depth) for depth in (1, 2, 4)] == [(0, 0, 0), (0, 1, 1), (1, 2, 3)]
    assert tapped_layers(5) == (1, 3, 4)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_depth_that_three_does_not_divide_runs(depth):
    model = build_initialized_model(segmentation_spec(depth=depth), OUTPUTS).eval()
    passes = []
    for block in model.backbone.blocks:
        block.register_forward_hook(lambda module, inputs, output: passes.append(module))
    with torch.no_grad():
        assert model(clouds(), CATEGORY).logits.isfinite().all()
    assert passes == list(model.backbone.blocks)


def plain_head(head, tokens, centers, queries, category, at):
    """The official order of operations: everything repeated for each point, then one layer after another."""

    def layer(part, rows):
        return F.relu(part.norm(part.linear(rows)))

    batch, points = at.shape[:2]
    rows = torch.cat([at, interpolate(at, centers, tokens)], dim=-1).flatten(0, 1)
    propagated = layer(head.propagation2, layer(head.propagation1, rows))
    one_hot = F.one_hot(category, CATEGORIES).to(tokens.dtype)
    label = F.leaky_relu(head.category.norm(head.category.linear(one_hot)), 0.2)
    summary = torch.cat([tokens.amax(1), tokens.mean(1), *([] if queries is None else [queries]), label], -1)
    repeated = summary[:, None].expand(-1, points, -1).flatten(0, 1)
    hidden = layer(head.layer2, layer(head.layer1, torch.cat([propagated, repeated], dim=-1)))
    return head.layer3(hidden).view(batch, points, -1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("width", [0, 5])
def test_the_split_head_is_the_official_one(width, training):
    """Logits, gradients and running statistics, of batch norm over all points of the batch too."""
    torch.manual_seed(1)
    inputs = [torch.randn(3, 9, 8).double(), torch.rand(3, 9, 3).double()]
    queries = torch.randn(3, width).double() if width else None
    at = torch.rand(3, 11, 3).double()
    found = []
    for run in (SegmentationHead.__call__, plain_head):
        torch.manual_seed(2)
        head = SegmentationHead(8, width, categories=CATEGORIES, parts=PARTS).double().train(training)
        head.dropout.p = 0.0
        tokens = inputs[0].clone().requires_grad_()
        logits = run(head, tokens, inputs[1], queries, CATEGORY, at)
        logits.square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in head.named_parameters()}
        found.append((logits, tokens.grad, gradients, dict(head.named_buffers())))
    torch.testing.assert_close(*found)


def test_bfloat16_is_close():
    model = tiny_segmenter().eval()
    with torch.no_grad():
        exact = model(clouds(), CATEGORY).logits
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(clouds(), CATEGORY).logits
    assert rounded.dtype == torch.bfloat16
    assert (rounded - exact).abs().max() < 0.02 * exact.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(clouds(), CATEGORY).logits.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def written(model, path, container, drop=(), more=()):
    """The whole model under official names, 1x1 convolutions as such."""
    weights = {}
    for own, name in official_names(model).items():
        value = model.state_dict()[own]
        is_convolution = value.dim() == 2 and name.startswith(
            ("encoder.", "label", "propagation", "convs", "blocks.cls")
        )
        weights[f"module.{name}"] = value[:, :, None].clone() if is_convolution else value.clone()
    weights |= {f"module.{name}": torch.ones(3) for name in more}
    weights = {name: value for name, value in weights.items() if not name.startswith(tuple(drop))}
    torch.save({container: weights}, path)
    return path


PRE_TRAINED = {
    "container": "base_model",
    "drop": ("module.label_conv", "module.propagation_0", "module.convs", "module.bns"),
}
CLASS_TOKEN = ("cls_token", "cls_pos")


@pytest.mark.parametrize(
    ("backbone", "file", "layout"),
    [
        ("point-mae", {"container": "model_state_dict"}, "segmentation"),
        ("point-mae", {**PRE_TRAINED, "more": ("mask_token",)}, "pre-training"),
        ("point-mae", {**PRE_TRAINED, "more": CLASS_TOKEN}, "pre-training"),
        ("act", {**PRE_TRAINED, "more": (*CLASS_TOKEN, "lm_head.bias")}, "pre-training"),
        (
            "recon-plain",
            {**PRE_TRAINED, "more": (*CLASS_TOKEN, "img_token", "img_proj.bias")},
            "pre-training",
        ),
        ("recon", {**PRE_TRAINED, "more": ("text_proj.bias",)}, "pre-training"),
        ("recon", {"container": "model_state_dict"}, "segmentation"),
    ],
)
def test_a_checkpoint_fills_the_whole_backbone(tmp_path, backbone, file, layout):
    donor = tiny_segmenter(backbone=backbone)
    torch.manual_seed(4)
    for parameter in donor.parameters():
        parameter.data.normal_()
    path = written(donor, tmp_path / "checkpoint.pth", **file)
    model = tiny_segmenter("lora", backbone)
    spec = segmentation_spec("lora", backbone, init="checkpoint", weights=str(path))
    base = load_base(model, spec.backbone, 0)
    assert base.layout == layout
    expected = donor.state_dict()
    assert base.names == {name for name in expected if name.startswith("backbone.")}
    assert all(torch.equal(model.state_dict()[name], expected[name]) for name in base.names)


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("point-mae", {"drop": ("module.norm.weight",)}),
        ("point-mae", {"more": ("img_token",)}),
        ("recon", {"drop": ("module.cls_token",)}),
    ],
)
def test_a_checkpoint_that_lacks_or_has_anything_else_is_refused(tmp_path, backbone, file):
    path = written(tiny_segmenter(backbone=backbone), tmp_path / "file.pth", "model_state_dict", **file)
    spec = segmentation_spec(backbone=backbone, init="checkpoint", weights=str(path))
    with pytest.raises(DataError, match=r"norm\.weight|img_token|cls_token"):
        load_base(tiny_segmenter(backbone=backbone), spec.backbone, 0)


HEAD_PARAMETERS = 5_238_706
ADDED = {
    "full": 27_063_730 - HEAD_PARAMETERS,
    "bitfit": 39_680,
    "lora": 18_432 * 8,
    "vpt": 12 * 2 * 10 * 384,
    "adapter": 12 * (769 * 64 + 384),
    "idpt": 1_330_176 + 384,  # the generator, and the prompt's position
    "dapt": 609_036 + 112_128,
    "ppt": 3 * (2 * 384 * 256 + 256 + 384) + 33_792 + 50_048,
    "pointgst": 354_528,
    "pointlora": 772_752 - 267_535 - 768,
}
"""What trains beside the head, by method, in a backbone of full size."""


@pytest.mark.parametrize("method", ADDED)
def test_the_head_trains_with_every_method(method):
    spec = RunSpec.model_validate(
        {"task": "part-segmentation", "data": {"source": "shapenetpart"}, "method": {"name": method}}
    )
    with torch.device("meta"):
        counts = count_parameters(build_segmenter(spec, Outputs(50, 16)))
    assert counts.head == HEAD_PARAMETERS
    assert counts.trained - counts.head == ADDED[method]
