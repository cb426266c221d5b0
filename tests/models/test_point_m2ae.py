"""Point-M2AE: its levels, masks and pooling, its files, and what runs on it."""

import pytest
import torch
from model_specs import assert_it_learns, tiny_spec
from pydantic import ValidationError
from torch.nn import functional as F

from pointlora_cli.adaptation.build import build_adaptation
from pointlora_cli.adaptation.full import FullFineTuning
from pointlora_cli.errors import DataError
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.grouping import group
from pointlora_cli.models.official import official_names
from pointlora_cli.models.point_m2ae import reach
from pointlora_cli.models.tokens import Scale
from pointlora_cli.models.transformer import Attention
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.backbone import PointM2AESpec
from pointlora_cli.specs.method import FullMethod
from pointlora_cli.specs.run import RunSpec

BACKBONE = {
    "name": "point-m2ae",
    "init": "random",
    "widths": (8, 16, 24),
    "depths": (1, 2, 1),
    "heads": 2,
    "groups": (24, 12, 6),
    "neighbors": (8, 4, 4),
    "encoder_widths": (8, 12, 16),
}
METHODS = ("full", "linear", "mlp3", "lora", "bitfit", "adapter")
REFUSED = ("vpt", "idpt", "dapt", "ppt", "pointgst", "pointlora")


def m2ae_spec(method="full", **changes):
    backbone = {**BACKBONE, **changes}
    values = tiny_spec(method).model_dump()
    return RunSpec.model_validate({**values, "backbone": backbone})


def m2ae_model(method="full", **changes):
    from pointlora_cli.models.build import Outputs, build_initialized_model

    return build_initialized_model(m2ae_spec(method, **changes), Outputs(5))


def clouds(count=3, points=64):
    return torch.randn(count, points, 3, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def full():
    """An adaptation that changes nothing."""
    shape = m2ae_model().backbone.shape
    adaptation = build_adaptation(FullMethod(), shape)
    assert isinstance(adaptation, FullFineTuning)
    return adaptation


@pytest.mark.parametrize("skip", [False, True])
def test_the_centers_of_a_coarser_level_are_the_first_of_the_finer_one(skip):
    points = clouds() * torch.linspace(0.05, 1, 64)[:, None]  # some are near the origin
    (finest,) = group(points, [Scale(24, 8)], skip_near_origin=skip)
    again = farthest_point_sampling(finest.centers, 12, skip_near_origin=skip)
    assert again.equal(torch.arange(12).expand(3, -1))


def test_attention_reaches_only_near_centers(full):
    centers, attention = clouds(2, 20), Attention(16, 2)
    tokens = torch.randn(2, 20, 16)
    mask = reach(centers, 1.0)
    assert mask is not None
    assert 0.1 < mask.float().mean() < 0.9
    ours = attention(tokens, 0, full, mask)

    query, key, value = attention.qkv(tokens).view(2, 20, 3, 2, 8).permute(2, 0, 3, 1, 4)
    far = (centers[:, :, None] - centers[:, None]).norm(dim=-1) >= 1.0
    logits = query @ key.transpose(-2, -1) / 8**0.5 + far[:, None] * -1e5
    plain = attention.proj((F.softmax(logits, -1) @ value).transpose(1, 2).reshape(2, 20, 16))
    torch.testing.assert_close(ours, plain)


def test_radius_zero_is_no_limit():
    assert reach(clouds(), 0.0) is None
    points = clouds()
    wide, none = (m2ae_model(radii=(radius,) * 3).eval() for radius in (100.0, 0.0))
    torch.testing.assert_close(wide(points).logits, none(points).logits)


@pytest.mark.parametrize(("pooling", "width"), [("sum", 24), ("concat", 48)])
def test_pooling(pooling, width):
    prediction = m2ae_model(pooling=pooling).eval()(clouds())
    tokens = prediction.sequence.tokens
    mean, most, behind = tokens.mean(1), tokens.max(1)[0], tokens[:, 1:].max(1)[0]
    expected = mean + most if pooling == "sum" else torch.cat([mean, behind], dim=1)
    assert prediction.feature.shape == (3, width)
    torch.testing.assert_close(prediction.feature, expected)


@pytest.mark.parametrize("method", METHODS)
def test_methods_train_on_every_level(method):
    assert_it_learns(m2ae_model(method), clouds(8), torch.arange(8) % 5, 12)


@pytest.mark.parametrize("method", METHODS)
def test_a_cloud_does_not_depend_on_its_batch(method):
    model, points = m2ae_model(method).eval(), clouds()
    together = model(points).logits
    alone = torch.cat([model(cloud[None]).logits for cloud in points])
    torch.testing.assert_close(together, alone)


def test_shape_counts_blocks_through_all_levels():
    backbone = m2ae_model().backbone
    assert backbone.shape.widths == (8, 16, 16, 24)
    assert [backbone.linear(layer, "fc2").out_features for layer in range(4)] == [8, 16, 16, 24]


def test_drop_path_rises_through_all_levels():
    model = m2ae_model(drop_path=0.3)
    rates = [block.drop_path.rate for level in model.backbone.levels for block in level.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("method", REFUSED)
def test_methods_of_one_scale_are_refused(method):
    with pytest.raises(ValidationError, match=r"does not run on backbone point-m2ae.*no class token"):
        m2ae_spec(method)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 3}, r"must divide every one of widths \[8, 16, 24\]"),
        ({"groups": (12, 24, 6)}, "must not rise"),
        ({"neighbors": (8, 25, 4)}, "the finer level has but 24 groups"),
        ({"groups": (24, 12, 1), "neighbors": (8, 4, 4)}, "needs two groups"),
        ({"radii": (0.3, -1.0, 1.0)}, "radii must be 0 or more"),
        ({"depths": (1, 0, 1)}, "depths must be between 1 and 64"),
        ({"groups": (65, 12, 6)}, r"backbone\.groups\.0 \(65\) is more than data\.points \(64\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        m2ae_spec(**changes)


def pretraining(model):
    """As the project's pre-training stores them: a norm for each level, and a decoder."""
    names = official_names(model)
    weights = {
        f"module.{names[own]}": value.clone()
        for own, value in model.state_dict().items()
        if own.startswith("backbone.levels.")
    }
    for name in (
        "h_encoder.encoder_norms.0.weight",
        "mask_token",
        "h_decoder.0.blocks.0.norm1.bias",
        "decoder_pos_embeds.0.0.weight",
        "token_prop.0.fuse.net.0.weight",
        "decoder_norm.weight",
        "rec_head.weight",
    ):
        weights[f"module.{name}"] = torch.ones(3)
    return weights


def test_pretraining_files_are_read(tmp_path):
    donor = m2ae_model()
    for value in donor.state_dict().values():
        if value.is_floating_point():
            value.normal_(generator=torch.Generator().manual_seed(9))
    path = tmp_path / "pretrain.pth"
    torch.save({"base_model": pretraining(donor)}, path)
    model = m2ae_model()
    base = load_base(
        model, PointM2AESpec.model_validate({**BACKBONE, "init": "checkpoint", "weights": str(path)}), 0
    )
    assert base.layout == "pre-training"
    theirs, fresh = donor.state_dict(), m2ae_model().state_dict()
    for name, value in model.state_dict().items():
        assert value.equal((theirs if name.startswith("backbone.levels.") else fresh)[name]), name


def test_files_of_the_older_names_are_refused(tmp_path):
    weights = {
        name.replace("h_encoder.", "MAE_encoder.encoders."): value
        for name, value in pretraining(m2ae_model()).items()
    }
    path = tmp_path / "old.pth"
    torch.save({"base_model": weights}, path)
    spec = PointM2AESpec.model_validate({**BACKBONE, "init": "checkpoint", "weights": str(path)})
    with pytest.raises(DataError, match="not a Point-M2AE checkpoint") as caught:
        load_base(m2ae_model(), spec, 0)
    assert "MAE_encoder.encoders." in str(caught.value)
