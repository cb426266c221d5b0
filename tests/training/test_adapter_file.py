"""Adapter files: what they hold, and what they refuse."""

import json
from pathlib import Path

import pytest
import torch
from model_specs import METHODS, tiny_model, tiny_spec

from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.services.trained_model import load_trained_model
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.adapter_file import RECORD, WEIGHTS, apply_adapter, read_adapter, save_adapter

CLASSES = ("a", "b", "c", "d", "e")


def moved(method="pointlora", seed=0):
    """A model whose trained parameters and buffers have changed since its base, and the base."""
    spec, model = tiny_spec(method), tiny_model(method)
    base = load_base(model, spec.backbone, 0)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter))
    model.train()(torch.rand(4, 64, 3))
    return spec, model.eval(), base


def fresh(method="pointlora", seed=0):
    spec, model = tiny_spec(method, train={"seed": seed}), None
    model = build_initialized_model(spec, Outputs(len(CLASSES)))
    return model, load_base(model, spec.backbone, seed)


@pytest.mark.parametrize("method", METHODS)
def test_adapter_and_base_give_the_same_logits_bit_for_bit(tmp_path, method):
    spec, model, base = moved(method)
    save_adapter(tmp_path, model, base, spec, CLASSES, {"epoch": 3})
    record, tensors = read_adapter(tmp_path)
    assert (record.classes, record.spec, record.result) == (CLASSES, spec, {"epoch": 3})
    restored, base_again = fresh(method)
    apply_adapter(restored, base_again, record, tensors, tmp_path)
    points = torch.rand(3, 64, 3)
    with torch.no_grad():
        assert torch.equal(restored.eval()(points).logits, model(points).logits)
    for name, value in model.state_dict().items():
        assert torch.equal(restored.state_dict()[name], value), name


def test_it_holds_what_changed_and_not_the_frozen_weights(tmp_path):
    spec, model, base = moved()
    save_adapter(tmp_path, model, base, spec, CLASSES, {})
    names = set(read_adapter(tmp_path)[1])
    assert (
        "backbone.patch_encoder.second.norm.running_mean" in names
    )  # it moved, though its weights are frozen
    assert "head.layers.1.running_var" in names
    assert "adaptation.gates.blocks.0.qkv" in names
    assert not any("blocks.0.attn.qkv.weight" in name for name in names)


def test_the_published_model_s_adapter_is_under_five_per_cent_of_the_model(tmp_path):
    spec = load_run_spec(preset="scanobjectnn", overrides=["backbone.init=random"])
    model = build_initialized_model(spec, Outputs(15))
    base = load_base(model, spec.backbone, 0)
    save_adapter(tmp_path, model, base, spec, tuple(f"class{i}" for i in range(15)), {})
    adapter = sum(path.stat().st_size for path in tmp_path.iterdir())
    whole = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    assert adapter < 0.05 * whole


def test_a_wrong_base_is_refused_and_both_are_named(tmp_path):
    spec, model, base = moved()
    save_adapter(tmp_path, model, base, spec, CLASSES, {})
    record, tensors = read_adapter(tmp_path)
    other, other_base = fresh(seed=1)
    with pytest.raises(
        DataError, match=r"trained on random weights of seed 0 .* and this is random weights of seed 1"
    ):
        apply_adapter(other, other_base, record, tensors, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("head.layers.8.bias"), "head.layers.8.bias is missing"),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "extra is unknown"),
        (
            lambda tensors: tensors.update({"head.layers.8.bias": torch.ones(7)}),
            "head.layers.8.bias is (7,), the model has (5,)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, change, words):
    spec, model, base = moved()
    save_adapter(tmp_path, model, base, spec, CLASSES, {})
    record, tensors = read_adapter(tmp_path)
    change(tensors)
    restored, base_again = fresh()
    with pytest.raises(DataError) as error:
        apply_adapter(restored, base_again, record, tensors, tmp_path)
    assert words in error.value.message


def test_one_flipped_bit_is_detected(tmp_path):
    spec, model, base = moved()
    save_adapter(tmp_path, model, base, spec, CLASSES, {})
    content = bytearray((tmp_path / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(IntegrityError, match="SHA-256"):
        read_adapter(tmp_path)


@pytest.mark.parametrize("cut", ["after the pending record", "after the weights"])
def test_a_crash_between_its_two_files_leaves_the_old_adapter_or_the_new(tmp_path, cut, monkeypatch):
    spec, model, base = moved(seed=1)
    save_adapter(tmp_path, model, base, spec, CLASSES, {"epoch": 1})
    model.head.layers[8].bias.data.add_(1)
    stop = {"after the pending record": WEIGHTS, "after the weights": RECORD}[cut]
    replace = Path.replace

    def die(self, target):
        if Path(target).name == stop:
            raise SystemExit
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(SystemExit):
        save_adapter(tmp_path, model, base, spec, CLASSES, {"epoch": 2})
    monkeypatch.undo()
    record, tensors = read_adapter(tmp_path)
    assert record.result["epoch"] == (1 if stop == WEIGHTS else 2)
    assert torch.equal(tensors["head.layers.8.bias"], model.head.layers[8].bias) == (stop == RECORD)
    save_adapter(tmp_path, model, base, spec, CLASSES, {"epoch": 3})
    assert read_adapter(tmp_path)[0].result["epoch"] == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "{",
        lambda text: "[]",
        lambda text: text.replace('"classes"', '"klasses"'),
        lambda text: json.dumps(json.loads(text) | {"schema_version": 2}),
        lambda text: json.dumps(json.loads(text) | {"spec": {"train": {"epochs": -1}}}),
        lambda text: json.dumps(json.loads(text) | {"classes": []}),
        lambda text: json.dumps(json.loads(text) | {"classes": ["a"] * 5}),
        lambda text: json.dumps(json.loads(text) | {"resampling": {"points": 10**9, "normalize": "none"}}),
    ],
)
def test_a_record_that_is_not_one_is_one_clear_error(tmp_path, change):
    spec, model, base = moved()
    save_adapter(tmp_path, model, base, spec, CLASSES, {})
    (tmp_path / RECORD).write_text(change((tmp_path / RECORD).read_text()))
    with pytest.raises(DataError) as error:
        read_adapter(tmp_path)
    assert error.value.message.startswith(f"{tmp_path / RECORD}: not an adapter record")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("backbone", "width", 4096), ("backbone", "depth", 64), ("method", "prompt_width", 65536)],
)
def test_a_record_that_claims_another_size_is_refused_before_memory_is_taken(tmp_path, section, key, value):
    spec, model, base = moved()
    save_adapter(tmp_path, model, base, spec, CLASSES, {})
    record = json.loads((tmp_path / RECORD).read_text())
    record["spec"][section][key] = value
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(DataError, match="does not fit its spec"):
        load_trained_model(tmp_path)


def test_an_empty_folder_is_no_adapter(tmp_path):
    with pytest.raises(DataError, match="no adapter here"):
        read_adapter(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"")
    with pytest.raises(DataError, match=r"adapter\.json is missing"):
        read_adapter(tmp_path)
