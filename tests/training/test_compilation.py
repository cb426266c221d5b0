"""A network compiles as one graph, and gives what it gives otherwise; a compiler that is missing is told."""

import pytest
import torch
from command_line import call, tiny
from model_specs import tiny_model, tiny_part_model, tiny_spec

from pointlora_cli.errors import UsageError
from pointlora_cli.services.doctor import _compiler
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.compilation import (
    compile_passes,
    compiler_fault,
    prepare_passes,
    require_compiler,
)
from pointlora_cli.training.devices import memory_guard

CPU, GPU = torch.device("cpu"), torch.device("cuda")
POINTS = torch.rand(4, 64, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    torch._dynamo.reset()


def outputs(model, *others, points=POINTS):
    """Logits of a training pass, with dropout and all."""
    torch.manual_seed(0)
    return model(points, *others).logits


@pytest.mark.parametrize(
    ("backbone", "method"),
    [
        ("point-mae", "pointlora"),
        ("point-mae", "point-peft"),
        ("recon", "full"),
        ("point-m2ae", "full"),
        ("point-gpt", "full"),
    ],
)
def test_it_is_one_graph(backbone, method):
    model = tiny_model(
        method, backbone={"name": backbone, **({} if backbone == "point-m2ae" else {"depth": 1})}
    )
    names, expected = list(model.state_dict()), outputs(model.train())
    compile_passes(model, {4}, backend="eager")  # a break in the graph would be an error
    assert torch.equal(outputs(model), expected)
    assert list(model.state_dict()) == names


def test_blocks_that_are_computed_again_compile_too():
    gradients = []
    for is_compiled in (False, True):
        model = tiny_model("dapt", backbone={"depth": 1, "drop_path": 0.0}).train()
        model.recompute_activations()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        if is_compiled:
            compile_passes(model, {4}, backend="eager")
        outputs(model).square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    plain, compiled = gradients
    assert plain.keys() == compiled.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(compiled[name], gradient)


def test_only_batches_of_the_usual_sizes_are_compiled(monkeypatch):
    passes = []

    def compiled(plain, **options):
        assert (options["mode"], options["dynamic"], options["fullgraph"]) == ("reduce-overhead", False, True)
        return lambda *arguments: passes.append(len(arguments[0])) or plain(*arguments)

    monkeypatch.setattr(torch, "compile", compiled)
    category = torch.tensor([0, 1, 2, 3])
    for model, others in ((tiny_model("linear"), ()), (tiny_part_model("bitfit"), (category,))):
        spec = tiny_spec(train={"batch_size": 4, "eval_batch_size": 3, "compile": "reduce-overhead"})
        prepare_passes(model.eval(), spec.train)
        for size in (4, 3, 2):
            outputs(model, *(other[:size] for other in others), points=POINTS[:size])
    assert passes == [4, 3] * 2


def test_what_cannot_be_compiled_is_told():
    def fails(graph, inputs):
        raise ValueError("no such operation")

    model = tiny_model("linear", backbone={"depth": 1})
    compile_passes(model, {4}, backend=fails)
    with pytest.raises(UsageError, match="cannot be compiled") as told, memory_guard("Use less."):
        outputs(model)
    assert "train.compile=off" in told.value.remedy


def test_a_missing_compiler_is_told_before_anything_is_read(monkeypatch, elsewhere):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiler_fault(CPU) == "there is no compiler no-such-compiler (CXX)"
    require_compiler("off", CPU)
    outcome = call("finetune", *tiny(), "--set", "train.compile=default", "--device", "cpu")
    assert outcome.code == 2
    assert "train.compile is 'default', but there is no compiler no-such-compiler" in outcome.err
    assert list(elsewhere.iterdir()) == []
    assert (_compiler(CPU).status, _compiler(CPU).required) == ("missing", False)


def test_each_device_has_its_own_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == "clang" else None)
    assert compiler_fault(CPU) == "there is no g++ or clang++"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "triton" or None)
    assert compiler_fault(GPU) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert compiler_fault(GPU) == "triton is not installed"


@pytest.mark.parametrize(
    ("change", "words"),
    [("train.accumulate=2", "replays CUDA graphs"), ("train.sync_batch_norm=true", "use compile=off")],
)
def test_what_does_not_go_with_it_is_refused(change, words):
    with pytest.raises(UsageError, match=words):
        load_run_spec(preset="quickstart", overrides=["train.compile=max-autotune", change])
