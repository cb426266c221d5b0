"""What a terminal gets, and what a pipe gets."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from command_line import call, environment, launch, python, tiny
from faulty_server import FaultyServer
from rich.console import Console

from pointlora_cli.console.tables import confusion_table
from pointlora_cli.training.metrics import Metrics

COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


def on_a_terminal(*arguments: str, **changes: str) -> tuple[int, bytes]:
    """Run a command whose streams are all a terminal of 100 columns; give its exit code and what it shows."""
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        words = [sys.executable, "-m", "pointlora_cli", *arguments]
        os.execve(sys.executable, words, environment(TERM="xterm-256color", COLUMNS="100", **changes))
    shown = b""
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # Linux: the terminal is gone
            break
        if not block:
            break
        shown += block
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def test_training_on_a_terminal_shows_a_live_bar_in_colour(tmp_path):
    code, shown = on_a_terminal("finetune", *tiny("train.epochs=3"), "-o", str(tmp_path))
    assert code == 0, shown
    assert COLOUR.search(shown)
    assert "━" in shown.decode()
    assert re.search(r"epoch \S*3/3", COLOUR.sub(b"", shown).decode())
    assert b"clouds/s" in shown
    assert b"Traceback" not in shown


def test_no_color_on_a_terminal_means_no_escape_codes(tmp_path):
    code, shown = on_a_terminal("finetune", *tiny("train.epochs=2"), "-o", str(tmp_path), NO_COLOR="1")
    assert code == 0
    assert b"\x1b" not in shown
    assert b"epoch 2/2" in shown
    assert b"test accuracy" in shown


def test_table_fits_a_terminal():
    _, shown = on_a_terminal("doctor")
    plain = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown).decode()
    assert max(len(line) for line in plain.splitlines()) <= 100
    assert "quickstart" in plain


@pytest.mark.parametrize(
    "arguments",
    [["presets"], ["doctor"], ["inspect", "--preset", "quickstart"], ["finetune", "--nosuch"], ["nosuch"]],
    ids=" ".join,
)
def test_no_escape_codes_off_a_terminal(arguments):
    outcome = call(*arguments)
    assert outcome.out + outcome.err
    assert "\x1b" not in outcome.out + outcome.err


def test_a_run_off_a_terminal_tells_an_epoch_a_line_on_stderr(tmp_path):
    outcome = call("finetune", *tiny("train.epochs=2"), "-o", tmp_path)
    assert "\x1b" not in outcome.out + outcome.err
    lines = [line for line in outcome.err.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert "epoch 1/2" not in outcome.out


def test_a_reader_that_goes_away_is_no_error():
    command = [sys.executable, "-m", "pointlora_cli", "inspect", "--preset", "quickstart", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_stream_without_unicode_still_gets_the_result():
    outcome = launch("inspect", "--preset", "quickstart", PYTHONIOENCODING="ascii")
    assert outcome.code == 0
    assert "71,099" in outcome.out


def test_no_color_set_to_nothing_does_not_count():
    code = (
        "import sys\nfrom rich.console import Console\nfrom pointlora_cli.console.screen import Screen\n"
        "print(Screen(as_json=False).err.no_color)"
    )
    assert python(code, NO_COLOR="").out == "False\n"
    assert python(code, NO_COLOR="1").out == "True\n"


@pytest.mark.parametrize(
    ("classes", "width", "whole"),
    [(3, 60, True), (15, 80, True), (20, 160, True), (20, 80, False), (40, 160, False), (40, 200, True)],
)
def test_confusion_matrix_is_shown_whole_or_as_its_largest_entries(classes, width, whole):
    confusion = np.diag(np.full(classes, 100))
    confusion[1, 2] = 99
    console = Console(file=io.StringIO(), width=width)
    names = [f"{'long ' * (index % 2)}name {index}" for index in range(classes)]
    console.print(confusion_table(names, Metrics(confusion, 1.0), console))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    (row,) = (line for line in lines if " 99 " in f"{line} ")
    assert "long name 1" in row
    assert "name 2" not in row if whole else "name 2" in row
    assert lines[0].startswith("Confusion" if whole else "Most frequent confusions")
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("plain", [False, True])
def test_downloads_on_a_terminal_show_a_bar_each(tmp_path, plain):
    with FaultyServer() as server:
        files = []
        for name in ("a.bin", "b.bin"):
            server.serve(f"/{name}", b"x" * 400_000, throttle=400_000)
            files.append({"name": name, "locations": [{"url": server.url(f"/{name}")}]})
        entry = {
            "kind": "dataset",
            "title": "t",
            "license": "l",
            "homepage": "h",
            "citation": "c",
            "files": files,
        }
        (tmp_path / "catalog.yaml").write_text(yaml.safe_dump({"mine": entry}))
        changes = {"POINTLORA_CATALOG": str(tmp_path / "catalog.yaml")} | ({"NO_COLOR": "1"} if plain else {})
        code, shown = on_a_terminal("download", "mine", **changes)
    assert code == 0, shown
    text = COLOUR.sub(b"", shown).decode()
    assert ("\x1b" in text or "━" in text) != plain
    for name in ("mine/a.bin", "mine/b.bin"):
        assert f"{name}: downloaded, 400 kB" in text
        assert plain or re.search(rf"{name}\s+━+ \s*[\d.]+/400", text)
