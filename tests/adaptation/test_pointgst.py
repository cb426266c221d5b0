"""PointGST's parts against the equations."""

from dataclasses import replace

import pytest
import torch
from model_specs import tiny_model, tiny_spec
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Shape
from pointlora_cli.adaptation.pointgst import PointGST
from pointlora_cli.models.tokens import TokenLayout, TokenSequence
from pointlora_cli.ops.curves import z_order
from pointlora_cli.ops.spectral import exact_basis
from pointlora_cli.specs.method import PointGSTMethod

WIDTH, RANK, LOCAL, CENTERS = 16, 3, 4, 12


@pytest.fixture
def adaptation():
    """A PointGST of random weights."""
    method = PointGSTMethod(rank=RANK, local=LOCAL)
    adaptation = PointGST(Shape((WIDTH, WIDTH), 1, CENTERS), method).double()
    torch.manual_seed(0)
    for parameter in adaptation.parameters():
        torch.nn.init.normal_(parameter)
    return adaptation


@pytest.fixture
def sequence(adaptation):
    """What comes out of attention in the first block."""
    tokens = torch.randn(2, 1 + CENTERS + 2, WIDTH, dtype=torch.float64)
    points = torch.randn(2, 64, 3, dtype=torch.float64)
    layout = TokenLayout(1, CENTERS, extra=2)
    before = TokenSequence(tokens, tokens, layout, points, points[:, :CENTERS])
    return adaptation.enter(before, [])


def filtered(adapter, norm, basis, values):
    """One cloud's U^T (f + SiLU(W norm(f) + b)), with f = U x."""
    found = basis @ values
    normal = F.layer_norm(found, (RANK,), norm.weight, norm.bias)
    found = found + F.silu(normal @ adapter.filter.weight.T + adapter.filter.bias)
    return basis.T @ found


def expected_change(adapter, tokens, centers):
    """The adapter's term of one cloud, written out."""
    low = tokens @ adapter.down.weight.T + adapter.down.bias
    patches = low[1 : 1 + CENTERS]
    change = filtered(adapter, adapter.cloud_norm, exact_basis(centers[None, None])[0, 0], patches)
    order = z_order(centers[None])[0]
    bases = exact_basis(centers[order].view(1, -1, LOCAL, 3))[0]
    for group, basis in enumerate(bases):
        members = order[group * LOCAL : (group + 1) * LOCAL]
        change[members] += filtered(adapter, adapter.group_norm, basis, patches[members])
    hidden = F.silu(low)
    hidden[1 : 1 + CENTERS] += change
    return hidden @ adapter.up.weight.T + adapter.up.bias


@pytest.mark.parametrize("layer", [0, 1])
def test_the_adapter_filters_patches_in_the_whole_and_in_local_graphs(adaptation, sequence, layer):
    branch = torch.randn_like(sequence.tokens)
    found = adaptation.join(layer, sequence, branch)
    for cloud in range(2):
        tokens = sequence.tokens[cloud]
        change = expected_change(adaptation.adapters[layer], tokens, sequence.centers[cloud])
        torch.testing.assert_close(found[cloud], tokens + branch[cloud] + change)


def test_bases_are_computed_once_for_all_blocks(monkeypatch):
    model = tiny_model("pointgst")
    own, calls = model.adaptation.spectrum, []
    monkeypatch.setattr(
        model.adaptation, "spectrum", lambda centers: calls.append(centers.shape) or own(centers)
    )
    model(torch.rand(3, 64, 3))
    assert calls == [(3, 12, 3)]


def test_bases_have_the_type_of_the_tokens(adaptation, sequence):
    single = replace(sequence, tokens=sequence.tokens.float())
    assert adaptation.enter(single, []).notes["cloud"].dtype == torch.float32


def test_the_network_starts_as_the_frozen_one():
    plain, adapted = (tiny_model(method).eval() for method in ("mlp3", "pointgst"))
    points = torch.rand(2, 64, 3)
    with torch.no_grad():
        assert torch.equal(adapted(points).logits, plain(points).logits)


def test_logits_of_the_released_graph_depend_on_the_batch():
    torch.manual_seed(0)
    near, far = torch.rand(2, 64, 3, dtype=torch.float64)
    batch = torch.stack([far, near / 1000])
    found = {}
    for graph in ("exact", "released"):
        model = tiny_model("pointgst", method={"graph": graph}).double().eval()
        for parameter in model.adaptation.parameters():
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            found[graph] = (model(batch).logits[0] - model(batch[:1]).logits[0]).abs().max()
    assert found["exact"] < 1e-9
    assert found["released"] > 1e-3


def test_clouds_with_copied_points_have_finite_logits():
    points = torch.rand(2, 3, 3).repeat(1, 22, 1)[:, :64]  # three points for twelve centers
    for graph in ("exact", "released"):
        assert tiny_model("pointgst", method={"graph": graph}).eval()(points).logits.isfinite().all()


def test_local_groups_that_do_not_fill_the_cloud_are_refused():
    with pytest.raises(ValueError, match=r"method\.local \(5\) does not divide tokenizer\.centers \(12\)"):
        tiny_spec("pointgst", method={"local": 5})
