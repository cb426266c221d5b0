"""The README's commands run as written (with small networks), and its numbers are the program's."""

import re
import shlex
from pathlib import Path

import h5py
import laspy
import numpy as np
import pytest
import yaml
from command_line import TINY_BACKBONE, TINY_DATA, TINY_SIZES, TINY_TRAINING, call, only_run, sets
from faulty_server import FaultyServer
from labelled_folder import fill
from official_checkpoint import write_checkpoint

from pointlora_cli.clouds.writing import write_ply

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
COMMANDS = [line for line in LINES if line.startswith("pointlora ")]

SMALL = [*(change for change in TINY_DATA if change.startswith("data.points")), *TINY_BACKBONE]
SMALL_TRAINING = ["train.batch_size=4", "train.device=cpu"]
SMALL += SMALL_TRAINING
SCALES = "method.scales=[{centers: 8, neighbors: 8, keep: 2}]"
PRETRAIN = "pretrain --data my_clouds/"


def box(path, *size, seed=0):
    points = np.random.RandomState(seed).uniform(-1, 1, (100, 3)) * size
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ply(path, points.astype(np.float32))


def write_scanobjectnn(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"] = np.random.RandomState(0).standard_normal((15, 2048, 3)).astype(np.float32)
        file["label"] = np.arange(15, dtype=np.int32)


@pytest.fixture
def place(elsewhere, monkeypatch):
    """A folder with everything that the README's commands name, and a run to evaluate."""
    for seed in range(5):
        box(Path(f"my_clouds/pine/{seed}.ply"), 1, 3, 1, seed=seed)
        box(Path(f"my_clouds/oak/{seed}.ply"), 2, 1, 2, seed=seed)
    box(Path("more_scans/first.ply"), 1, 1, 1)
    for category, labels in (("chair", [0, 1]), ("table", [0, 1, 2])):
        fill(Path("my_parts", category), 5, labels)
    box(Path("scan.ply"), 1, 2, 1)
    scan = laspy.create()
    scan.x, scan.y, scan.z = np.random.RandomState(1).rand(3, 50)
    scan.write("new_scan.las")
    Path("tests").symlink_to(ROOT / "tests")
    assert call("presets", "copy", "quickstart", "my.yaml").code == 0
    for split in ("training", "test"):
        write_scanobjectnn(Path(f"ScanObjectNN/main_split/{split}_objectdataset_augmentedrot_scale75.h5"))
    with FaultyServer() as server:
        content = write_checkpoint(Path("published.pth"), seed=1).read_bytes()
        Path("published.pth").unlink()
        files = []
        for name in ("pretrain.pth", "scan_hardest.pth"):
            server.serve(f"/{name}", content)
            location = {"url": server.url(f"/{name}")}
            files.append({"name": name, "layout": "point-mae", "locations": [location]})
        entry = {"kind": "checkpoint", "title": "t", "license": "l", "homepage": "h", "citation": "c"}
        Path("catalog.yaml").write_text(yaml.safe_dump({"point-mae": {**entry, "files": files}}))
        monkeypatch.setenv("POINTLORA_CATALOG", str(elsewhere / "catalog.yaml"))
        yield elsewhere


def arguments_of(command):
    """The command's arguments, and settings that make its network small."""
    arguments = shlex.split(command)[1:]
    if arguments[0] == "pretrain":
        return [*arguments, *sets(*SMALL, "masking.decoder_heads=2", "train.epochs=1")]
    if arguments[0] not in {"finetune", "compare"}:
        return arguments
    if "--base" in arguments:  # which brings its sizes
        return [*arguments, *sets(SCALES, *TINY_TRAINING)]
    if "scratch" in command:  # which is no other than full where the backbone is random
        arguments[arguments.index("--seeds") + 1] = "1"
        quick = (
            ("data.clouds_per_class=2", "data.test_clouds_per_class=1") if "--data" not in arguments else ()
        )
        return [*arguments, *sets("data.points=128", *quick, *SMALL_TRAINING, "train.epochs=1")]
    scales = (
        [] if {"compare", "--method", "segmentation-folder", "method.name=full"} & {*arguments} else [SCALES]
    )
    if "scanobjectnn" in arguments:
        return [*arguments, *sets(*TINY_SIZES, *TINY_TRAINING, *scales)]
    quick = [] if "--data" in arguments else ["data.clouds_per_class=2", "data.test_clouds_per_class=1"]
    return [*arguments, *sets(*SMALL, *scales, *quick, "train.epochs=1")]


def test_the_readme_has_its_two_commands_and_more():
    assert "<!-- command 1 -->\n```bash\n" in README
    assert "<!-- command 2 -->\n```bash\n" in README
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(place, command):
    if command.split()[1] in {"evaluate", "predict"}:
        parts = "--category" in command
        first = (
            "finetune --preset segmentation-folder --data my_parts" if parts else "finetune --data my_clouds"
        )
        assert call(*arguments_of(f"pointlora {first}")).code == 0
    if command == "pointlora presets copy quickstart my.yaml":
        Path("my.yaml").unlink()
    if command.startswith("pointlora finetune --preset scanobjectnn"):
        assert call("download", "point-mae").code == 0
        assert call("download", "scanobjectnn", "--from-dir", "ScanObjectNN").code == 0
    if "--base runs/NAME" in command:
        assert call(*arguments_of(f"pointlora {PRETRAIN}")).code == 0
        Path("my_clouds").rename("labelled")
        command = command.replace("runs/NAME", str(only_run(Path("runs"))))
    outcome = call(*arguments_of(command))
    assert outcome.code == 0, outcome.err
    assert outcome.out


def test_the_table_of_methods_has_the_program_s_numbers():
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([\d,]+) \|$", README, re.MULTILINE)
    assert len(rows) == 14
    for method, trained in rows:
        outcome = call("inspect", "--preset", "scanobjectnn", "--set", f"method.name={method}", "--json")
        assert f"{outcome.document['parameters']['trained']:,}" == trained
    (released, paper) = re.search(
        r"^\| trained parameters.*\| ([\d,]+) \| ([\d,]+) \|$", README, re.MULTILINE
    ).groups()
    for variant, trained in (("released", released), ("paper", paper)):
        outcome = call("inspect", "--preset", "scanobjectnn", "--set", f"method.variant={variant}", "--json")
        assert f"{outcome.document['parameters']['trained']:,}" == trained
