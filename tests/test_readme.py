"""The README's commands run as written (with small networks), and its numbers are the program's."""

import re
import shlex
from pathlib import Path

import laspy
import numpy as np
import pytest
from command_line import TINY_BACKBONE, TINY_DATA, call, sets

from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.errors import ExitCode

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
COMMANDS = [line for line in LINES if line.startswith("pointlora ")]

SMALL = [*(change for change in TINY_DATA if change.startswith("data.points")), *TINY_BACKBONE]
SMALL += ["train.batch_size=4", "train.device=cpu"]
SCALES = "method.scales=[{centers: 8, neighbors: 8, keep: 2}]"


def box(path, *size, seed=0):
    points = np.random.RandomState(seed).uniform(-1, 1, (100, 3)) * size
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ply(path, points.astype(np.float32))


@pytest.fixture
def place(elsewhere):
    """A folder with everything that the README's commands name, and a run to evaluate."""
    for seed in range(5):
        box(Path(f"my_clouds/pine/{seed}.ply"), 1, 3, 1, seed=seed)
        box(Path(f"my_clouds/oak/{seed}.ply"), 2, 1, 2, seed=seed)
    box(Path("more_scans/first.ply"), 1, 1, 1)
    scan = laspy.create()
    scan.x, scan.y, scan.z = np.random.RandomState(1).rand(3, 50)
    scan.write("new_scan.las")
    Path("tests").symlink_to(ROOT / "tests")
    assert call("presets", "copy", "quickstart", "my.yaml").code == 0
    return elsewhere


def arguments_of(command):
    """The command's arguments, and settings that make its network small."""
    arguments = shlex.split(command)[1:]
    if arguments[0] != "finetune":
        return arguments
    small = sets(*SMALL) if "method.name=full" in arguments else sets(*SMALL, SCALES)
    quick = ["data.clouds_per_class=2", "data.test_clouds_per_class=1"] if "--data" not in arguments else []
    return [*arguments, *small, *sets(*quick), "--set", "train.epochs=1"]


def test_the_readme_has_its_two_commands_and_more():
    assert "<!-- command 1 -->\n```bash\n" in README
    assert "<!-- command 2 -->\n```bash\n" in README
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("command", [c for c in COMMANDS if "scanobjectnn" not in c])
def test_a_command_runs(place, command):
    train = ["finetune", "--data", "my_clouds", *sets(*SMALL, SCALES), "--set", "train.epochs=1"]
    if command.split()[1] in {"evaluate", "predict"}:
        assert call(*train).code == 0
    if command == "pointlora presets copy quickstart my.yaml":
        Path("my.yaml").unlink()
    outcome = call(*arguments_of(command))
    assert outcome.code == 0, outcome.err
    assert outcome.out


def test_the_published_protocol_says_what_is_missing(place):
    (command,) = {c for c in COMMANDS if "scanobjectnn" in c}
    outcome = call(*shlex.split(command)[1:])
    assert outcome.code == ExitCode.DATA
    for words in (
        "ScanObjectNN/main_split/training_",
        "ScanObjectNN/main_split/test_",
        "pretrain.pth: no such file",
    ):
        assert words in outcome.err


def test_the_table_of_methods_has_the_program_s_numbers():
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d,]+) \|$", README, re.MULTILINE)
    assert len(rows) == 5
    for method, trained in rows:
        outcome = call("inspect", "--preset", "scanobjectnn", "--set", f"method.name={method}", "--json")
        assert f"{outcome.document['parameters']['trained']:,}" == trained
    (released, paper) = re.search(
        r"^\| trained parameters.*\| ([\d,]+) \| ([\d,]+) \|$", README, re.MULTILINE
    ).groups()
    for variant, trained in (("released", released), ("paper", paper)):
        outcome = call("inspect", "--preset", "scanobjectnn", "--set", f"method.variant={variant}", "--json")
        assert f"{outcome.document['parameters']['trained']:,}" == trained
