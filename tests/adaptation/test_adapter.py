"""Adapters: what stands beside a feed-forward network, and what behind it."""

import pytest
import torch
from model_specs import METHODS, tiny_model
from torch.nn import functional as F

PLACEMENTS = pytest.mark.parametrize("placement", ["parallel", "sequential"])


def built(placement):
    name = "adapter" if placement == "parallel" else "adapter-sequential"
    assert METHODS[name].get("placement", "parallel") == placement
    return tiny_model(name).double().eval()


@PLACEMENTS
def test_the_network_starts_as_it_was(placement):
    points = torch.rand(2, 64, 3, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(built(placement)(points).logits, tiny_model("mlp3").double().eval()(points).logits)


@PLACEMENTS
def test_the_bottleneck_joins_where_its_placement_says(placement):
    model = built(placement)
    torch.manual_seed(0)
    for parameter in model.adaptation.parameters():
        torch.nn.init.normal_(parameter)
    inputs, outputs = torch.randn(2, 2, 5, 16, dtype=torch.float64)
    own = dict(model.adaptation.blocks[1].named_parameters())
    at = inputs if placement == "parallel" else outputs
    low = F.gelu(at @ own["down.weight"].T + own["down.bias"])
    expected = outputs + low @ own["up.weight"].T + own["up.bias"]
    sequence = None  # not looked at
    torch.testing.assert_close(model.adaptation.feed_forward(1, sequence, inputs, outputs), expected)
    assert not torch.allclose(model.adaptation.feed_forward(0, sequence, inputs, outputs), expected)


@PLACEMENTS
def test_a_parallel_adapter_sees_the_normalised_tokens_after_attention(placement):
    model = built(placement)
    seen = {}
    block = model.backbone.blocks[0]
    for name, module in (("norm2", block.norm2), ("mlp", block.mlp)):
        module.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output}))
    model.adaptation.blocks[0].register_forward_hook(
        lambda module, inputs, output: seen.update(inputs=inputs[0])
    )
    with torch.no_grad():
        model(torch.rand(2, 64, 3, dtype=torch.float64))
    assert torch.equal(seen["inputs"], seen["norm2" if placement == "parallel" else "mlp"])
