"""Masked pre-training: what is hidden, what is seen, and what is made of it."""

import pytest
import torch
from model_specs import masked_autoencoder_of, tiny_model, tiny_spec
from torch._subclasses.fake_tensor import FakeTensorMode

from pointlora_cli.models import masked_autoencoder
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.grouping import group
from pointlora_cli.models.masked_autoencoder import random_order
from pointlora_cli.models.official import load_official_backbone
from pointlora_cli.models.patch_encoder import PatchEncoder
from pointlora_cli.models.pretrained_file import write_pretrained
from pointlora_cli.models.tokens import Grouping
from pointlora_cli.ops.chamfer import chamfer_l2
from pointlora_cli.specs.pretraining import MaskingSpec
from pointlora_cli.training.optimizer import decay_groups

MASKING = MaskingSpec(decoder_depth=2, decoder_heads=2)
PATCHES, HIDDEN = 12, 7  # of tiny_spec; 0.6 of them, rounded down


def tiny_autoencoder(seed=0):
    return masked_autoencoder_of(tiny_spec("full"), MASKING, seed)


def orders(clouds, seed=0):
    return random_order(clouds, PATCHES, torch.Generator().manual_seed(seed))


@pytest.fixture
def points():
    return torch.rand(4, 64, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def model():
    return tiny_autoencoder()


class TestOrder:
    def test_each_cloud_has_its_own(self):
        found = orders(50)
        assert torch.equal(found.sort(dim=1).values, torch.arange(PATCHES).expand(50, -1))
        assert len(found.unique(dim=0)) == 50
        assert torch.equal(found, orders(50))
        assert not torch.equal(found, orders(50, seed=1))

    def test_each_patch_is_hidden_as_often(self):
        hidden = torch.bincount(orders(3000)[:, -HIDDEN:].flatten(), minlength=PATCHES) / 3000
        torch.testing.assert_close(hidden, torch.full((PATCHES,), HIDDEN / PATCHES), atol=0.04, rtol=0)

    def test_another_shape_is_refused(self, model, points):
        with pytest.raises(ValueError, match=r"order must be \(4, 12\), got \(3, 12\)"):
            model(points, orders(3))


class TestReconstruction:
    def test_hidden_patches_are_those_of_the_cloud(self, model, points):
        order = orders(4)
        found = model(points, order)
        (patches,) = group(points, [model.backbone.scale])
        assert found.predicted.shape == found.true.shape == (4, HIDDEN, 8, 3)
        for cloud in range(4):
            hidden = order[cloud, -HIDDEN:]
            assert torch.equal(found.true[cloud], patches.neighborhoods[cloud, hidden])
            assert torch.equal(found.centers[cloud], patches.centers[cloud, hidden])

    def test_loss_is_the_mean_over_the_hidden_patches_of_a_cloud(self, model, points):
        found = model(points, orders(4))
        for cloud, loss in enumerate(found.loss("chamfer-l2")):
            each = chamfer_l2(found.predicted[cloud], found.true[cloud])
            torch.testing.assert_close(loss, each.mean())
        assert (found.loss("chamfer-l1") != found.loss("chamfer-l2")).all()

    def test_the_order_within_a_part_does_not_matter(self, model, points):
        model.eval()
        order = orders(4)
        turned = torch.cat([order[:, :-HIDDEN].flip(1), order[:, -HIDDEN:].flip(1)], dim=1)
        found, again = model(points, order), model(points, turned)
        torch.testing.assert_close(again.predicted.flip(1), found.predicted, atol=1e-5, rtol=1e-5)

    def test_the_transformer_sees_nothing_of_what_is_hidden(self, model, points):
        (patches,) = group(points, [model.backbone.scale])
        visible = PATCHES - HIDDEN
        others = patches._replace(
            neighborhoods=torch.cat([patches.neighborhoods[:, :visible], torch.randn(4, HIDDEN, 8, 3)], dim=1)
        )
        model.eval()
        tokens = [
            model.backbone.encode(points, some, visible, model.adaptation).tokens
            for some in (patches, others)
        ]
        assert torch.equal(*tokens)
        assert tokens[0].shape[1] == visible

    def test_the_decoder_tells_hidden_patches_apart_by_their_centers_alone(self, model, points):
        model.eval()
        found = model(points, orders(4))
        centers = torch.cat([found.seen.centers, found.centers], dim=1)
        swapped = torch.cat([found.seen.centers, found.centers.flip(1)], dim=1)
        tokens, turned = (model.decoder(found.seen, some, model.adaptation) for some in (centers, swapped))
        torch.testing.assert_close(turned.flip(1), tokens, atol=1e-5, rtol=1e-5)
        assert tokens.std(dim=1).max() > 1e-3

    def test_bfloat16_keeps_coordinates_and_loss_in_float32(self, model, points):
        model.eval()
        exact = model(points, orders(4))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = model(points, orders(4))
        assert found.predicted.dtype == found.loss("chamfer-l2").dtype == torch.float32
        torch.testing.assert_close(found.predicted, exact.predicted, atol=0.05, rtol=0)
        assert not torch.equal(found.predicted, exact.predicted)


def test_no_value_is_waited_for(model, points, monkeypatch):
    """Of fake tensors there are shapes and no values: whatever behind the grouping asks for one fails."""
    model.train()
    (patches,) = group(points, [model.backbone.scale])
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        grouped = [Grouping(*map(fake.from_tensor, patches))]
        monkeypatch.setattr(masked_autoencoder, "group", lambda *_, **__: grouped)
        found = model(fake.from_tensor(points), fake.from_tensor(orders(4)))
        for distance in ("chamfer-l2", "chamfer-l1"):
            loss = found.loss(distance)
            gradients = torch.autograd.grad(loss.sum(), list(model.parameters()), retain_graph=True)
            assert loss.shape == (4,)
            assert gradients[0].shape == next(model.parameters()).shape


class TestPatchEncoder:
    @pytest.mark.parametrize("training", [True, False])
    def test_wanted_tokens_are_those_of_encoding_all(self, training):
        torch.manual_seed(0)
        encoder = PatchEncoder(20, (8, 12, 16)).double().train(training)
        neighborhoods = torch.randn(3, 5, 7, 3, dtype=torch.float64)
        found = []
        for wanted in (None, 2):
            tokens, statistics = encoder(neighborhoods, wanted)
            loss = tokens[:, :2].square().sum()
            gradients = torch.autograd.grad(loss, list(encoder.parameters()))
            found.append((tokens[:, :2], statistics, gradients))
        (tokens, statistics, gradients), (some, theirs, slopes) = found
        torch.testing.assert_close(some, tokens)
        torch.testing.assert_close(slopes, gradients)
        assert (statistics is None) == (not training)
        if training:
            torch.testing.assert_close(theirs.second, statistics.second)

    def test_each_pass_is_tracked_once(self, model, points):
        model.train()
        for _ in range(3):
            model(points, orders(4))
        assert model.backbone.patch_encoder.second.norm.num_batches_tracked == 3


class TestWeights:
    def test_a_seed_decides_all_of_them(self, model):
        again, other = tiny_autoencoder().state_dict(), tiny_autoencoder(1).state_dict()
        drawn = 0
        for name, value in model.state_dict().items():
            assert torch.equal(value, again[name]), name
            drawn += not torch.equal(value, other[name])
        assert drawn == sum(parameter.dim() > 1 for parameter in model.parameters()) + 3  # linear biases
        assert model.decoder.mask_token.std() > 0

    def test_blocks_of_the_decoder_start_by_the_rule_of_glorot(self, model):
        weight = model.decoder.blocks[1].attn.qkv.weight
        bound = (6 / (16 + 48)) ** 0.5
        assert 0.9 * bound < weight.abs().max() <= bound
        assert not model.decoder.blocks[1].mlp.fc1.bias.any()

    def test_learned_tokens_are_not_decayed(self, model):
        decayed, undecayed = decay_groups(model)
        assert "decoder.mask_token" in undecayed
        assert "decoder.blocks.0.attn.qkv.weight" in decayed
        assert len(decayed) + len(undecayed) == len(list(model.parameters()))

    def test_shapes_of_the_official_state_are_those_of_convolutions(self, model):
        shapes = {name: tuple(value.shape) for name, value in model.official_state().items()}
        assert shapes["MAE_encoder.encoder.second_conv.3.weight"] == (16, 16, 1)
        assert shapes["increase_dim.0.weight"] == (24, 16, 1)
        assert shapes["MAE_decoder.blocks.1.attn.qkv.weight"] == (48, 16)

    @pytest.mark.parametrize("encoder_only", [True, False])
    @pytest.mark.parametrize("name", ["ckpt-last.pth", "weights.safetensors"])
    def test_a_classifier_loads_the_file(self, model, tmp_path, name, encoder_only):
        path = tmp_path / name
        write_pretrained(path, model, epoch=7, provenance={"data": "shapes"}, encoder_only=encoder_only)
        assert [entry.name for entry in tmp_path.iterdir()] == [name]
        classifier = tiny_model("linear")
        spec = tiny_spec("linear", backbone={"init": "checkpoint", "weights": str(path)}).backbone
        base = load_base(classifier, spec, 0)
        assert base.layout == "pre-training"
        ours, theirs = classifier.backbone.state_dict(), model.backbone.state_dict()
        assert base.names == {f"backbone.{name}" for name in theirs}
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())

    def test_the_file_has_what_the_official_code_reads(self, model, tmp_path):
        write_pretrained(tmp_path / "ckpt.pth", model, epoch=7, provenance={"data": "shapes"})
        content = torch.load(tmp_path / "ckpt.pth", weights_only=True)
        assert set(content["base_model"]) == set(model.official_state())
        assert (content["epoch"], content["best_metrics"]) == (7, {})

    def test_pre_training_starts_from_another(self, model):
        weights = {f"module.{name}": value for name, value in model.official_state().items()}
        other = tiny_autoencoder(1)
        layout, _ = load_official_backbone(other, weights, "a file")
        assert layout == "pre-training"
        assert torch.equal(other.backbone.norm.weight, model.backbone.norm.weight)
        assert torch.equal(
            other.backbone.patch_encoder.first.linear1.weight,
            model.backbone.patch_encoder.first.linear1.weight,
        )


def test_it_learns(model, points):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    order, losses = orders(4), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = model(points, order).loss("chamfer-l2").mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


class TestSpec:
    def test_as_many_are_hidden_as_in_the_official_code(self):
        assert MaskingSpec().hidden(64) == 38
        assert MaskingSpec(ratio=0.9).hidden(1) == 0

    def test_what_does_not_fit_is_said(self):
        spec = tiny_spec("full", backbone={"width": 32}, tokenizer={"centers": 4})
        assert MaskingSpec(decoder_heads=4).problems(spec.backbone, spec.tokenizer) == []
        assert MaskingSpec(decoder_heads=3, ratio=0.2).problems(spec.backbone, spec.tokenizer) == [
            "decoder_heads (3) must divide backbone.width (32)",
            "ratio (0.2) hides none of tokenizer.centers (4)",
        ]
