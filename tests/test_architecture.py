"""The arrows of import, and what stays out of start-up."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pointlora_cli

PACKAGE = Path(pointlora_cli.__file__).parent

# Each room, and the rooms it may import from besides itself.
BASE = {"errors", "files", "__init__"}
LOW = BASE | {"specs"}
BESIDE = {"processes", "process_map"}
ROOMS = {
    "errors": set(),
    "files": {"errors"},
    "processes": set(),
    "process_map": {"errors", "processes"},
    "specs": BASE,
    "ops": BASE,
    "clouds": BASE,
    "catalog": BASE,
    "models": LOW | {"ops", "adaptation", "catalog"},
    "adaptation": LOW | {"ops", "models"},
    "datasets": LOW | BESIDE | {"ops", "clouds", "catalog"},
    "training": LOW | {"ops", "clouds", "models", "adaptation", "datasets"},
    "services": LOW | BESIDE | {"ops", "clouds", "catalog", "models", "adaptation", "datasets", "training"},
    "console": LOW | {"datasets", "models", "training", "catalog"},
    "commands": LOW | {"services", "console", "training", "datasets", "catalog"},
    "signals": {"errors"},
    "app": BASE | {"commands", "console", "signals"},
    "__main__": {"app"},
}


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path):
    """(line, module of this package) of every import in a file, lazy ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "pointlora_cli":
                names = [f"pointlora_cli.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "pointlora_cli":
                yield node.lineno, name


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_go_downward_only(path):
    inside = path.relative_to(PACKAGE)
    own = inside.parts[0] if len(inside.parts) > 1 else inside.stem
    if own == "__init__":
        assert list(imports(path)) == []
        return
    allowed = ROOMS[own] | {own}
    for line, module in imports(path):
        target = room(module)
        is_version = module == "pointlora_cli.__version__"
        assert target in allowed or is_version, f"{inside}:{line} imports {module} from {own}"


def loaded_after(code):
    script = f"import sys; {code}; print(' '.join(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    return set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
    )


@pytest.mark.parametrize(
    "code",
    [
        "import pointlora_cli",
        "import pointlora_cli.app",
        "import pointlora_cli.specs.run, pointlora_cli.specs.loading",
    ],
)
def test_start_up_loads_neither_torch_nor_open3d(code):
    assert not loaded_after(code) & {"torch", "open3d", "laspy", "h5py", "requests"}


def test_files_hold_one_idea_each():
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > 400} == {}
