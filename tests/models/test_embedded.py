"""The small backbone that comes with the package is the one that its preset makes, and no other is taken for it."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.files import file_sha256
from pointlora_cli.models import base_weights
from pointlora_cli.models.base_weights import base_identity, load_base
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.embedded import EMBEDDED, EMBEDDED_FILE, EMBEDDED_SHA256
from pointlora_cli.services.pretrained_base import base_changes, pretraining_of, require_base
from pointlora_cli.specs.loading import load_run_spec

STARTED = load_run_spec(preset="folder", overrides=base_changes(Path(EMBEDDED)))


def test_it_is_the_file_of_its_hash_and_small():
    assert file_sha256(EMBEDDED_FILE) == EMBEDDED_SHA256 == base_identity(STARTED.backbone)
    assert EMBEDDED_FILE.stat().st_size < 4 * 2**20


def test_the_preset_in_the_repository_made_it():
    made_by = pretraining_of(EMBEDDED_FILE)
    preset = load_run_spec(preset="pretrain-quickstart")
    anywhere = {"name": True, "output": True}
    assert made_by is not None
    assert made_by.model_dump(exclude=anywhere) == preset.model_dump(exclude=anywhere)
    assert made_by.data.collection == "pretraining"


def test_it_holds_about_a_million_numbers_of_a_point_mae():
    with safe_open(EMBEDDED_FILE, framework="pt") as file:
        names = list(file.keys())
        count = sum(file.get_tensor(name).numel() for name in names)
    assert 800_000 < count < 1_200_000
    assert all(name.startswith("MAE_encoder.") for name in names)


def test_it_says_how_it_was_made_and_how_good_it_is():
    with safe_open(EMBEDDED_FILE, framework="pt") as file:
        said = json.loads(file.metadata()["provenance"])
    assert said["result"]["linear_probe"] > 0.7
    assert said["spec"]["train"]["seed"] == 0
    text = EMBEDDED_FILE.with_suffix(".md").read_text(encoding="utf-8")
    for part in (
        EMBEDDED_SHA256,
        f"{100 * said['result']['linear_probe']:.1f} %",
        "--preset pretrain-quickstart",
    ):
        assert part in text


def test_a_run_starts_from_it_by_its_name():
    assert (STARTED.backbone.init, STARTED.backbone.weights) == ("checkpoint", EMBEDDED)
    model = build_initialized_model(STARTED, Outputs(4))
    before = model.state_dict()["backbone.blocks.0.attn.qkv.weight"].clone()
    base = load_base(model, STARTED.backbone, 0)
    assert (base.source, base.file_sha256) == (EMBEDDED, EMBEDDED_SHA256)
    assert not before.equal(model.state_dict()["backbone.blocks.0.attn.qkv.weight"])


@pytest.mark.parametrize(
    "change", ["backbone.width=60", "backbone.heads=6", "backbone.encoder_widths=[32,64,96]"]
)
def test_other_sizes_are_refused_before_anything_starts(change):
    spec = load_run_spec(preset="folder", overrides=[change])
    with pytest.raises(DataError, match=change.partition("=")[0]) as refusal:
        require_base(spec.backbone)
    assert "--base embedded" in refusal.value.remedy
    assert "backbone.init=random" in refusal.value.remedy


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    content = bytearray(EMBEDDED_FILE.read_bytes())
    content[-1] ^= 1
    damaged = tmp_path / EMBEDDED_FILE.name
    damaged.write_bytes(content)
    monkeypatch.setattr(base_weights, "EMBEDDED_FILE", damaged)
    with pytest.raises(IntegrityError, match="changed after it was installed") as refusal:
        load_base(build_initialized_model(STARTED, Outputs(4)), STARTED.backbone, 0)
    assert refusal.value.remedy == "Install pointlora again."


def test_a_missing_file_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(base_weights, "EMBEDDED_FILE", tmp_path / "gone")
    with pytest.raises(DataError, match="not where the package has it"):
        base_identity(STARTED.backbone)
