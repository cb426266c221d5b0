"""Part segmentation as a task of the training loop, on small models."""

import numpy as np
import pytest
import torch
from model_specs import METHODS

from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.errors import DataError
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import CategoryRecord, apply_adapter, read_adapter, save_adapter
from pointlora_cli.training.events import EpochDone
from pointlora_cli.training.loop import train
from pointlora_cli.training.part_segmentation import PartSegmentationTask, evaluate_parts, sampled
from pointlora_cli.training.task import Splits

PARTS = (range(2), range(2, 5))
NAMES = ("a/0", "a/1", "b/0", "b/1", "b/2")
CATEGORIES = (CategoryRecord(name="a", first=0, parts=2), CategoryRecord(name="b", first=2, parts=3))
CPU = torch.device("cpu")


def tiny_segmentation(method="pointlora", /, **changes):
    values = {
        "task": "part-segmentation",
        "data": {"source": "shapenetpart", "points": 24},
        "backbone": {
            "name": "point-mae",
            "init": "random",
            "width": 12,
            "depth": 3,
            "heads": 2,
            "encoder_widths": (8, 12, 16),
        },
        "tokenizer": {"centers": 12, "neighbors": 8},
        "method": METHODS[method],
        "augmentation": {"scale": (0.8, 1.25), "scale_axes": "all", "translate": 0.1},
        "schedule": {"warmup_epochs": 0},
        "optimizer": {"lr": 2e-3},
        "train": {"epochs": 2, "batch_size": 6, "device": "cpu"},
    }
    for section, options in changes.items():
        values[section] = {**values.get(section, {}), **options}
    return RunSpec.model_validate(values)


def slabs(count, seed=0):
    """Clouds of 50 to 70 points whose parts are slabs, one above the other."""
    random = np.random.default_rng(seed)
    sizes = random.integers(50, 70, count)
    category = np.arange(count) % 2
    points = random.uniform(-0.6, 0.6, (sizes.sum(), 3)).astype(np.float32)
    of_rows = np.repeat(category, sizes)
    height = (points[:, 2] + 0.6) / 1.2
    parts = np.where(of_rows == 0, np.floor(height * 2), 2 + np.floor(height * 3))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return PartClouds(points, parts.astype(np.uint8), offsets, category)


def made(spec):
    model = build_initialized_model(spec, Outputs(5, 2))
    return model, load_base(model, spec.backbone, spec.train.seed)


def run(model, spec, keep=lambda epoch: None, clouds=None):
    """Train; the epochs that were done."""
    test = slabs(6, seed=1)
    splits = Splits(clouds or slabs(12), test, test)
    task = PartSegmentationTask(model, spec, spec.data, splits, PARTS, device=CPU, dtype=torch.float32)
    epochs = []
    train(task, spec, listen=lambda e: epochs.append(e) if isinstance(e, EpochDone) else None, keep=keep)
    return epochs


def test_learns_the_parts_and_leaves_frozen_weights_bit_identical():
    spec = tiny_segmentation(train={"epochs": 12})
    model, _ = made(spec)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    epochs = run(model, spec)
    assert epochs[-1].loss < 0.6 * epochs[0].loss
    assert epochs[-1].evaluation.score > epochs[0].evaluation.score + 0.1
    assert epochs[-1].accuracy > epochs[0].accuracy
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad or torch.equal(parameter, before[name]), name


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    states = []
    for seed in (0, 0, 1):
        spec = tiny_segmentation(train={"seed": seed})
        model, _ = made(spec)
        run(model, spec)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["head.layer3.weight"], states[2]["head.layer3.weight"])


def test_the_best_instance_miou_is_kept():
    spec = tiny_segmentation(train={"epochs": 5, "selection": "best-test"}, optimizer={"lr": 2e-2})
    kept = []
    epochs = run(made(spec)[0], spec, kept.append)
    scores = [epoch.evaluation.instance_miou for epoch in epochs]
    assert kept[-1].epoch == int(np.argmax(scores))


def test_a_double_step_moves_the_weights_further():
    moves = []
    for double in (False, True):
        spec = tiny_segmentation(train={"epochs": 1, "batch_size": 12}, optimizer={"double_step": double})
        model, _ = made(spec)
        before = model.head.layer3.bias.detach().clone()  # Adam's first steps are as long as the rate
        run(model, spec)
        moves.append((model.head.layer3.bias - before).abs().mean().item())
    assert moves[0] == pytest.approx(2e-3, rel=0.01)
    assert moves[1] == pytest.approx(4e-3, rel=0.01)


def test_evaluation_does_not_depend_on_the_batches():
    spec = tiny_segmentation()
    model, _ = made(spec)
    clouds = sampled(slabs(7), spec.data)
    one, other = (
        evaluate_parts(model, clouds, PARTS, batch_size=size, device=CPU, dtype=torch.float32)
        for size in (2, 7)
    )
    assert one.count == 7
    assert one.category_counts.tolist() == [4, 3]
    np.testing.assert_allclose(one.shape_iou, other.shape_iou, atol=0.05)
    assert one.loss == pytest.approx(other.loss, rel=1e-5)


@pytest.mark.parametrize("method", ["pointlora", "full", "lora", "ppt"])
def test_adapter_and_base_give_the_same_logits_bit_for_bit(tmp_path, method):
    spec = tiny_segmentation(method, train={"epochs": 1})
    model, base = made(spec)
    run(model, spec)
    save_adapter(tmp_path, model, base, spec, NAMES, {"epoch": 1}, categories=CATEGORIES)
    record, tensors = read_adapter(tmp_path)
    assert (record.task, record.classes, record.categories) == ("part-segmentation", NAMES, CATEGORIES)
    assert record.outputs == Outputs(5, 2)
    restored, base_again = made(record.spec)
    apply_adapter(restored, base_again, record, tensors, tmp_path)
    points, category = torch.rand(3, 48, 3), torch.tensor([0, 1, 1])
    with torch.no_grad():
        expected = model.eval()(points, category).logits
        assert torch.equal(restored.eval()(points, category).logits, expected)


@pytest.mark.parametrize(
    "categories",
    [
        (),
        CATEGORIES[:1],
        (CATEGORIES[0], CATEGORIES[1].model_copy(update={"first": 1})),
        (CATEGORIES[0], CATEGORIES[1].model_copy(update={"name": "a"})),
        (*CATEGORIES, CategoryRecord(name="c", first=5, parts=2**40)),
    ],
)
def test_a_record_whose_parts_are_not_each_of_one_category_is_refused(tmp_path, categories):
    spec = tiny_segmentation()
    model, base = made(spec)
    with pytest.raises(ValueError, match=r"categor"):
        save_adapter(tmp_path, model, base, spec, NAMES, {}, categories=categories)
    record = save_adapter(tmp_path, model, base, spec, NAMES, {}, categories=CATEGORIES)
    broken = record.model_copy(update={"categories": categories})
    (tmp_path / "adapter.json").write_text(broken.model_dump_json())
    with pytest.raises(DataError, match="not an adapter record"):
        read_adapter(tmp_path)
