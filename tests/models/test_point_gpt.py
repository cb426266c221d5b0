"""PointGPT against a plain reading of its description, its order of sight, its sizes, its files, its methods."""

import math
from dataclasses import replace

import pytest
import torch
from model_specs import METHODS, assert_it_learns, tiny_spec
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from pointlora_cli.errors import DataError
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import Outputs, build_classifier, build_initialized_model
from pointlora_cli.models.official import load_official_model, official_names
from pointlora_cli.models.point_gpt import coordinate_waves
from pointlora_cli.models.transformer import run_blocks
from pointlora_cli.specs.backbone import PointGPTSpec
from pointlora_cli.specs.run import RunSpec

BACKBONE = {
    "name": "point-gpt",
    "init": "random",
    "width": 16,
    "depth": 2,
    "heads": 2,
    "encoder_widths": (8, 10, 12, 20),
    "drop_path": 0.0,
}
SMALL = {"encoder_widths": (8, 12, 20)}
CENTERS, NEIGHBORS, WIDTH = 12, 8, 16
RUNS = ("full", "linear", "mlp3", "bitfit", "lora", "adapter", "adapter-sequential", "pointgst", "ssf")


def gpt_spec(method="full", **changes):
    values = tiny_spec("full").model_dump()
    return RunSpec.model_validate({**values, "backbone": {**BACKBONE, **changes}, "method": METHODS[method]})


def gpt_model(method="full", **changes):
    """A model whose weights and statistics are all of some size."""
    model = build_initialized_model(gpt_spec(method, **changes), Outputs(5))
    generator = torch.Generator().manual_seed(7)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
            if name.endswith("running_var"):
                value.abs_().add_(0.5)
    return model


def clouds(count=3, points=64):
    return torch.randn(count, points, 3, generator=torch.Generator().manual_seed(3))


def official_weights(model):
    """The weights under the project's names; 1x1 convolutions as there."""
    names = official_names(model)
    return {
        names[own]: value[..., None].clone()
        if ".patch_encoder." in own and value.dim() == 2
        else value.clone()
        for own, value in model.state_dict().items()
    }


class PlainBlock(nn.Module):
    """A block out of PyTorch's own parts, under the official names."""

    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        x = self.ln_1(x)
        blocked = torch.full((x.shape[1],) * 2, -math.inf).triu(1)
        x = x + self.attn(x, x, x, attn_mask=blocked, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Plain(nn.Module):
    """The network by its description, one patch and one token at a time where there is a choice."""

    def __init__(self, widths):
        super().__init__()
        *of_points, hidden = widths
        first, inputs = [], 3
        for outputs in of_points[:-1]:
            first += [nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs), nn.ReLU()]
            inputs = outputs
        local = of_points[-1]
        self.encoder = nn.ModuleDict(
            {
                "first_conv": nn.Sequential(*first, nn.Conv1d(inputs, local, 1)),
                "second_conv": nn.Sequential(
                    nn.Conv1d(2 * local, hidden, 1),
                    nn.BatchNorm1d(hidden),
                    nn.ReLU(),
                    nn.Conv1d(hidden, WIDTH, 1),
                ),
            }
        )
        self.cls_token, self.cls_pos, self.sos_pos = (nn.Parameter(torch.ones(1, 1, WIDTH)) for _ in range(3))
        self.blocks = nn.Module()
        self.blocks.sos = nn.Parameter(torch.ones(WIDTH))
        self.blocks.layers = nn.ModuleList(PlainBlock() for _ in range(2))
        self.blocks.ln_f, self.blocks.cls_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        layers = []
        for inputs in (2 * WIDTH, 256):
            layers += [nn.Linear(inputs, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5)]
        self.blocks.cls_head_finetune = nn.Sequential(*layers, nn.Linear(256, 5))

    def centers_and_patches(self, cloud):
        chosen = [0]
        while len(chosen) < CENTERS:
            distances = (cloud[:, None] - cloud[chosen]).square().sum(-1).amin(1)
            chosen.append(int(distances.argmax()))
        left, order = chosen[1:], [0]
        while left:
            order.append(min(left, key=lambda index: (cloud[index] - cloud[order[-1]]).norm().item()))
            left.remove(order[-1])
        near = [(cloud - cloud[index]).norm(dim=1).argsort()[:NEIGHBORS] for index in order]
        patches = [cloud[some] - cloud[index] for some, index in zip(near, order, strict=True)]
        return cloud[order], torch.stack(patches)

    def waves(self, center):
        each = 2 * int((WIDTH // 3) / 2)
        values = [
            (math.sin if channel % 2 == 0 else math.cos)(
                2 * math.pi * axis / 10000 ** (2 * (channel // 2) / each)
            )
            for axis in center.tolist()
            for channel in range(each)
        ]
        return torch.tensor([*values, *[0.0] * (WIDTH - len(values))])

    def forward(self, points):
        centers, patches = zip(*(self.centers_and_patches(cloud) for cloud in points), strict=True)
        flat = torch.cat(patches).transpose(1, 2)  # (B G, 3, K)
        local = self.encoder["first_conv"](flat)
        whole = local.max(dim=2, keepdim=True)[0].expand(-1, -1, NEIGHBORS)
        tokens = self.encoder["second_conv"](torch.cat([whole, local], dim=1)).max(dim=2)[0]
        batch = len(points)
        first = [self.blocks.sos.expand(batch, 1, -1), self.cls_token.expand(batch, 1, -1)]
        x = torch.cat([*first, tokens.view(batch, CENTERS, WIDTH)], dim=1)
        positions = torch.stack([torch.stack([self.waves(center) for center in some]) for some in centers])
        first = [self.cls_pos.expand(batch, 1, -1), self.sos_pos.expand(batch, 1, -1)]
        positions = torch.cat([*first, positions], dim=1)
        for block in self.blocks.layers:
            x = block(x + positions)
        x = self.blocks.cls_norm(self.blocks.ln_f(x))
        return self.blocks.cls_head_finetune(torch.cat([x[:, 1], x[:, 2:].max(1)[0]], dim=1))


@pytest.mark.parametrize("changes", [{}, SMALL], ids=["large encoder", "small encoder"])
def test_logits_and_gradients_are_those_of_the_description(changes):
    model, points, labels = gpt_model(**changes), clouds(4), torch.tensor([0, 1, 2, 4])
    plain = Plain(gpt_spec(**changes).backbone.encoder_widths)
    plain.load_state_dict(official_weights(model))
    torch.testing.assert_close(model.eval()(points).logits, plain.eval()(points), rtol=1e-4, atol=1e-4)
    model.backbone.train()  # batch statistics; the heads' dropout stays out of it
    plain.train().blocks.cls_head_finetune.eval()
    ours, expected = (F.cross_entropy(logits, labels) for logits in (model(points).logits, plain(points)))
    torch.testing.assert_close(ours, expected)
    ours.backward()
    expected.backward()
    names, theirs = official_names(model), dict(plain.named_parameters())
    for own, parameter in model.named_parameters():
        gradient = theirs[names[own]].grad.view(parameter.shape)
        largest = max(gradient.abs().max().item(), 0.01)
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4 * largest, msg=own)


def test_a_later_patch_never_changes_an_earlier_token():
    model = gpt_model().eval()
    backbone, adaptation = model.backbone, model.adaptation
    sequence = backbone._entered(clouds(2))
    changed = sequence.tokens.clone()
    changed[:, 9] += 1
    before = run_blocks(backbone.blocks, sequence, adaptation).tokens
    after = run_blocks(backbone.blocks, replace(sequence, tokens=changed), adaptation).tokens
    assert after[:, :9].equal(before[:, :9])
    assert (after[:, 9:] != before[:, 9:]).any(dim=2).all()


def test_the_class_token_says_nothing_of_the_cloud():
    model = gpt_model().eval()
    feature = model(clouds(3)).feature
    torch.testing.assert_close(feature[1:, :WIDTH], feature[:1, :WIDTH].expand(2, -1))
    assert not torch.allclose(feature[1:, WIDTH:], feature[:1, WIDTH:].expand(2, -1))


def test_patches_stand_in_their_chain():
    centers, neighborhoods = gpt_model().backbone.patches(clouds(2))
    steps = (centers[:, 1:] - centers[:, :-1]).norm(dim=-1)
    for cloud, own in zip(centers, steps, strict=True):
        for place, step in enumerate(own):
            assert step <= (cloud[place + 1 :] - cloud[place]).norm(dim=1).min() + 1e-6
    assert neighborhoods[:, :, 0].abs().max() == 0  # each is its own nearest neighbour


def test_positions_are_waves_of_each_axis_and_zeros():
    center = torch.tensor([[[0.25, -0.5, 0.1]]])
    waves = coordinate_waves(center, 16)[0, 0]
    frequencies = torch.tensor([1.0, 1 / 100])  # 4 channels for each axis
    for axis, value in enumerate(center[0, 0]):
        angles = 2 * math.pi * value * frequencies
        expected = torch.stack([angles.sin(), angles.cos()], dim=1).flatten()
        torch.testing.assert_close(waves[4 * axis : 4 * axis + 4], expected)
    assert waves[12:].abs().max() == 0


def full_size(method):
    spec = RunSpec.model_validate(
        {
            "data": {"source": "scanobjectnn"},
            "backbone": {"name": "point-gpt"},
            "tokenizer": {"centers": 128},
            "method": {"name": method},
        }
    )
    with torch.device("meta"):
        return build_classifier(spec, 15)


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


def test_pointgpt_l_has_its_published_sizes():
    model = full_size("full")
    block, width = count(model.backbone.blocks[0].parameters()), 1024
    to_points = width * 96 + 96  # of a token to the 32 points of a patch
    generator = 4 * block + width + 2 * width + to_points  # blocks, start, norm
    whole = count(model.parameters()) + generator + to_points + 2 * width  # the unused norm
    assert count(model.parameters()) == 309_870_863
    assert whole == 360_457_679  # published as 360.5 M
    tuned = full_size("pointgst")
    trained = count(parameter for parameter in tuned.parameters() if parameter.requires_grad)
    assert trained == 2_429_647  # published as 2.4 M
    assert round(100 * trained / 360.5e6, 2) == 0.67  # as published


@pytest.mark.parametrize("method", RUNS)
def test_methods_train_it(method):
    assert_it_learns(
        build_initialized_model(gpt_spec(method), Outputs(5)), clouds(8), torch.arange(8) % 5, 10
    )


@pytest.mark.parametrize("method", ["vpt", "vpt-shallow", "idpt", "dapt", "ppt", "point-peft", "pointlora"])
def test_methods_whose_tokens_all_must_see_are_refused(method):
    with pytest.raises(ValidationError, match=r"point-gpt, which .*lets each token see only those before it"):
        gpt_spec(method)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 3}, r"heads \(3\) must divide width \(16\)"),
        ({"encoder_widths": (8, 12)}, "encoder_widths"),
        ({"encoder_widths": (8, 8, 8, 8, 8)}, "encoder_widths"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        gpt_spec(**changes)


GENERATOR = ("generator_blocks.layers.0.ln_1.weight", "blocks.increase_dim.0.weight", "norm.weight")


def pretraining(model):
    """As the project's pre-training stores them: no class token, no head, and a generator."""
    weights = {
        f"module.GPT_Transformer.{name}": value
        for name, value in official_weights(model).items()
        if not name.startswith(("cls_", "blocks.cls_"))
    }
    return weights | {f"module.GPT_Transformer.{name}": torch.ones(3) for name in GENERATOR}


def loaded(weights, path):
    torch.save({"base_model": weights}, path)
    model = build_initialized_model(gpt_spec(), Outputs(5))
    spec = PointGPTSpec.model_validate({**BACKBONE, "init": "checkpoint", "weights": str(path)})
    return model, load_base(model, spec, 0)


def test_pretraining_files_are_read(tmp_path):
    donor = gpt_model()
    model, base = loaded(pretraining(donor), tmp_path / "pretrain.pth")
    assert base.layout == "pre-training"
    theirs, fresh = donor.state_dict(), build_initialized_model(gpt_spec(), Outputs(5)).state_dict()
    supplied = {name for name in fresh if name.startswith("backbone.")}
    supplied -= {f"backbone.{name}" for name in ("cls_token", "cls_pos", "norm.weight", "norm.bias")}
    assert base.names == supplied
    for name, value in model.state_dict().items():
        assert value.equal((theirs if name in supplied else fresh)[name]), name


def test_fine_tuned_files_are_read_whole(tmp_path):
    donor = gpt_model()
    weights = official_weights(donor) | {name: torch.ones(3) for name in GENERATOR}
    model, base = loaded(weights, tmp_path / "tuned.pth")
    assert base.layout == "fine-tuning"
    assert all(model.state_dict()[name].equal(donor.state_dict()[name]) for name in base.names)
    other = gpt_model("pointgst")
    load_official_model(other, {**official_weights(gpt_model("pointgst")), "norm.weight": torch.ones(3)})
    assert any("blocks.layers.1.gft_adapter." in name for name in official_names(other).values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("module.GPT_Transformer.blocks.sos"), r"1 missing \(blocks\.sos\)"),
        (lambda weights: weights.update({"sos": torch.ones(3)}), r"1 unknown \(sos\)"),
    ],
)
def test_other_files_are_refused(tmp_path, change, words):
    weights = pretraining(gpt_model())
    change(weights)
    with pytest.raises(DataError, match=f"not a PointGPT checkpoint.*{words}"):
        loaded(weights, tmp_path / "other.pth")
