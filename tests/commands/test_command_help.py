"""Help and version: quick, complete, and without loading what they do not need."""

from __future__ import annotations

import re
import sys
import time

import pytest
from command_line import call, launch, python

COMMANDS = (
    "download",
    "pretrain",
    "finetune",
    "fewshot",
    "compare",
    "evaluate",
    "predict",
    "inspect",
    "merge",
    "validate",
    "bench",
    "doctor",
    "presets",
    "presets list",
    "presets show",
    "presets copy",
)
HEAVY = ("torch", "open3d", "numpy", "h5py", "requests")


@pytest.mark.parametrize(
    "statement",
    [
        "import pointlora_cli",
        "from pointlora_cli.app import run; run(['--help'])",
        "from pointlora_cli.app import run; run(['--version'])",
        "from pointlora_cli.app import run; run(['finetune', '--help'])",
        "from pointlora_cli.app import run; run(['nosuchcommand'])",
    ],
)
def test_nothing_heavy_is_imported(statement):
    code = f"{statement}\nimport sys\nprint('loaded:', *({HEAVY!r} & sys.modules.keys()))".replace(
        repr(HEAVY), repr(set(HEAVY))
    )
    outcome = python(code)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "loaded:"


def test_listing_presets_does_not_import_torch():
    outcome = python(
        "from pointlora_cli.app import run; run(['presets'])\n"
        "import sys\nprint('torch' in sys.modules, 'open3d' in sys.modules)"
    )
    assert outcome.out.splitlines()[-1] == "False False"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_process_of_its_own_answers_soon(option):
    began = time.monotonic()
    outcome = launch(option)
    assert time.monotonic() - began < 3
    assert outcome.code == 0
    assert outcome.err == ""


def test_version_is_the_packages():
    from pointlora_cli import __version__

    assert call("--version") == (0, f"pointlora {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    outcome = call(*command.split(), "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert re.search(rf"Examples?:\s+pointlora {command}", outcome.out)
    assert "--json" in outcome.out
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_neither_cut_off_nor_too_wide(command):
    out = call(*command.split(), "--help").out
    assert "..." not in out.replace("[clouds]...", "").replace("clouds...", "").replace(
        "[ARGS]...", ""
    ).replace("[names]...", "").replace("names...", "")
    assert max(len(line) for line in out.splitlines()) <= 100


def test_every_command_is_in_the_main_help():
    out = call("--help").out
    assert set(re.findall(r"^  (\w+) {2,}\S", out, re.MULTILINE)) == {name.split()[0] for name in COMMANDS}


def test_no_command_at_all_shows_the_help_as_a_usage_error():
    outcome = call()
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: pointlora" in outcome.err
    assert "error" not in outcome.err


def test_short_help_option():
    assert call("finetune", "-h") == call("finetune", "--help")


def test_module_runs_like_the_entry_point():
    outcome = launch("presets", "list")
    assert outcome.code == 0
    assert "quickstart" in outcome.out
    assert sys.modules["pointlora_cli"]
