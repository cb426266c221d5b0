"""The wheel is whole: unpacked in another place, it finds its presets."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command_line import environment, python

from pointlora_cli.models.embedded import EMBEDDED_FILE

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(folder),
        str(REPOSITORY),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_presets_and_backbone_are_found_in_the_wheel_from_another_folder(wheel, tmp_path):
    place = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
        names = archive.namelist()
    shipped = {path.name for path in (REPOSITORY / "presets").glob("*.yaml")}
    assert {Path(name).name for name in names if name.startswith("pointlora_cli/presets/")} == shipped
    assert "pointlora_cli/py.typed" in names
    assert f"pointlora_cli/embedded/{EMBEDDED_FILE.name}" in names
    assert wheel.stat().st_size < 6e6
    assert not [name for name in names if name.startswith(("tests/", "presets/", "benchmarks/"))]
    code = (
        "import sys, pointlora_cli\nfrom pointlora_cli.app import run\n"
        "print(pointlora_cli.__file__)\nsys.exit(run(['presets', 'list']))"
    )
    outcome = python(code, cwd=tmp_path, PYTHONPATH=str(place))
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == str(place / "pointlora_cli" / "__init__.py")
    for name in shipped:
        assert Path(name).stem in outcome.out
    outcome = python(
        "import sys\nfrom pointlora_cli.app import run\nsys.exit(run(['validate', '--preset', 'quickstart']))",
        cwd=tmp_path,
        PYTHONPATH=str(place),
    )
    assert (outcome.code, outcome.err) == (0, "")


def test_entry_point_and_licence_are_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "pointlora = pointlora_cli.__main__:main" in archive.read(entry).decode()
        assert [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
