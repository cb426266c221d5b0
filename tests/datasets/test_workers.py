"""Work in several processes: in order, with errors passed on, stopped at once by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from command_line import environment

from pointlora_cli.datasets import workers
from pointlora_cli.datasets.modelnet40_raw import read_points
from pointlora_cli.datasets.workers import map_in_workers
from pointlora_cli.errors import DataError


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 2)


def test_many_items_come_in_order_from_other_processes():
    items = [os.fspath(f"/tmp/{index}") for index in range(40)]
    assert list(map_in_workers(os.path.basename, items, few=4)) == [str(index) for index in range(40)]
    (first, *_, last) = map_in_workers(os.getenv, ["HOME"] * 30 + ["NO_SUCH"], few=4)
    assert (first, last) == (os.environ.get("HOME"), None)


def test_few_items_stay_in_this_process():
    assert list(map_in_workers(id, [workers], few=4)) == [id(workers)]
    assert list(map_in_workers(id, [])) == []


def test_an_error_comes_with_its_remedy(tmp_path):
    (tmp_path / "a.txt").write_text("1,2,3\n")
    with pytest.raises(DataError, match=r"a.txt: 1 points, expected at least 8,192") as caught:
        list(map_in_workers(read_points, [tmp_path / "a.txt"] * 8, few=4))
    assert "fetch the tree again" in str(caught.value.remedy)


def test_a_file_that_processes_die_of_is_an_error_and_no_hang():
    with pytest.raises(DataError, match=r"at work on one file .* exit code 3"):
        list(map_in_workers(os._exit, [3] * 8, few=4))


SLOW = """
import sys, time
from pointlora_cli.datasets import workers
from pointlora_cli.errors import Terminated
workers.cores = lambda: 2
if __name__ == "__main__":
    print("begun", flush=True)
    try:
        list(workers.map_in_workers(time.sleep, [0.05] * 2000, few=4))
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.7])
def test_ctrl_c_stops_all_processes_soon_even_while_they_start(tmp_path, delay):
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert process.stdout.readline() == "begun\n"
    time.sleep(delay)
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("stopped\n", "", 0)
    assert time.monotonic() - start < 3
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        while time.monotonic() - start < 6:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_workers_load_no_torch():
    code = (
        "import sys, pointlora_cli.datasets.workers, pointlora_cli.datasets.thinning\n"
        "import pointlora_cli.datasets.modelnet40_raw\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(), timeout=60)
