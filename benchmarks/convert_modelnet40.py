"""What converting ModelNet40's raw tree costs per shape, on a synthetic tree of the exact layout.

    python benchmarks/convert_modelnet40.py --shapes 200

It prints the cost of parsing and of sampling one shape in one process, with the sampler that looks at all
points for each pick beside the pruned one; the whole conversion in all processes; and the second start.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.datasets.modelnet40 import CLASSES, load_modelnet40
from pointlora_cli.datasets.modelnet40_raw import LISTS, TREE, read_points
from pointlora_cli.ops.pruned_sampling import pruned_farthest_points
from pointlora_cli.specs.data import ModelNet40Data

PUBLISHED = 12_311  # shapes of both lists
RAW, STORED = 10_000, 8_192


def furniture(seed: int) -> NDArray[np.float64]:
    """Points with normals (10000, 6) on the sides of some boxes, denser than a volume as real shapes are."""
    random = np.random.default_rng(seed)
    boxes = random.integers(0, 5, RAW)
    sides = random.integers(0, 6, RAW)
    points = random.uniform(-1, 1, (RAW, 3))
    points[np.arange(RAW), sides % 3] = np.where(sides < 3, -1, 1)
    points *= random.uniform(0.05, 0.6, (5, 3))[boxes]
    points += random.uniform(-0.4, 0.4, (5, 3))[boxes]
    return np.concatenate([points, random.uniform(-1, 1, (RAW, 3))], axis=1)


def write_tree(root: Path, shapes: int) -> list[Path]:
    """Lists and text files as published; a fifth of the shapes, at least one, are for testing."""
    tree = root / TREE
    tree.mkdir(parents=True)
    names = [CLASSES[index % len(CLASSES)] for index in range(shapes)]
    entries = [f"{name}_{index:04d}" for index, name in enumerate(names)]
    test = max(1, shapes // 5)
    for file, lines in zip(LISTS, (list(CLASSES), entries[test:], entries[:test]), strict=True):
        (tree / file).write_text("\n".join(lines) + "\n")
    paths = [tree / name / f"{entry}.txt" for name, entry in zip(names, entries, strict=True)]
    row = ",".join(["%.6f"] * 6) + "\n"
    for index, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text(row * RAW % tuple(furniture(index).ravel().tolist()))
    return paths


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_one_process(paths: list[Path]) -> None:
    """Parsing, and both samplers, shape by shape."""
    import torch  # noqa: PLC0415 - the helping processes import this file, and have no use for it

    from pointlora_cli.ops import sampling  # noqa: PLC0415

    clouds: list[NDArray[np.float32]] = []
    parsing = seconds(lambda: clouds.extend(read_points(path) for path in paths)) / len(paths)
    pruned_farthest_points(clouds[0], 200)  # the first call loads parts of numpy
    pruned = seconds(lambda: [pruned_farthest_points(cloud, STORED) for cloud in clouds]) / len(clouds)
    few = clouds[:3]
    start = torch.zeros(1, dtype=torch.int64)
    full = seconds(
        lambda: [
            sampling._by_full_passes(torch.from_numpy(cloud)[None], STORED, start, False) for cloud in few
        ]
    ) / len(few)
    print(f"one process, per shape:  parsing {parsing * 1e3:7.1f} ms")
    print(f"                         sampling {pruned * 1e3:6.1f} ms (pruned)")
    print(
        f"                         sampling {full * 1e3:6.1f} ms (all points each time, {full / pruned:.1f} times)"
    )


def measure_conversion(root: Path, shapes: int) -> None:
    """The first start, which converts, and the second."""
    spec = ModelNet40Data(root=str(root))
    first = seconds(lambda: load_modelnet40(spec))
    second = seconds(lambda: load_modelnet40(spec))
    test = max(1, shapes // 5)
    print(
        f"first start:  {first:7.2f} s for {shapes} shapes, {first / shapes * 1e3:.1f} ms each: converting all,"
    )
    print(f"              thinning {test} test clouds to {spec.points} points, starting processes")
    print(f"second start: {second:7.2f} s, {second / shapes * 1e3:.2f} ms each")
    print(
        f"for the published {PUBLISHED:,} shapes that makes {first / shapes * PUBLISHED / 60:.1f} minutes, "
        f"then {second / shapes * PUBLISHED:.1f} s at each start"
    )


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=100, help="shapes of the synthetic tree, at least 2")
    shapes = parser.parse_args().shapes
    if shapes < 2:
        parser.error("--shapes must be at least 2")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POINTLORA_HOME"] = str(Path(folder) / "home")
        paths = write_tree(Path(folder), shapes)
        print(f"{os.cpu_count()} cores, numpy {np.__version__}, Python {sys.version.split()[0]}")
        measure_one_process(paths[:20])
        measure_conversion(Path(folder), shapes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
