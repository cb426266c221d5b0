"""What a step keeps for its backward pass: less where blocks are computed again, nothing below what trains."""

import pytest
import torch
from model_specs import tiny_model, tiny_part_model, tiny_spec
from torch.nn import functional as F

from pointlora_cli.ops.pooling import maximum
from pointlora_cli.training.classification import training_step
from pointlora_cli.training.compilation import prepare_passes

POINTS = torch.rand(4, 64, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3])


class Kept:
    """Counts the bytes that a forward pass keeps, each memory once; those of weights are there anyhow."""

    def __init__(self, model):
        self._sizes = {}
        self._weights = {value.untyped_storage().data_ptr() for value in model.state_dict().values()}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor):
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in self._weights:
            self._sizes[memory.data_ptr()] = memory.nbytes()
        return tensor

    def __enter__(self):
        self._hooks.__enter__()
        return self

    def __exit__(self, *error):
        self._hooks.__exit__(*error)

    @property
    def bytes(self):
        return sum(self._sizes.values())


def gradients(model, *others):
    """Loss, gradients and buffers of a step with all its randomness, and the bytes kept."""
    torch.manual_seed(0)
    model.train().zero_grad()
    with Kept(model) as kept:
        found = model(POINTS, *others)
        loss = F.cross_entropy(
            found.logits.flatten(0, -2), LABELS.repeat_interleave(found.logits[0, ..., 0].numel())
        )
    loss.backward()
    return loss, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, kept.bytes


@pytest.mark.parametrize(
    ("method", "backbone"),
    [
        ("pointlora", "point-mae"),
        ("dapt", "point-mae"),
        ("point-peft", "point-mae"),
        ("full", "recon"),
        ("full", "point-m2ae"),
        ("full", "point-gpt"),
    ],
)
def test_blocks_computed_again_give_the_same_and_keep_less(method, backbone):
    found = []
    for again in (False, True):
        deep = {} if backbone == "point-m2ae" else {"depth": 6}
        model = tiny_model(method, backbone={"name": backbone, "drop_path": 0.3, **deep})
        if again:
            model.recompute_activations()
        found.append((*gradients(model), model.state_dict()))
    (loss, kept, size, state), (other_loss, other_kept, other_size, other_state) = found
    assert torch.equal(loss, other_loss)
    assert kept.keys() == other_kept.keys()
    assert all(torch.equal(gradient, other_kept[name]) for name, gradient in kept.items())
    assert all(torch.equal(value, other_state[name]) for name, value in state.items())  # tracked once
    assert other_size < (0.9 if backbone == "point-m2ae" else 0.6) * size


def test_blocks_of_a_segmenter_are_computed_again():
    sizes = []
    for again in (False, True):
        model = tiny_part_model("pointlora", "recon")
        if again:
            model.recompute_activations()
        sizes.append(gradients(model, torch.tensor([0, 1, 2, 3]))[2])
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("method", "keeps"), [("linear", False), ("lora", False), ("bitfit", True), ("pointlora", True)]
)
def test_a_patch_encoder_keeps_nothing_where_nothing_in_it_trains(method, keeps):
    sizes = []
    for widths in ((8, 12, 16), (16, 24, 32)):
        model = tiny_model(method, backbone={"encoder_widths": widths})
        sizes.append(gradients(model)[2])
        assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
    assert (sizes[0] != sizes[1]) == keeps


def test_the_maximum_keeps_places_and_not_values():
    values = torch.rand(5, 32, 7, requires_grad=True)
    with Kept(torch.nn.Module()) as kept:
        largest = maximum(values * 2, dim=1)
    assert kept.bytes == 5 * 7 * 8
    assert torch.equal(largest, (values * 2).amax(dim=1))
    weights = torch.rand(5, 7)
    mine, theirs = (
        torch.autograd.grad((found * weights).sum(), values)[0]
        for found in (largest, (values * 2).amax(dim=1))
    )
    assert torch.equal(mine, theirs)
    assert torch.equal(maximum(values.detach(), dim=1), values.amax(dim=1))


def test_a_step_under_the_spec_computes_again():
    spec = tiny_spec(train={"recompute": True})
    model = tiny_model()
    prepare_passes(model, spec.train)
    with Kept(model) as kept:
        model.train()(POINTS)
    with Kept(model) as usual:
        tiny_model().train()(POINTS)
    assert kept.bytes < usual.bytes
    training_step(model, POINTS, LABELS)
    assert all(p.grad is not None for p in model.head.parameters())
