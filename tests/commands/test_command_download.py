"""`pointlora download`, against a real server and real files."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from command_line import TINY_BACKBONE, TINY_SIZES, TINY_TRAINING, call, only_run, sets
from faulty_server import FaultyServer, catalogue, served
from official_checkpoint import write_checkpoint

from pointlora_cli.catalog.loading import load_catalog
from pointlora_cli.catalog.settings import Settings

NAME = "point-mae/pretrain.pth"
SCALES = "method.scales=[{centers: 8, neighbors: 8, keep: 2}]"


@pytest.fixture
def server():
    with FaultyServer() as running:
        yield running


@pytest.fixture
def pretrain(tmp_path):
    (tmp_path / "made").mkdir()
    return write_checkpoint(tmp_path / "made" / "pretrain.pth", seed=1)


def rewritten(path, change):
    """The checkpoint with its weights changed."""
    content = torch.load(path, weights_only=True)
    content["base_model"] = change(dict(content["base_model"]))
    torch.save(content, path)
    return path


# ---------------------------------------------------------------- a checkpoint of the official layout


def without_prefix(weights):
    return {name.replace("module.", ""): value for name, value in weights.items()}


@pytest.mark.parametrize("change", [dict, without_prefix])
def test_a_checkpoint_is_fetched_checked_and_finetuned_from(server, pretrain, tmp_path, cache_home, change):
    rewritten(pretrain, change)
    content = torch.load(pretrain, weights_only=True)
    torch.save(content | {"metrics": {"acc": np.float64(91.2)}, "optimizer": {"lr": 1e-3}}, pretrain)
    outcome = call("download", "point-mae", "--url", served(server, pretrain))
    assert outcome.code == 0, outcome.err
    assert "Point-MAE, pre-training, width 24, 1 blocks" in outcome.err
    assert "trusted from now on" in outcome.err
    assert (cache_home / "checkpoints" / NAME).read_bytes() == pretrain.read_bytes()
    small = sets("data.clouds_per_class=4", "data.test_clouds_per_class=2", "data.points=64", *TINY_SIZES)
    runs = tmp_path / "runs"
    outcome = call(
        "finetune",
        "-p",
        "quickstart",
        *small,
        *sets(*TINY_TRAINING, SCALES, "backbone.weights=null"),
        "-o",
        runs,
    )
    assert outcome.code == 0, outcome.err
    assert (
        json.loads((only_run(runs) / "adapter/adapter.json").read_text())["base"]["layout"] == "pre-training"
    )
    assert call("evaluate", only_run(runs)).code == 0


def test_a_missing_or_extra_key_fails_with_the_list(server, pretrain, cache_home):
    lost = "module.MAE_encoder.blocks.blocks.0.attn.qkv.weight"
    rewritten(
        pretrain, lambda weights: {name: v for name, v in weights.items() if name != lost} | {"new": v_ones()}
    )
    outcome = call("download", "point-mae", "--url", served(server, pretrain))
    assert outcome.code == 3
    assert "1 missing (blocks.blocks.0.attn.qkv.weight), 1 unknown (new)" in outcome.err
    assert not (cache_home / "checkpoints" / NAME).exists()


def v_ones():
    return torch.ones(3)


def test_a_web_page_is_named_as_one(server, cache_home):
    page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>...</body></html>"
    server.serve("/pretrain.pth", page, content_type="text/html")
    outcome = call("download", "point-mae", "--url", server.url("/pretrain.pth"))
    assert outcome.code == 5
    assert "Sign in" in outcome.err
    assert not (cache_home / "checkpoints" / NAME).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to_sparse_csr(),
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    ],
    ids=["sparse", "csr", "meta", "complex", "nested"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_tensor_of_another_kind_is_refused(pretrain, cache_home, change):
    key = "module.MAE_encoder.blocks.blocks.0.attn.qkv.weight"
    rewritten(pretrain, lambda weights: weights | {key: change(weights[key])})
    outcome = call("download", "point-mae", "--from-file", pretrain)
    assert outcome.code == 3
    assert f"{key} is not a plain tensor" in outcome.err
    assert not (cache_home / "checkpoints" / NAME).exists()


def test_a_name_that_is_far_too_long_is_not_shown_whole(pretrain, cache_home):
    rewritten(pretrain, lambda weights: weights | {"y" * 100_000: torch.ones(1)})
    outcome = call("download", "point-mae", "--from-file", pretrain)
    assert outcome.code == 3
    assert len(outcome.err) < 1000


def test_a_checkpoint_that_unpacks_to_more_than_its_size_is_refused(pretrain, cache_home, tmp_path):
    torch.save({"base_model": {"a": torch.zeros(5_000_000)}}, pretrain)
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(pretrain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    outcome = call("download", "point-mae", "--from-file", bomb)
    assert outcome.code == 3
    assert "it is compressed" in outcome.err
    bomb.write_bytes(pretrain.read_bytes()[:10_000])
    assert "its end is missing" in call("download", "point-mae", "--from-file", bomb).err


def test_a_changed_base_is_refused_before_it_is_read(server, pretrain, cache_home, elsewhere):
    assert call("download", "point-mae", "--url", served(server, pretrain)).code == 0
    path = cache_home / "checkpoints" / NAME
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    changes = sets(
        "backbone.weights=null", "data.clouds_per_class=2", "data.test_clouds_per_class=1", *TINY_SIZES
    )
    outcome = call("finetune", "-p", "quickstart", *changes, "--set", SCALES)
    assert outcome.code == 5
    assert "changed after it was downloaded" in outcome.err
    assert list(elsewhere.iterdir()) == []


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("make", [pickle.dumps, None])
def test_a_checkpoint_that_would_run_code_is_refused(server, tmp_path, cache_home, make):
    path, marker = tmp_path / "pretrain.pth", tmp_path / "ran"
    if make:
        path.write_bytes(make(Bomb(marker)))
    else:
        torch.save({"base_model": {"a": torch.ones(1)}, "metrics": Bomb(marker)}, path)
    for arguments in (["--url", served(server, path)], ["--from-file", path]):
        outcome = call("download", "point-mae", *arguments)
        assert outcome.code == 5
        assert "refused, and nothing was run" in outcome.err
    assert not marker.exists()
    assert not (cache_home / "checkpoints" / NAME).exists()


def test_a_pickle_that_would_run_code_in_a_data_set_is_refused(tmp_path, elsewhere):
    marker, folder = tmp_path / "ran", tmp_path / "data" / "5way_10shot"
    folder.mkdir(parents=True)
    (folder / "0.pkl").write_bytes(pickle.dumps({"train": Bomb(marker), "test": []}))
    for split in ("train", "test"):
        (tmp_path / "data" / f"modelnet40_{split}_8192pts_fps.dat").write_bytes(
            pickle.dumps([Bomb(marker), []])
        )
    for preset in ("modelnet40", "modelnet40-fewshot"):
        changes = sets(f"data.root={tmp_path / 'data'}", *TINY_BACKBONE, *TINY_TRAINING)
        outcome = call("finetune", "--preset", preset, *changes, "--set", SCALES)
        assert outcome.code == 5, outcome.err
        assert "refused" in outcome.err.splitlines()[-2]
    assert not marker.exists()
    assert list(elsewhere.iterdir()) == []


# ---------------------------------------------------------------------------------- gated and by hand


def scanobjectnn(root):
    for split, count in (("training", 30), ("test", 15)):
        path = root / "main_split" / f"{split}_objectdataset_augmentedrot_scale75.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["data"] = np.random.RandomState(0).standard_normal((count, 2048, 3)).astype(np.float32)
            file["label"] = np.arange(count, dtype=np.int32) % 15
    return root


def test_gated_data_explains_its_terms_and_bypasses_nothing():
    outcome = call("download", "scanobjectnn")
    assert outcome.code == 2
    for words in ("terms", "https://hkust-vgd.github.io/scanobjectnn/", "--url", "--from-dir"):
        assert words in outcome.err


@pytest.mark.parametrize("how", ["folder", "linked", "archive", "url"])
def test_gated_data_is_taken_from_where_the_user_has_it(server, tmp_path, how):
    root = scanobjectnn(tmp_path / "shared disk é" / "h5_files")
    archive = tmp_path / "h5_files.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in root.rglob("*.h5"):
            file.write(path, f"h5_files/{path.relative_to(root)}")
    arguments = {
        "folder": ["--from-dir", root.parent],
        "linked": ["--from-dir", root, "--link"],
        "archive": ["--from-file", archive],
        "url": ["--url", served(server, archive, "/h5_files.zip")],
    }[how]
    outcome = call("download", "scanobjectnn", *arguments)
    assert outcome.code == 0, outcome.err
    changes = sets(*TINY_BACKBONE, *TINY_TRAINING, SCALES)
    trained = call("finetune", "-p", "scanobjectnn", *changes, "-o", tmp_path / "runs")
    assert trained.code == 0, trained.err
    missing = call("validate", "-p", "scanobjectnn-bg", *sets("backbone.init=random"))
    assert missing.code == 3
    assert "main_split/training_objectdataset.h5" in missing.err


def test_what_has_no_address_says_how_to_get_it():
    outcome = call("download", "modelnet40-fewshot")
    assert outcome.code == 2
    assert "https://" in outcome.err
    assert "pointlora download modelnet40-fewshot --from-dir" in outcome.err


# ---------------------------------------------------------------------------- what is shown, and asked


def test_the_list_fits_80_columns_and_names_everything():
    out = call("download", "--list").out
    tables = [line for line in out.splitlines() if not line.startswith("Cache: ")]
    assert max(len(line.rstrip()) for line in tables) <= 80
    for name, entry in load_catalog(Settings(home=Path())).items():
        assert re.search(rf"^ *{name}  .*{re.escape(entry.license)} *$", out, re.MULTILINE), name


def test_the_presets_that_an_entry_names_exist():
    presets = {preset["name"] for preset in call("presets", "--json").document["presets"]}
    for entry in load_catalog(Settings(home=Path())).values():
        assert set(entry.used_by) <= presets


def test_the_list_as_json_is_stable():
    document = call("download", "--list", "--json").document
    assert set(document) == {"schema_version", "command", "home", "entries"}
    (entry,) = [entry for entry in document["entries"] if entry["name"] == "point-mae"]
    assert set(entry) == {
        "name", "kind", "title", "license", "conditions", "terms", "homepage", "citation", "used_by", "pages",
        "files_cached", "bytes", "files",
    }  # fmt: skip
    assert set(entry["files"][0]) == {
        "name", "about", "default", "cached", "bytes", "path", "published_bytes", "approximate_bytes",
        "published_sha256", "recorded_sha256", "locations",
    }  # fmt: skip


def test_one_entry_is_listed_whole():
    outcome = call("download", "--list", "point-mae")
    for words in ("scan_hardest.pth", "ECCV 2022", "https://github.com/Pang-Yatian/Point-MAE"):
        assert words in outcome.out
    assert "recon" not in outcome.out


def test_a_dry_run_asks_for_sizes_and_fetches_nothing(server, monkeypatch, tmp_path, cache_home):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a" * 12_345})
    document = call("download", "mine", "--dry-run", "--json").document
    assert document["bytes_to_come"] == 12_345
    assert server.sent("/a.bin") == 0
    assert "12.3 kB" in call("download", "mine", "--dry-run").out
    assert list(cache_home.iterdir()) == []


def test_all_takes_every_file_of_an_entry(server, monkeypatch, tmp_path):
    catalogue(monkeypatch, tmp_path, server, {"a.bin": b"a", "b.bin": b"b"})
    path = tmp_path / "catalog.yaml"
    content = yaml.safe_load(path.read_text())
    content["mine"]["files"][1]["default"] = False
    path.write_text(yaml.safe_dump(content))
    assert len(call("download", "mine", "--json").document["files"]) == 1
    assert len(call("download", "mine", "--all", "--json").document["files"]) == 2
    assert call("download", "mine", "--remove", "--json").document["files"] != []
    assert call("download", "mine", "--list", "--json").document["entries"][0]["files_cached"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--list"),
        (["--dry-run"], "--list"),
        (["point-mae", "--dry-run", "--from-file", "a"], "--from-file does not go with --dry-run"),
        (["--list", "--url", "http://a/b"], "--url does not go with --list"),
        (["point-mae", "recon", "--url", "http://a/b", "--dry-run"], "is for one file"),
        (["pointmae"], "did you mean 'point-mae'"),
        (["point-mae/nosuch"], "point-mae/pretrain"),
        (["point-mae", "--list", "--verify"], "cannot be given together"),
        (["point-mae", "--url", "http://a", "--from-file", "b"], "cannot be given together"),
        (["point-mae", "recon", "--url", "http://a/b"], "is for one file"),
        (["modelnet40", "--sha256", "0" * 64], "is for one file"),
        (["point-mae", "--sha256", "xyz"], "64 hexadecimal digits"),
        (["point-mae", "--url", "file:///etc/passwd"], "--from-file"),
        (["point-mae", "--link"], "--from-file"),
        (["--remove"], "needs names"),
        (["point-mae", "--jobs", "0"], "--jobs"),
    ],
)
def test_wrong_usage_is_2_with_what_to_do(arguments, words):
    outcome = call("download", *arguments)
    assert outcome.code == 2
    assert words in outcome.err


def test_a_missing_file_or_folder_is_3(tmp_path):
    for option in ("--from-file", "--from-dir"):
        outcome = call("download", "point-mae", option, tmp_path / "nosuch")
        assert outcome.code == 3
        assert "nosuch" in outcome.err
