"""Every published protocol, from files of its published layout to an epoch of training and its evaluation."""

from __future__ import annotations

import json
import pickle

import h5py
import numpy as np
import pytest
from command_line import TINY_BACKBONE, TINY_TRAINING, call, metrics_rows, only_run, sets
from modelnet_files import shapes, write_processed, write_raw

SCALES = "method.scales=[{centers: 8, neighbors: 8, keep: 2}]"
H5 = {
    "scanobjectnn": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
    "scanobjectnn-bg": "main_split/{}_objectdataset.h5",
    "scanobjectnn-only": "main_split_nobg/{}_objectdataset.h5",
}


def scanobjectnn(root, preset):
    for split, count in (("training", 30), ("test", 15)):
        path = root / H5[preset].format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["data"] = np.random.RandomState(0).standard_normal((count, 2048, 3)).astype(np.float32)
            file["label"] = np.arange(count, dtype=np.int32) % 15


def episode(root, way=5, shot=10, folder="5way_10shot"):
    clouds = {"train": shapes(way * shot, seed=1), "test": shapes(way * 2, seed=2)}
    content = {
        split: [
            (cloud, label, 7 * label)
            for cloud, label in zip(points, [*range(way)] * len(points), strict=False)
        ]
        for split, points in clouds.items()
    }
    (root / "ModelNetFewshot" / folder).mkdir(parents=True)
    (root / "ModelNetFewshot" / folder / "0.pkl").write_bytes(pickle.dumps(content))


def make(root, preset, changes):
    """Files of the layout that a preset reads."""
    if preset in H5:
        scanobjectnn(root, preset)
    elif "data.files=raw" in changes:
        write_raw(root, per_class=(2, 1))
    elif preset == "modelnet40-fewshot" and "data.episodes=generated" not in changes:
        episode(root)
    else:
        labels = [label for label in range(6) for _ in range(3)]
        write_processed(root, train=labels, test=labels[::2])


@pytest.mark.parametrize(
    ("preset", "changes", "entry", "tested"),
    [
        ("scanobjectnn", [], "scanobjectnn", 15),
        ("scanobjectnn-bg", [], "scanobjectnn", 15),
        ("scanobjectnn-only", [], "scanobjectnn", 15),
        ("modelnet40", [], "modelnet40", 9),
        ("modelnet40", ["data.files=raw"], "modelnet40-raw", 3),
        ("modelnet40-8k", [], "modelnet40", 9),
        ("modelnet40-fewshot", [], "modelnet40-fewshot", 10),
        ("modelnet40-fewshot", ["data.episodes=generated", "data.shot=2"], "modelnet40", 8),
    ],
)
def test_a_protocol_is_imported_trained_and_evaluated(tmp_path, preset, changes, entry, tested):
    make(tmp_path / "files", preset, changes)
    imported = call("download", entry, "--from-dir", tmp_path / "files")
    assert imported.code == 0, imported.err
    options = [*changes, "backbone.init=random", *TINY_BACKBONE, *TINY_TRAINING, SCALES]
    outcome = call("finetune", "-p", preset, *sets(*options), "-o", tmp_path / "runs")
    assert outcome.code == 0, outcome.err
    run = only_run(tmp_path / "runs")
    (row,) = metrics_rows(run)
    again = call("evaluate", run, "--json").document
    assert again["clouds"] == tested
    assert again["accuracy"] == row["accuracy"]


def test_a_validation_part_is_seen_as_the_test_set_is(tmp_path):
    make(tmp_path / "files", "modelnet40", [])
    options = [
        f"data.root={tmp_path / 'files'}",
        "backbone.init=random",
        *TINY_BACKBONE,
        *TINY_TRAINING,
        SCALES,
    ]
    outcome = call(
        "finetune", "-p", "modelnet40", *sets(*options, "train.selection=best-val", "train.val_fraction=0.4"),
        "-o", tmp_path / "runs", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.document["test"]["clouds"] == 9


def test_a_published_episode_keeps_the_head_of_forty(tmp_path):
    make(tmp_path / "files", "modelnet40-fewshot", [])
    options = [
        f"data.root={tmp_path / 'files'}",
        "backbone.init=random",
        *TINY_BACKBONE,
        *TINY_TRAINING,
        SCALES,
    ]
    outcome = call("finetune", "-p", "modelnet40-fewshot", *sets(*options), "-o", tmp_path / "runs")
    assert outcome.code == 0, outcome.err
    record = json.loads((only_run(tmp_path / "runs") / "adapter" / "adapter.json").read_text())
    assert len(record["classes"]) == 40
    assert record["classes"][:2] == ["airplane", "car"]  # original classes 0 and 7
    assert all(name.startswith("spare-") for name in record["classes"][5:])
    np.save(tmp_path / "cloud.npy", shapes(1)[0, :, :3])
    document = call("predict", tmp_path / "cloud.npy", "-a", only_run(tmp_path / "runs"), "--json").document
    answers = document["predictions"][0]["probabilities"]
    assert sum(probability for name, probability in answers.items() if name.startswith("spare-")) == 0


def test_the_raw_tree_is_converted_once_with_progress(tmp_path):
    write_raw(tmp_path, per_class=(2, 1))
    options = sets(f"data.root={tmp_path}", "backbone.init=random", *TINY_BACKBONE, *TINY_TRAINING, SCALES)
    for times in (1, 2):
        outcome = call("finetune", "-p", "modelnet40", *options, "--dry-run")
        assert outcome.code == 0, outcome.err
        assert ("converting" in outcome.err) == (times == 1)
