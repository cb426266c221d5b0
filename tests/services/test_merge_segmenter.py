"""Merging a part-segmentation model: the same labels from fewer parts."""

import pytest
import torch
from model_specs import METHODS

from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.services.merge import merge
from pointlora_cli.services.trained_model import load_trained_model
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import CategoryRecord, read_adapter, save_adapter

PARTS = ("seat", "leg", "blade", "handle", "guard")
CATEGORIES = (CategoryRecord(name="chair", first=0, parts=2), CategoryRecord(name="knife", first=2, parts=3))


def write_adapter(folder, method):
    """An adapter whose every trained weight and statistic has moved."""
    torch.manual_seed(0)
    backbone = {
        "name": "point-mae",
        "init": "random",
        "width": 16,
        "depth": 3,
        "heads": 2,
        "encoder_widths": (8, 12, 16),
    }
    spec = RunSpec.model_validate(
        {
            "task": "part-segmentation",
            "data": {"source": "shapenetpart", "points": 48},
            "backbone": backbone,
            "tokenizer": {"centers": 12, "neighbors": 8},
            "method": METHODS[method],
        }
    )
    model = build_initialized_model(spec, Outputs(len(PARTS), len(CATEGORIES)))
    base = load_base(model, spec.backbone, 0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.train()(torch.rand(4, 48, 3), torch.tensor([0, 1, 1, 0]))
    save_adapter(folder, model, base, spec, PARTS, {"epoch": 3}, categories=CATEGORIES)
    return folder


@pytest.mark.parametrize("method", ["lora", "pointlora"])
def test_a_merged_segmenter_labels_alike_without_low_rank_terms(tmp_path, method):
    adapter = write_adapter(tmp_path / "adapter", method)
    result = merge(adapter)
    clouds, category = torch.rand(2, 48, 3), torch.tensor([1, 0])
    with torch.no_grad():
        expected, found = (
            load_trained_model(folder).segmenter(clouds, category).logits
            for folder in (adapter, result.merged)
        )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    record, tensors = read_adapter(result.merged)
    assert (record.classes, record.categories, record.task) == (PARTS, CATEGORIES, "part-segmentation")
    low_rank = [value for name, value in read_adapter(adapter)[1].items() if "low_rank" in name]
    assert result.before.total - result.after.total == sum(value.numel() for value in low_rank) > 0
    assert not any("low_rank" in name for name in tensors)
