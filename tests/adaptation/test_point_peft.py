"""Point-PEFT: the bank, its retrieval, the adapters, and who is a patch's neighbour."""

import pytest
import torch
from model_specs import METHODS, tiny_model, tiny_spec
from torch.nn import functional as F

from pointlora_cli.adaptation.bottleneck import QuickBottleneck
from pointlora_cli.adaptation.local_aggregation import LocalAggregation, local_groups, released_gather
from pointlora_cli.errors import DataError
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.initialization import WeightSource
from pointlora_cli.models.transformer import DropPath
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.services.prior_bank import fill_bank
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.training.adapter_file import changed_entries
from pointlora_cli.training.events import DataProgress


def clouds(count=4, seed=1):
    return torch.rand(count, 64, 3, generator=torch.Generator().manual_seed(seed))


def released(**changes):
    return tiny_model("point-peft", method={"gather": "released", **changes}).eval()


def test_prompts_are_the_feature_a_summary_and_the_nearest_of_the_bank():
    model = tiny_model("point-peft").eval()
    with torch.no_grad():
        prompt = model(clouds()).sequence.notes["prompt"]
        own = model.adaptation.prior(clouds())
    for cloud, feature in zip(prompt, own, strict=True):
        cosines = F.cosine_similarity(feature[None], model.adaptation.bank.T)
        nearest = cosines.argsort(descending=True)[:3]
        columns = model.adaptation.bank.T[nearest]
        summary = (cosines[nearest].softmax(0)[:, None] * columns).sum(0)
        torch.testing.assert_close(cloud, torch.cat([feature[None], summary[None], columns]))


def test_the_bank_holds_columns_of_norm_1():
    bank = tiny_model("point-peft").adaptation.bank
    torch.testing.assert_close(bank.norm(dim=0), torch.ones(6))
    with pytest.raises(ValueError, match="needs 3 features, not 2"):
        tiny_model("point-peft").adaptation.fill_bank(torch.rand(2, 16))


def test_the_prior_never_changes():
    model = tiny_model("point-peft")
    before = model.adaptation.prior(clouds())
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        model(clouds()).logits.square().sum().backward()
        optimizer.step()
    assert torch.equal(model.adaptation.prior(clouds()), before)


def test_the_prior_is_in_no_adapter_and_the_bank_is():
    spec = tiny_spec("point-peft")
    model = tiny_model("point-peft")
    entries = changed_entries(model, load_base(model, spec.backbone, spec.train.seed))
    assert "adaptation.bank" in entries
    assert not [name for name in (*entries, *dict(model.named_parameters())) if "prior" in name]


def test_bottleneck_is_what_is_written():
    bottleneck = QuickBottleneck(8, 3, residual=True)
    bottleneck.initialize(WeightSource(0), "some")
    tokens = torch.randn(2, 5, 8)
    hidden = tokens @ bottleneck.down.weight.T + bottleneck.down.bias
    up = (hidden * torch.sigmoid(1.702 * hidden)) @ bottleneck.up.weight.T + bottleneck.up.bias
    torch.testing.assert_close(bottleneck(tokens), tokens + up)
    assert bottleneck.up.weight.abs().max() <= (6 / 11) ** 0.5


def test_aggregation_is_what_is_written():
    torch.manual_seed(0)
    aggregation = LocalAggregation(8).double().eval()
    norm = torch.nn.BatchNorm1d(8).double().eval()
    torch.nn.init.normal_(norm.running_mean)
    centers, tokens = torch.rand(1, 6, 3).double(), torch.randn(1, 6, 8).double()
    groups = local_groups(centers, 2, 3)
    found = aggregation(tokens, groups, lambda indices: gather(tokens, indices), norm, DropPath(0.0))
    summaries = []
    for center in groups.centers[0]:
        near = (centers[0] - centers[0, center]).norm(dim=-1).argsort()[:3]
        members = tokens[0, near]
        query, key, value = aggregation.attention.qkv(aggregation.norm(members)).view(3, 3, 6, 3).unbind(1)
        weights = (torch.einsum("ihc,jhc->hij", query, key) / 18**0.5).softmax(-1)
        mixed = torch.einsum("hij,jhc->ihc", weights, value).reshape(3, 18)
        pooled = (members + aggregation.attention.proj(mixed)).max(0).values
        summaries.append(F.gelu(norm(pooled[None])[0]) + 0.3 * tokens[0, center])
    distances = (centers[0][:, None] - centers[0, groups.centers[0]][None]).square().sum(-1)
    shares = 1 / (distances + 1e-8)
    expected = tokens[0] + 0.3 * (shares / shares.sum(-1, keepdim=True)) @ torch.stack(summaries)
    torch.testing.assert_close(found[0], expected)


def test_released_gather_reads_rows_of_the_cloud_before():
    values = torch.arange(10.0).view(2, 5, 1)  # rows 0 to 4, and 5 to 9
    found = released_gather(values, torch.tensor([[0, 2], [0, 2]]), stride=3)
    assert found.flatten().tolist() == [0, 2, 3, 5]


def test_released_gather_makes_logits_depend_on_the_batch():
    model = released()
    with torch.no_grad():
        together = model(clouds()).logits
        alone = torch.cat([model(cloud[None]).logits for cloud in clouds()])
    torch.testing.assert_close(together[:1], alone[:1])
    assert (together[1:] - alone[1:]).abs().amax(dim=1).min() > 1e-6


def test_prompt_points_train_only_with_the_released_gather():
    for model, used in ((released().train(), True), (tiny_model("point-peft").train(), False)):
        model(clouds()).logits.square().sum().backward()
        assert (model.adaptation.points.grad is not None) == used


def test_prompts_stay_in_their_block():
    model = tiny_model("point-peft", method={"prompted_layers": 1}).eval()
    lengths = []
    for block in model.backbone.blocks:
        block.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    sequence = model(clouds()).sequence
    assert lengths == [1 + 5 + 12, 1 + 12]
    assert sequence.tokens.shape[1] == sequence.positions.shape[1] == 1 + 12


def test_counts_are_the_published_ones():
    with torch.device("meta"):
        model = build_classifier(RunSpec.model_validate({"method": {"name": "point-peft"}}), 15)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 773_017
    assert sum(p.numel() for p in model.parameters()) == 22_560_409


def filled(points, listen):
    model, spec = tiny_model("point-peft"), tiny_spec("point-peft")
    fill_bank(model.adaptation, points, spec.data, torch.device("cpu"), listen)
    return model.adaptation.bank


def test_the_bank_is_made_once_and_kept():
    heard = []
    points = clouds(40, seed=7).numpy()
    first = filled(points, heard.append)
    assert [event.done for event in heard if isinstance(event, DataProgress)] == [32, 40]
    again = filled(points, heard.append)
    assert len(heard) == 2
    assert torch.equal(first, again)
    other = filled(points[::-1].copy(), heard.append)
    assert len(heard) == 4
    torch.testing.assert_close(other, first.flip(1))


def test_stored_clouds_are_thinned_to_the_points_of_the_model():
    stored = torch.rand(4, 100, 3, generator=torch.Generator().manual_seed(2))
    taken = gather(stored, farthest_point_sampling(stored, 64))
    banks = [filled(points.numpy(), lambda event: None) for points in (stored, taken)]
    assert torch.equal(*banks)


def test_too_few_clouds_for_the_bank_is_an_error():
    with pytest.raises(DataError, match="takes 3 features from the bank") as caught:
        filled(clouds(2).numpy(), lambda event: None)
    assert "method.tokens=4" in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"local_neighbors": 13}}, r"method\.local_neighbors \(13\) is more than tokenizer"),
        ({"method": {"local_centers": 13}}, r"method\.local_centers \(13\) is more than tokenizer"),
        ({"method": {"prior": {"centers": 65}}}, r"method\.prior\.centers \(65\) is more than data\.points"),
        ({"backbone": {"name": "recon"}}, "does not run on backbone recon, which .* and recon-plain"),
    ],
)
def test_options_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_spec("point-peft", **changes)


@pytest.mark.parametrize("backbone", ["act", "point-bert", "recon-plain"])
def test_it_runs_on_the_plain_backbones(backbone):
    model = tiny_model("point-peft", backbone={"name": backbone}).eval()
    assert model(clouds()).logits.isfinite().all()
    assert METHODS["point-peft"]["name"] == model.adaptation.method.name
