"""Every method: it trains, leaves frozen weights as they are, and its adapter gives the same logits elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys

import model_specs
import pytest
import torch
from command_line import SCALES, TINY_BACKBONE, TINY_DATA, TINY_TRAINING, environment

from pointlora_cli.datasets.build import load_data
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.services.finetune import finetune
from pointlora_cli.services.trained_model import load_trained_model
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.classification import predict_logits

METHODS = {name: (f"method={json.dumps(options)}",) for name, options in model_specs.METHODS.items()}
METHODS["gates"] = (SCALES, "method.gate_scores=true", "method.train_gate=true")
PRINT_HASHES = """
import sys
from pathlib import Path
from test_method_round_trip import logits_sha256
for folder in sys.argv[1].split(":"):
    print(logits_sha256(Path(folder)))
"""


def spec_of(*changes):
    options = (*TINY_DATA, *TINY_BACKBONE, *TINY_TRAINING, "train.epochs=2", "optimizer.lr=0.01", *changes)
    return load_run_spec(preset="quickstart", overrides=list(options))


def logits_sha256(adapter, base=None):
    trained = load_trained_model(adapter, base=base)
    points = torch.from_numpy(load_data(trained.record.spec.data).test.points)
    logits = predict_logits(trained.model, points, batch_size=64, device=trained.device, dtype=trained.dtype)
    return hashlib.sha256(logits.numpy().tobytes()).hexdigest()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, checkpoint):
    """A run of every method from random weights, and of some from a checkpoint."""
    folder = tmp_path_factory.mktemp("methods")
    starts = {
        "random": (),
        "checkpoint": ("backbone.init=checkpoint", f"backbone.weights={checkpoint}"),
    }
    results = {}
    for name, start in EVERY:
        spec = spec_of(*METHODS[name], *starts[start], f"output.dir={folder}", f"name={name}-{start}")
        results[name, start] = finetune(spec, lambda event: None)
    return results


FROM_A_CHECKPOINT = ("full", "mlp3", "lora", "point-peft", "pointlora")  # the base is the same for all
EVERY = [(name, "random") for name in METHODS] + [(name, "checkpoint") for name in FROM_A_CHECKPOINT]


@pytest.mark.parametrize("run", EVERY, ids="-".join)
def test_frozen_weights_are_bit_identical_after_training(runs, run):
    result = runs[run]
    model = build_initialized_model(result.spec, Outputs(len(result.classes)))
    load_base(model, result.spec.backbone, result.spec.train.seed)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    after = dict(load_trained_model(result.adapter).model.named_parameters())
    assert all(before[name].equal(after[name]) for name in frozen)
    moved = [name for name in before.keys() - frozen if not before[name].equal(after[name])]
    assert len(moved) > 0.8 * len(before.keys() - frozen)
    assert bool(frozen) == (run[0] != "full")


def test_adapters_give_the_trained_models_accuracy(runs):
    from pointlora_cli.services.evaluate import evaluate

    for result in runs.values():
        again = evaluate(result.adapter, lambda event: None)
        assert (again.metrics.confusion == result.test.confusion).all()
        assert again.metrics.loss == result.test.loss


def test_logits_are_bit_identical_in_a_new_process(runs):
    folders = [result.adapter for result in runs.values()]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", PRINT_HASHES, ":".join(map(str, folders))],
        capture_output=True,
        text=True,
        check=True,
        env=environment(PYTHONPATH=path),
    )
    found = done.stdout.split()
    assert found == [logits_sha256(folder) for folder in folders]
    assert len(set(found)) == len(folders)


def test_adapter_and_base_may_move(runs, checkpoint, tmp_path, monkeypatch):
    result = runs["pointlora", "checkpoint"]
    expected = logits_sha256(result.adapter)
    shutil.copytree(result.adapter, tmp_path / "adapter of mine")
    shutil.copy(checkpoint, tmp_path / "base.pth")
    monkeypatch.chdir(tmp_path)
    assert logits_sha256(tmp_path / "adapter of mine", base=tmp_path / "base.pth") == expected


def test_base_that_is_gone_is_asked_for(runs, tmp_path):
    from pointlora_cli.errors import DataError
    from pointlora_cli.training.adapter_file import read_adapter

    folder = tmp_path / "adapter"
    shutil.copytree(runs["lora", "checkpoint"].adapter, folder)
    record = read_adapter(folder)[0]
    weights = str(record.spec.backbone.weights)
    text = (folder / "adapter.json").read_text()
    (folder / "adapter.json").write_text(text.replace(weights, str(tmp_path / "gone.pth")))
    with pytest.raises(DataError, match=r"gone\.pth") as caught:
        load_trained_model(folder)
    assert "--base PATH" in str(caught.value.remedy)


def test_same_weights_in_another_container_are_the_same_base(runs, checkpoint, tmp_path):
    weights = torch.load(checkpoint, weights_only=True)["base_model"]
    bare = {name.removeprefix("module."): value for name, value in weights.items()}
    torch.save(bare, tmp_path / "bare.pth")
    result = runs["mlp3", "checkpoint"]
    assert logits_sha256(result.adapter, base=tmp_path / "bare.pth") == logits_sha256(result.adapter)
