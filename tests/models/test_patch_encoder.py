"""The patch encoder, and the batch norm whose statistics are tracked apart."""

import pytest
import torch
from torch import nn

from pointlora_cli.models.normalization import RowBatchNorm
from pointlora_cli.models.patch_encoder import PatchEncoder


class ByConvolutions(nn.Module):
    """The same network as the papers draw it: 1x1 convolutions over (patches, channels, points)."""

    def __init__(self, width, widths):
        super().__init__()
        first, local, second = widths
        self.first = nn.Sequential(
            nn.Conv1d(3, first, 1), nn.BatchNorm1d(first), nn.ReLU(), nn.Conv1d(first, local, 1)
        )
        self.second = nn.Sequential(
            nn.Conv1d(2 * local, second, 1), nn.BatchNorm1d(second), nn.ReLU(), nn.Conv1d(second, width, 1)
        )

    def forward(self, neighborhoods):
        batch, groups, size, _ = neighborhoods.shape
        each = self.first(neighborhoods.reshape(batch * groups, size, 3).transpose(2, 1))
        whole = each.max(dim=2, keepdim=True).values.expand(-1, -1, size)
        return self.second(torch.cat([whole, each], dim=1)).max(dim=2).values.view(batch, groups, -1)

    def take_weights(self, encoder):
        for mine, other in ((self.first, encoder.first), (self.second, encoder.second)):
            for index, layer in ((0, other.linear1), (3, other.linear2)):
                mine[index].weight.data = layer.weight.data[:, :, None].clone()
                mine[index].bias.data = layer.bias.data.clone()
            mine[1].load_state_dict(other.norm.state_dict())


@pytest.fixture
def pair():
    torch.manual_seed(0)
    encoder = PatchEncoder(20, (8, 12, 16)).double()
    nn.init.normal_(encoder.second.norm.weight)
    plain = ByConvolutions(20, (8, 12, 16)).double()
    plain.take_weights(encoder)
    return encoder, plain


@pytest.mark.parametrize("training", [True, False])
def test_computes_what_the_convolutions_compute(pair, training):
    encoder, plain = (network.train(training) for network in pair)
    neighborhoods = torch.randn(3, 5, 7, 3, dtype=torch.float64)
    tokens, _ = encoder(neighborhoods)
    torch.testing.assert_close(tokens, plain(neighborhoods))
    tokens.square().sum().backward()
    plain(neighborhoods).square().sum().backward()
    torch.testing.assert_close(encoder.first.linear1.weight.grad, plain.first[0].weight.grad[:, :, 0])
    torch.testing.assert_close(encoder.second.linear1.weight.grad, plain.second[0].weight.grad[:, :, 0])


def test_tracking_twice_equals_two_passes(pair):
    encoder, plain = (network.train() for network in pair)
    neighborhoods = torch.randn(3, 5, 7, 3, dtype=torch.float64)
    _, statistics = encoder(neighborhoods)
    for _ in range(2):
        encoder.track(statistics)
        plain(neighborhoods)
    torch.testing.assert_close(encoder.first.norm.running_mean, plain.first[1].running_mean)
    torch.testing.assert_close(encoder.second.norm.running_var, plain.second[1].running_var)
    assert encoder.second.norm.num_batches_tracked == plain.second[1].num_batches_tracked == 2


def test_a_training_pass_alone_tracks_nothing(pair):
    encoder = pair[0].train()
    before = encoder.second.norm.running_mean.clone()
    encoder(torch.randn(1, 2, 3, 3, dtype=torch.float64))
    assert torch.equal(encoder.second.norm.running_mean, before)


def test_evaluation_has_no_statistics_to_track():
    assert RowBatchNorm(4).eval()(torch.randn(6, 4))[1] is None
