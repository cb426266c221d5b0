"""`pointlora merge`, and that its result is used like any other model."""

from __future__ import annotations

import shutil

import pytest
from command_line import call, only_run, tiny


@pytest.fixture
def run(trained_run, tmp_path):
    """A copy of a trained run, to write beside its adapter."""
    return shutil.copytree(trained_run, tmp_path / "run")


def test_what_was_folded_and_what_was_not_is_said(run):
    outcome = call("merge", run)
    assert outcome.code == 0, outcome.err
    for words in ("low-rank terms at qkv, proj", "prompt MLPs", "not linear", str(run / "merged")):
        assert words in outcome.out
    outcome = call("merge", run)
    assert (outcome.code, outcome.out) == (2, "")
    assert "exists already" in outcome.err


def test_document(run, tmp_path):
    document = call("merge", run, "--output", tmp_path / "whole", "--json").document
    assert document["schema_version"] == 1
    assert document["merged"] == str(tmp_path / "whole")
    assert document["method"] == "pointlora"
    assert document["parameters"] < document["parameters_before"]
    assert document["largest_difference"] <= 1e-5
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"adapter.json", "adapter.safetensors"}
    assert document["bytes"] == (tmp_path / "whole" / "adapter.safetensors").stat().st_size


def test_evaluate_predict_and_inspect_take_it_as_any_model(run, tmp_path):
    merged = call("merge", run, "--json").document["merged"]
    numbers = [call("evaluate", folder, "--json").document for folder in (run, merged)]
    assert numbers[0]["confusion"] == numbers[1]["confusion"]
    assert numbers[0]["loss"] == pytest.approx(numbers[1]["loss"], abs=1e-5)
    assert [(row["method"], row["merged"]) for row in numbers] == [("pointlora", False), ("pointlora", True)]
    assert "pointlora, merged" in call("evaluate", merged).out

    (tmp_path / "cube.xyz").write_text(
        "\n".join(f"{x} {y} {z}" for x in range(3) for y in range(3) for z in range(3))
    )
    (before, after) = (
        call("predict", tmp_path / "cube.xyz", "-a", folder, "--selection", tmp_path / "views", "--json")
        for folder in (run, merged)
    )
    assert after.code == 0, after.err
    found = after.document["predictions"][0]["probabilities"]
    assert found == pytest.approx(before.document["predictions"][0]["probabilities"], abs=1e-5)
    layers = call("inspect", "--run", merged, "--json").document["layers"]
    assert layers
    assert not any("low_rank" in layer["name"] for layer in layers)


def test_lora_is_folded_whole(tmp_path):
    run = call("finetune", *tiny("method.name=lora", scales=False), "-o", tmp_path)
    assert run.code == 0, run.err
    outcome = call("merge", only_run(tmp_path) / "adapter")
    assert outcome.code == 0, outcome.err
    assert "nothing: all of the method was linear" in outcome.out
    assert "lora, merged" in call("evaluate", only_run(tmp_path) / "merged").out


def test_a_method_with_nothing_to_fold_is_refused(tmp_path):
    run = call("finetune", *tiny("method.name=bitfit", scales=False), "-o", tmp_path)
    assert run.code == 0, run.err
    outcome = call("merge", only_run(tmp_path))
    assert (outcome.code, outcome.out) == (2, "")
    assert "nothing to merge: method bitfit" in outcome.err


def test_one_flipped_bit_is_5(run):
    call("merge", run)
    weights = run / "merged" / "adapter.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    outcome = call("evaluate", run / "merged")
    assert (outcome.code, outcome.out) == (5, "")
    assert "SHA-256" in outcome.err


def test_what_is_no_adapter_is_3(elsewhere):
    assert call("merge", "nosuch").code == 3
    assert list(elsewhere.iterdir()) == []
