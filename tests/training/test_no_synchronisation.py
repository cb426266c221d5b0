"""Nothing within a step waits for the device: all of it could be asked of a GPU far ahead."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_gpu import BACKBONES, METHODS

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def complaints():
    """What would wait, by case; a program of its own finds it."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(TESTS / "fake_gpu.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_waits(method, complaints):
    # The solver of eigenvectors looks whether it succeeded.
    assert complaints[f"point-mae {method}"] == (["_linalg_eigh"] * 2 if method == "pointgst" else [])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_no_backbone_waits(backbone, complaints):
    assert complaints[f"{backbone} full"] == []


@pytest.mark.parametrize(
    "case", ["drawing and augmentation", "segmentation", "sampling by passes", "neighbours by sorting"]
)
def test_nor_does_anything_else(case, complaints):
    assert complaints[case] == []


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("item", "_local_scalar_dense"),
        ("truth", "_local_scalar_dense"),
        ("mask", "nonzero"),
        ("list", "_local_scalar_dense"),
        ("copy", "between host and device"),
        ("upload", "between host and device"),
        ("index on the host", "on host and device"),
    ],
)
def test_what_waits_is_found(case, word, complaints):
    (complaint,) = complaints[case]
    assert word in complaint
