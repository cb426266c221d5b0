"""Learning rates and weight decay of the head and of the rest."""

import pytest
import torch
from model_specs import tiny_model, tiny_spec

from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import OptimizerSpec, ScheduleSpec
from pointlora_cli.training.optimizer import build_optimizer, parameter_groups, set_rates
from pointlora_cli.training.schedule import build_schedule

RECON = OptimizerSpec(lr=2e-5, head_lr_scale=10, decay_head_biases=True)


def recon(method="full"):
    return tiny_model(method, backbone={"name": "recon"})


def kinds(model, spec):
    """(weight decay, scale of the rate) of each trained parameter, by name."""
    groups = parameter_groups(model, spec)
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = [(names[one], group) for group in groups for one in group["params"]]
    assert len(dict(found)) == len(found)
    return {name: (group["weight_decay"], group["lr_scale"]) for name, group in found}


def test_recon_trains_what_is_called_cls_ten_times_as_fast_and_decays_it_all():
    model = recon()
    for name, (decay, scale) in kinds(model, RECON).items():
        is_head = name.startswith("head.") or name in {"backbone.cls_token", "backbone.cls_pos"}
        assert scale == (10 if is_head else 1), name
        if is_head:
            assert decay == 0.05, name
        elif "token" in name or model.get_parameter(name).dim() == 1:
            assert decay == 0, name
        else:
            assert decay == 0.05, name


def test_each_trained_parameter_is_in_one_group():
    for method in ("full", "lora", "mlp3"):
        model = recon(method)
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert kinds(model, RECON).keys() == trained


def test_without_options_head_and_rest_are_alike():
    groups = parameter_groups(recon(), OptimizerSpec())
    assert sorted((group["weight_decay"], group["lr_scale"]) for group in groups) == [(0, 1), (0.05, 1)]


def test_a_faster_head_keeps_its_biases_from_decay_unless_told():
    found = kinds(recon(), OptimizerSpec(head_lr_scale=10))
    assert found["head.layers.0.bias"] == (0, 10)
    assert found["head.layers.0.weight"] == (0.05, 10)
    assert found["backbone.cls_token"] == (0, 10)
    assert found["backbone.cls_pos"] == (0.05, 10)


def test_in_part_segmentation_the_class_token_is_not_of_the_head():
    values = tiny_spec("full", backbone={"name": "recon", "depth": 12}).model_dump()
    values |= {"task": "part-segmentation", "data": {"source": "shapenetpart"}}
    found = kinds(build_initialized_model(RunSpec.model_validate(values), Outputs(6, 2)), RECON)
    assert found["backbone.cls_token"] == (0, 1)
    assert {found[name] for name in found if name.startswith("head.")} == {(0.05, 10)}


@pytest.mark.parametrize("epoch", [0, 1, 5, 10, 29])
def test_each_group_follows_a_curve_of_its_own_base(epoch):
    optimizer = build_optimizer(recon(), RECON)
    options = ScheduleSpec(lag=1)
    base, tenfold = (build_schedule(options, base_lr=lr, epochs=30) for lr in (2e-5, 2e-4))
    assert set_rates(optimizer, base, epoch) == base.in_epoch(epoch)
    rates = {group["lr_scale"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({1: base.in_epoch(epoch), 10: tenfold.in_epoch(epoch)})
    if epoch == 0:  # all begin at the same rate
        assert set(rates.values()) == {1e-6}


def test_a_step_moves_the_head_ten_times_as_far():
    model = recon()
    optimizer = build_optimizer(model, OptimizerSpec(lr=1e-3, head_lr_scale=10, weight_decay=0))
    before = {name: value.clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()  # Adam's first step is the rate, whatever the gradient
    for name, moved in (("backbone.norm.weight", 1e-3), ("head.layers.8.weight", 1e-2)):
        change = before[name] - model.get_parameter(name)
        torch.testing.assert_close(change, torch.full_like(change, moved), rtol=1e-3, atol=1e-6)
