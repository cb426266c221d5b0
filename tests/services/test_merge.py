"""Merging: the same logits from fewer parts, in a folder of its own, without the base."""

import json
import shutil

import pytest
import torch
from model_specs import METHODS, tiny_model, tiny_spec

from pointlora_cli.errors import DataError, IntegrityError, UsageError
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.services.merge import merge
from pointlora_cli.services.trained_model import load_trained_model
from pointlora_cli.training.adapter_file import RECORD, WEIGHTS, read_adapter, save_adapter
from pointlora_cli.training.classification import predict_logits

CLASSES = ("a", "b", "c", "d", "e")
FOLDED = ("lora", "pointlora", "pointlora-paper")
UNFOLDED = sorted(set(METHODS) - set(FOLDED))


def write_adapter(folder, method, /, **changes):
    """An adapter whose every trained weight and statistic has moved."""
    torch.manual_seed(0)
    spec = tiny_spec(method, **changes)
    model = tiny_model(method, **changes)
    base = load_base(model, spec.backbone, 0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.train()(torch.rand(4, 64, 3))
    save_adapter(folder, model, base, spec, CLASSES, {"epoch": 3})
    return folder


def logits_of(folder):
    trained = load_trained_model(folder)
    clouds = torch.rand(16, 64, 3, generator=torch.Generator().manual_seed(5))
    return predict_logits(trained.model, clouds, batch_size=8, device=trained.device, dtype=trained.dtype)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("method", FOLDED)
@pytest.mark.parametrize("changes", [{}, {"method": {"alpha": 5.0}}], ids=["", "scaled"])
def test_logits_are_equal_from_fewer_parameters(tmp_path, method, changes):
    changes = {name: {**METHODS[method], **options} for name, options in changes.items()}
    adapter = write_adapter(tmp_path / "adapter", method, **changes)
    before = content(adapter)
    result = merge(adapter)
    assert result.merged == tmp_path / "merged"
    found, expected = logits_of(result.merged), logits_of(adapter)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert result.difference <= 1e-5
    low_rank = {name: value for name, value in read_adapter(adapter)[1].items() if "low_rank" in name}
    assert result.before.total - result.after.total == sum(value.numel() for value in low_rank.values()) > 0
    assert not any("low_rank" in name for name in read_adapter(result.merged)[1])
    assert content(adapter) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "merged"]


@pytest.mark.parametrize("method", FOLDED)
def test_the_terms_that_are_folded_matter(tmp_path, method):
    """A merge that only dropped them would not pass the test above."""
    adapter = write_adapter(tmp_path / "adapter", method)
    model = load_trained_model(adapter).model
    clouds = torch.rand(4, 64, 3)
    with torch.no_grad():
        expected = model(clouds).logits
        for name, parameter in model.adaptation.named_parameters():
            if name.endswith(".B"):
                parameter.zero_()
        assert (model(clouds).logits - expected).abs().max() > 1e-3


@pytest.mark.parametrize("site", ["qkv", "proj", "fc1", "fc2"])
def test_each_site_is_folded_into_its_own_projection(tmp_path, site):
    method = {**METHODS["lora"], "sites": [site]}
    adapter = write_adapter(tmp_path / "adapter", "lora", method=method)
    plain, folded = load_trained_model(adapter).model, load_trained_model(merge(adapter).merged).model
    changed = {
        name
        for name, value in plain.backbone.state_dict().items()
        if not torch.equal(value, folded.backbone.state_dict()[name])
    }
    part = "attn" if site in {"qkv", "proj"} else "mlp"
    assert changed == {f"blocks.{layer}.{part}.{site}.weight" for layer in range(2)}


@pytest.mark.parametrize("backbone", ["recon", "point-bert"])
def test_other_backbones_blocks_are_folded_too(tmp_path, backbone):
    adapter = write_adapter(tmp_path / "adapter", "lora", backbone={"name": backbone})
    torch.testing.assert_close(logits_of(merge(adapter).merged), logits_of(adapter), atol=1e-5, rtol=0)


def test_the_record_says_what_it_was_made_of(tmp_path):
    adapter = write_adapter(tmp_path / "adapter", "pointlora")
    original, _ = read_adapter(adapter)
    record, _ = read_adapter(merge(adapter, output=tmp_path / "new" / "whole").merged)
    assert record.merged.method == record.method == original.spec.method
    assert record.merged.base == original.base
    assert record.merged.adapter_sha256 == original.weights.sha256
    assert record.merged.folded == "the low-rank terms at qkv, proj of 2 blocks"
    assert len(record.merged.kept) == 3
    assert (record.classes, record.resampling, record.result) == (CLASSES, original.resampling, {"epoch": 3})


def test_it_needs_no_base(tmp_path, checkpoint):
    base = shutil.copy(checkpoint, tmp_path / "base.pth")
    backbone = {
        "init": "checkpoint",
        "weights": str(base),
        "width": 24,
        "depth": 1,
        "encoder_widths": (8, 16, 32),
        "position_width": 8,
    }
    adapter = write_adapter(tmp_path / "adapter", "lora", backbone=backbone)
    expected = logits_of(adapter)
    merged = merge(adapter).merged
    base.unlink()
    torch.testing.assert_close(logits_of(merged), expected, atol=1e-5, rtol=0)
    with pytest.raises(DataError, match=r"base\.pth"):
        merge(adapter, output=tmp_path / "again")
    with pytest.raises(UsageError, match="needs no base"):
        load_trained_model(merged, base=checkpoint)


@pytest.mark.parametrize("method", UNFOLDED)
def test_methods_without_linear_terms_are_refused(tmp_path, method):
    adapter = write_adapter(tmp_path / "adapter", method)
    with pytest.raises(UsageError, match=f"nothing to merge: method {METHODS[method]['name']} "):
        merge(adapter)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.parametrize(
    ("method", "reason"), [("ssf", "puts shifts behind"), ("bitfit", "adds no linear terms")]
)
def test_the_refusal_says_what_cannot_be_folded(tmp_path, method, reason):
    with pytest.raises(UsageError, match=f"method {method} {reason}"):
        merge(write_adapter(tmp_path / "adapter", method))


def test_a_refusal_does_not_need_the_base(tmp_path):
    adapter = write_adapter(tmp_path / "adapter", "mlp3")
    document = json.loads((adapter / RECORD).read_text())
    document["spec"]["backbone"] |= {"init": "checkpoint", "weights": "gone.pth"}
    (adapter / RECORD).write_text(json.dumps(document))
    with pytest.raises(UsageError, match="nothing to merge"):
        merge(adapter)


@pytest.mark.parametrize("method", ["lora", "pointlora"])
def test_a_merged_model_is_not_merged_again(tmp_path, method):
    merged = merge(write_adapter(tmp_path / "adapter", method)).merged
    with pytest.raises(UsageError, match="merged model already"):
        merge(merged)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "merged"]


@pytest.mark.parametrize("taken", ["a folder", "an empty folder", "a file", "a broken link"])
def test_an_existing_output_is_never_overwritten(tmp_path, taken):
    adapter, output = write_adapter(tmp_path / "adapter", "lora"), tmp_path / "merged"
    if "folder" in taken:
        output.mkdir()
    if taken == "a folder":
        (output / "mine").touch()
    if taken == "a file":
        output.write_text("mine")
    if taken == "a broken link":
        output.symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="exists already"):
        merge(adapter)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "merged"]


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    adapter = write_adapter(tmp_path / "adapter", "lora")
    record, _ = read_adapter(adapter)
    broken = load_trained_model(adapter).model
    broken.adaptation.low_rank.term(0, "fc1").B.data[0, 0] = float("nan")
    base = load_base(tiny_model("lora"), record.spec.backbone, 0)
    save_adapter(adapter, broken, base, record.spec, CLASSES, {})
    with pytest.raises(DataError, match="not equal"):
        merge(adapter)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_an_output_that_cannot_be_written_leaves_nothing(tmp_path):
    adapter = write_adapter(tmp_path / "adapter", "lora")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        merge(adapter, output=tmp_path / "file" / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "file"]


def test_one_flipped_bit_is_detected(tmp_path):
    merged = merge(write_adapter(tmp_path / "adapter", "lora")).merged
    damaged = bytearray((merged / WEIGHTS).read_bytes())
    damaged[len(damaged) // 2] ^= 4
    (merged / WEIGHTS).write_bytes(damaged)
    with pytest.raises(IntegrityError, match="SHA-256"):
        load_trained_model(merged)


def test_a_record_that_only_claims_to_be_merged_is_refused(tmp_path):
    adapter = write_adapter(tmp_path / "adapter", "lora")
    merged = merge(adapter).merged
    document = json.loads((adapter / RECORD).read_text())
    document["merged"] = json.loads((merged / RECORD).read_text())["merged"]
    (adapter / RECORD).write_text(json.dumps(document))
    with pytest.raises(DataError, match="is missing"):
        load_trained_model(adapter)
