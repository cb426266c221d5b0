"""Point-M2AE through the commands: its methods train from a published file, and their adapters are whole."""

import pytest
import torch
from command_line import TINY_DATA, TINY_TRAINING, call, metrics_rows, only_run, sets
from safetensors.torch import load_file

from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.official import official_names
from pointlora_cli.specs.run import RunSpec

SIZES = {
    "widths": [8, 16, 24],
    "depths": [1, 1, 1],
    "heads": 2,
    "groups": [24, 12, 6],
    "neighbors": [8, 4, 4],
    "encoder_widths": [8, 12, 16],
}
METHODS = ("full", "linear", "mlp3", "bitfit", "lora", "adapter")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as the project's pre-training leaves it: no last norm, a decoder."""
    spec = RunSpec.model_validate(
        {"backbone": {"name": "point-m2ae", "init": "random", **SIZES}, "method": {"name": "full"}}
    )
    model = build_initialized_model(spec, Outputs(5))
    names = official_names(model)
    file = {
        f"module.{names[own]}": value
        for own, value in model.state_dict().items()
        if own.startswith("backbone.levels.")
    }
    path = tmp_path_factory.mktemp("m2ae") / "pretrain.pth"
    torch.save({"base_model": {**file, "module.mask_token": torch.ones(1, 24)}}, path)
    return path


def trained(folder, weights, method):
    sizes = [f"backbone.{key}={value}" for key, value in SIZES.items()]
    changes = ("backbone.name=point-m2ae", f"backbone.weights={weights}", "backbone.init=checkpoint", *sizes)
    options = sets(*TINY_DATA, *TINY_TRAINING, *changes, f"method.name={method}", "optimizer.lr=0.01")
    outcome = call("finetune", "--preset", "quickstart", *options, "-o", folder)
    assert outcome.code == 0, outcome.err
    return only_run(folder)


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_gives_the_accuracy_of_its_run(weights, tmp_path, method):
    run = trained(tmp_path / "runs", weights, method)
    last = metrics_rows(run)[-1]
    again = call("evaluate", run, "--json").document
    assert (again["loss"], again["accuracy"]) == (last["evaluation_loss"], last["accuracy"])
    saved = load_file(run / "adapter" / "adapter.safetensors")
    held = {name for name in saved if name.startswith("backbone.") and name.endswith("qkv.weight")}
    assert bool(held) == (method == "full")


def test_low_rank_terms_fold_into_every_level(weights, tmp_path):
    run = trained(tmp_path / "runs", weights, "lora")
    document = call("merge", run, "--json").document
    assert document["largest_difference"] <= 1e-5
    assert document["parameters"] < document["parameters_before"]


def test_methods_of_one_scale_are_refused_in_one_line(tmp_path):
    options = sets("backbone={name: point-m2ae, heads: 6}", "method.name=vpt")
    outcome = call("finetune", "--preset", "quickstart", *options, "-o", tmp_path)
    assert outcome.code == 2
    assert "method vpt does not run on backbone point-m2ae, which has no class token" in outcome.err
    assert "Traceback" not in outcome.err
