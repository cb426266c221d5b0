"""What is trained once and used by many tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from command_line import call, only_run, tiny
from official_checkpoint import write_checkpoint

if "PYTEST_XDIST_WORKER" in os.environ:  # tests run side by side, and threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of two epochs from random weights; tests copy it before they change it."""
    runs = tmp_path_factory.mktemp("trained") / "runs"
    outcome = call("finetune", *tiny("train.epochs=2", "optimizer.lr=0.01"), "-o", runs)
    assert outcome.code == 0, outcome.err
    return only_run(runs)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training checkpoint in the official layout, of the tiny backbone."""
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "pretrain.pth", seed=1)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty download cache and a plain network for each test; the user's own cache is never touched."""
    home = tmp_path_factory.mktemp("cache")
    for name in ("POINTLORA_OFFLINE", "POINTLORA_MIRROR", "POINTLORA_CATALOG"):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "requests_ca_bundle",
        "curl_ca_bundle",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("POINTLORA_HOME", str(home))
    return home
