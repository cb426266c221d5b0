"""The scripts in `benchmarks/` run, and find what they claim, with small networks."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
TINY = ("--width", "24", "--depth", "1", "--encoder", "8", "16", "32")


@pytest.fixture
def script(monkeypatch, capsys):
    """Runs a script as `python benchmarks/NAME` would: its exit code, and what it printed."""

    def run(name, *arguments):
        path = FOLDER / name
        if not path.is_file():
            pytest.skip("the benchmarks are in the repository, not in the source distribution")
        monkeypatch.syspath_prepend(str(FOLDER))
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(path), run_name="__main__")
        return stop.value.code, capsys.readouterr().out

    return run


def test_the_plain_step_has_our_logits_and_gradients_and_is_timed_in_turn(script):
    sizes = (*TINY, "--points", "128", "--batch", "6", "--rounds", "2")
    code, out = script("pointlora_step.py", *sizes)
    assert code == 0, out
    logits, median, greatest = map(float, re.search(r"^float64 +(\S+) +(\S+) +(\S+)$", out, re.M).groups())
    assert max(logits, median, greatest) < 1e-9
    assert re.search(r"^plain +[\d.]+ ms, .*; of ours [\d.]+ \(.*; of processor time [\d.]+ \(", out, re.M)


def test_a_wrong_plain_step_is_found_out(script, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    plain = pytest.importorskip("plain_pointlora")
    monkeypatch.setattr(plain.PlainPointLoRA, "SCALES", ((128, 32, 32), (64, 64, 7)))
    code, out = script("pointlora_step.py", *TINY, "--points", "128", "--batch", "4")
    assert code == 1
    assert "THEY DO NOT AGREE" in out
    assert "of ours" not in out


def test_full_speed_training_is_measured_and_its_precisions_compared(script, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    small = (
        "backbone.width=24",
        "backbone.depth=1",
        "backbone.heads=2",
        "backbone.encoder_widths=[8,16,32]",
        "data.points=64",
        "tokenizer.centers=8",
        "tokenizer.neighbors=8",
        "method.scales=[{centers: 8, neighbors: 8, keep: 2}]",
    )
    sets = [part for change in small for part in ("--set", change)]
    sizes = ("--device", "cpu", "--batch", "4", "--steps", "2", "--curve", "6", "--compile", "default")
    code, out = script("h200_step.py", *sizes, *sets)
    assert re.search(r"bfloat16: [\d,]+ clouds/s in the middle one of 2 steps", out)
    assert "compiled (default): train.compile is 'default', but there is no compiler" in out
    assert re.search(r"^farthest points of 4 clouds, 2,048 to 128: [\d.]+ ms$", out, re.M)
    apart, noise = map(float, re.search(r"are ([\d.]+) apart .* are ([\d.]+)$", out, re.M).groups())
    assert code == (0 if apart <= noise else 1)
    assert apart < 0.2
    assert noise > 0


def test_the_embedded_backbone_is_probed_beside_random_weights(script):
    few = ("--fit", "15", "--score", "10")
    code, out = script("embedded_probe.py", "--seeds", "1", "--least", "-100", *few)
    assert code == 0
    ours, random = map(float, re.search(r"^mean +([\d.]+) % +([\d.]+) %", out, re.M).groups())
    assert ours > random > 10  # a tenth by guessing
    code, _ = script("embedded_probe.py", "--seeds", "1", "--least", "99", *few)
    assert code == 1


def test_both_starts_are_compared_on_a_folder(script, tmp_path):
    numbers = np.random.default_rng(0)
    for name, flat in (("plates", 0.1), ("balls", 1.0)):
        for index in range(5):
            points = numbers.normal(size=(100, 3)) * (1, 1, flat)
            path = tmp_path / name / f"{index}.npy"
            path.parent.mkdir(exist_ok=True)
            np.save(path, points.astype(np.float32))
    short = ("--set", "train.epochs=1", "--set", "train.batch_size=4", "--set", "train.device=cpu")
    code, out = script("folder_transfer.py", str(tmp_path), "--splits", "2", *short)
    table = re.findall(r"^(embedded|random) +([\d.]+) ± [\d.]+ +[\d.]+ ± [\d.]+$", out, re.M)
    assert [start for start, _ in table] == ["embedded", "random"]
    (gain,) = re.findall(r"^gain +(\S+) ±", out, re.M)
    assert float(gain) == pytest.approx(float(table[0][1]) - float(table[1][1]), abs=0.11)
    assert code == int(float(gain) <= 0)
