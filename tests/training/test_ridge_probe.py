"""The linear probe in closed form."""

import pytest
import torch

from pointlora_cli.training import ridge_probe
from pointlora_cli.training.ridge_probe import fit_ridge_probe


def clouds(count, seed, width=6, noise=0.3):
    """Features of three classes around three corners, each axis with a scale of its own."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    features = torch.eye(3, width)[labels] + noise * torch.randn(count, width, generator=generator)
    return features * torch.logspace(-3, 3, width), labels


def test_it_finds_what_a_line_can_tell_apart():
    features, labels = clouds(60, 0)
    probe = fit_ridge_probe(features, labels, 3)
    assert probe.accuracy(*clouds(300, 1)) > 0.9
    assert probe.accuracy(features, (labels + 1) % 3) < 0.1


def test_scale_and_origin_of_the_features_do_not_matter():
    features, labels = clouds(30, 0)
    others, _ = clouds(50, 1)
    plain = fit_ridge_probe(features, labels, 3).predict(others)
    moved = fit_ridge_probe(features.double() * 7 - 3, labels, 3).predict(others.double() * 7 - 3)
    assert torch.equal(plain, moved)


def test_error_of_what_is_left_out_is_that_of_fitting_without_it():
    """Of standardised features and a given strength, against as many fits as there are clouds."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    targets = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    inputs, targets = inputs - inputs.mean(0), targets - targets.mean(0)
    strength = torch.tensor(0.7, dtype=torch.float64)
    errors = []
    for out in range(9):
        rest = torch.arange(9) != out
        x, y = inputs[rest], targets[rest]
        x, y = x - x.mean(0), y - y.mean(0)
        weights = torch.linalg.solve(x.T @ x + strength * torch.eye(4, dtype=torch.float64), x.T @ y)
        guess = (inputs[out] - inputs[rest].mean(0)) @ weights + targets[rest].mean(0)
        errors.append((targets[out] - guess).square())
    left, values, _ = torch.linalg.svd(inputs, full_matrices=False)
    found = ridge_probe._left_out_error(left, left.T @ targets, targets, values.square(), strength)
    torch.testing.assert_close(found, torch.stack(errors).mean())


def test_labels_without_meaning_are_answered_by_the_mean():
    """The strongest strength is chosen where nothing can be learnt, and weights all but vanish."""
    generator = torch.Generator().manual_seed(3)
    features, labels = torch.randn(90, 40, generator=generator), torch.arange(90) % 3
    probe = fit_ridge_probe(features, labels, 3)
    assert probe.weights.abs().max() < 0.01
    assert fit_ridge_probe(*clouds(90, 3, width=40), 3).weights.abs().max() > 0.1


def test_there_may_be_more_channels_than_clouds():
    mixing = torch.randn(6, 400, generator=torch.Generator().manual_seed(4))
    (features, labels), (others, truth) = clouds(30, 0), clouds(150, 1)
    scale = torch.logspace(-3, 3, 6)
    probe = fit_ridge_probe(features / scale @ mixing, labels, 3)
    assert probe.accuracy(others / scale @ mixing, truth) > 0.9


def test_channels_that_do_not_vary_are_of_no_account():
    features, labels = clouds(30, 0)
    constant = torch.cat([features, torch.full((30, 2), 5.0)], dim=1)
    probe = fit_ridge_probe(constant, labels, 3)
    assert probe.accuracy(constant, labels) == fit_ridge_probe(features, labels, 3).accuracy(features, labels)
    alike = fit_ridge_probe(torch.ones(4, 3), torch.tensor([0, 1, 1, 1]), 2)
    assert alike.predict(torch.ones(2, 3)).tolist() == [1, 1]  # the class that most have


@pytest.mark.parametrize(
    ("features", "labels"),
    [(torch.ones(1, 3), torch.zeros(1)), (torch.ones(4, 3), torch.zeros(3)), (torch.ones(4), torch.zeros(4))],
)
def test_what_cannot_be_fitted_is_refused(features, labels):
    with pytest.raises(ValueError, match="a probe needs"):
        fit_ridge_probe(features, labels.long(), 2)
