"""Importing official checkpoints."""

import pickle

import numpy as np
import pytest
import torch
from model_specs import tiny_model, tiny_spec
from safetensors.torch import save_file

from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.checkpoint_file import read_checkpoint
from pointlora_cli.models.official import load_official_model, official_names

ENCODER = "module.MAE_encoder."


def official_weights(model, prefix=""):
    """The backbone of a model under official names and shapes."""
    names = official_names(model)
    weights = {}
    for own, value in model.state_dict().items():
        if own.startswith("backbone."):
            name = names[own]
            convolution = name.startswith("encoder.") and name.endswith("weight") and value.dim() == 2
            weights[prefix + name] = value[:, :, None].clone() if convolution else value.clone()
    return weights


def pretraining_weights(model):
    """As Point-MAE's pre-training stores them: no class token, a decoder beside the encoder."""
    weights = official_weights(model, ENCODER)
    del weights[f"{ENCODER}cls_token"], weights[f"{ENCODER}cls_pos"]
    for name in (
        "mask_token",
        "decoder_pos_embed.0.weight",
        "MAE_decoder.blocks.0.norm1.bias",
        "increase_dim.0.bias",
    ):
        weights[f"module.{name}"] = torch.ones(3)
    return weights


@pytest.fixture
def donor():
    torch.manual_seed(5)
    model = tiny_model("full")
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.normal_()
    return model


def backbone_spec(path, **changes):
    return tiny_spec("mlp3", backbone={"init": "checkpoint", "weights": str(path), **changes}).backbone


def saved(folder, weights, **more):
    path = folder / "pretrain.pth"
    torch.save({"base_model": weights, "epoch": 300, **more}, path)
    return path


def test_a_pretraining_file_fills_the_backbone_except_its_class_token(donor, tmp_path):
    metrics = {"acc": np.float64(91.5), "note": "best"}
    path = saved(tmp_path, pretraining_weights(donor), best_metrics=metrics, optimizer={"lr": 1e-3})
    model = tiny_model("mlp3")
    before = model.backbone.cls_token.clone()
    base = load_base(model, backbone_spec(path), 0)
    assert base.layout == "pre-training"
    assert torch.equal(model.backbone.blocks[1].mlp.fc1.weight, donor.backbone.blocks[1].mlp.fc1.weight)
    assert torch.equal(
        model.backbone.patch_encoder.second.linear1.weight, donor.backbone.patch_encoder.second.linear1.weight
    )
    assert torch.equal(model.backbone.cls_token, before)
    assert "backbone.cls_token" not in base.names


def test_a_finetuned_file_fills_the_class_token_too(donor, tmp_path):
    weights = official_weights(donor) | {"cls_head_finetune.8.bias": torch.ones(5)}
    model = tiny_model("mlp3")
    base = load_base(model, backbone_spec(saved(tmp_path, weights)), 0)
    assert base.layout == "fine-tuning"
    assert torch.equal(model.backbone.cls_token, donor.backbone.cls_token)


def test_the_identity_of_weights_does_not_depend_on_their_container(donor, tmp_path):
    weights = official_weights(donor)
    save_file(weights, tmp_path / "weights.safetensors")
    identities = {
        load_base(tiny_model("mlp3"), backbone_spec(path), 0).weights_sha256
        for path in (saved(tmp_path, weights), tmp_path / "weights.safetensors")
    }
    assert len(identities) == 1


def lacking(weights):
    del weights[f"{ENCODER}blocks.blocks.1.norm2.bias"]


def unknown(weights):
    weights["module.MAE_encoder.extra.weight"] = torch.ones(2)


def deeper(weights):
    weights[f"{ENCODER}blocks.blocks.2.norm1.bias"] = torch.ones(16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lacking, "1 missing (blocks.blocks.1.norm2.bias)"),
        (unknown, "1 unknown (extra.weight)"),
        (deeper, "1 unknown (blocks.blocks.2.norm1.bias)"),
    ],
)
def test_missing_or_unknown_names_are_an_error(donor, tmp_path, change, words):
    weights = pretraining_weights(donor)
    change(weights)
    with pytest.raises(DataError) as error:
        load_base(tiny_model("mlp3"), backbone_spec(saved(tmp_path, weights)), 0)
    assert words in error.value.message


def test_another_shape_is_named(donor, tmp_path):
    model = tiny_model("mlp3", backbone={"width": 32})
    with pytest.raises(DataError, match=r"cls_token is \(1, 1, 16\), the model has \(1, 1, 32\)"):
        load_base(model, backbone_spec(saved(tmp_path, official_weights(donor))), 0)


def test_a_complete_official_model_must_match_name_by_name():
    model = tiny_model("pointlora")
    names = official_names(model)
    weights = {names[own]: value for own, value in model.state_dict().items()}
    assert "blocks.blocks.0.attn.qkv.linear.weight" in weights
    del weights["lora_mask_predictor.fc1.bias"]
    with pytest.raises(DataError, match="1 missing"):
        load_official_model(model, weights)


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    path = tmp_path / "bomb.pth"
    content = {"base_model": {"a": torch.ones(1)}, "metrics": Bomb()}
    for make in (
        lambda: torch.save(content, path),
        lambda: torch.save(content, path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(pickle.dumps(Bomb())),
        lambda: path.write_bytes(pickle.dumps(Bomb(), protocol=0)),
    ):
        make()
        with pytest.raises(IntegrityError, match="refused, and nothing was run"):
            read_checkpoint(path)
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_that_is_no_checkpoint_is_one_clear_error(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read_checkpoint(tmp_path / name)
    assert error.value.message.startswith(str(tmp_path / name))
    assert "\n" not in error.value.message


def test_random_bytes_are_never_more_than_an_error(tmp_path):
    random = np.random.RandomState(0)
    path = tmp_path / "weights.pth"
    for size in [*range(1, 60), 500, 4000]:
        for low, high in ((0, 256), (32, 127)):  # any bytes, and text
            path.write_bytes(random.randint(low, high, size).astype(np.uint8).tobytes())
            with pytest.raises(DataError):
                read_checkpoint(path)


def test_a_missing_checkpoint_is_never_a_start_from_scratch(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_base(tiny_model("mlp3"), backbone_spec(tmp_path / "gone.pth"), 0)
    spec = tiny_spec("mlp3", backbone={"init": "checkpoint"}).backbone
    with pytest.raises(DataError, match="are not downloaded"):
        load_base(tiny_model("mlp3"), spec, 0)
