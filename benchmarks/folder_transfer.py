"""PointLoRA on a folder of your own clouds, from the embedded backbone and from random weights, over several splits.

    python benchmarks/folder_transfer.py FOLDER --splits 5

FOLDER has a folder for each class. Each split is the one that `pointlora finetune --data FOLDER --set
data.split_seed=N` makes, and trains with seed N; all else is the preset's, for both. Balanced accuracy is the mean of
the accuracies of the classes.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from pointlora_cli.services.finetune import finetune
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.metrics import Metrics

STARTS = {
    "embedded": ("backbone.init=checkpoint", "backbone.weights=embedded"),
    "random": ("backbone.init=random",),
}


def main() -> int:
    """Print a line for each run, and the table; 1 where the embedded backbone is no better."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--preset", default="folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    arguments = parser.parse_args()
    balanced: dict[str, list[float]] = {start: [] for start in STARTS}
    overall: dict[str, list[float]] = {start: [] for start in STARTS}
    with tempfile.TemporaryDirectory() as runs:
        for split in range(arguments.splits):
            for start, weights in STARTS.items():
                own = (f"output.dir={runs}", f"data.split_seed={split}", f"train.seed={split}")
                spec = load_run_spec(
                    preset=arguments.preset,
                    data_root=arguments.folder,
                    overrides=[*weights, *own, *arguments.changes],
                )
                result = finetune(spec, lambda event: None)
                assert isinstance(result.test, Metrics)
                balanced[start].append(100 * result.test.mean_class_accuracy)
                overall[start].append(100 * result.test.accuracy)
                print(
                    f"split {split}, {start}: balanced {balanced[start][-1]:.1f} %, "
                    f"overall {overall[start][-1]:.1f} %, {result.seconds:.0f} s",
                    flush=True,
                )
    print("start     balanced accuracy  overall accuracy")
    for start in STARTS:
        print(f"{start:9} {_spread(balanced[start]):17}  {_spread(overall[start])}")
    gains = [ours - theirs for ours, theirs in zip(*balanced.values(), strict=True)]
    print(f"gain      {_spread(gains)}")
    return int(statistics.fmean(gains) <= 0)


def _spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.1f} ± {statistics.pstdev(values):.1f}"


if __name__ == "__main__":
    sys.exit(main())
