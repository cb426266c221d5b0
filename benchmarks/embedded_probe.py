"""A linear probe on what the embedded backbone makes of clouds it never saw, beside the same network untrained.

    python benchmarks/embedded_probe.py

For each seed, clouds of the built-in classes to fine-tune on are generated anew, scanned as those of the preset
quickstart are, and random weights are drawn anew. The probe is ridge regression in closed form on the mean and the
maximum of the tokens. The margin counts in points of accuracy.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import statistics
import sys

import torch

from pointlora_cli.datasets.build import load_data
from pointlora_cli.models.base_weights import load_base
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.models.embedded import EMBEDDED
from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder
from pointlora_cli.specs.data import ShapesData
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.training.linear_probe import ProbeClouds, probe_accuracy
from pointlora_cli.training.masked_modelling import probe_features


def main() -> int:
    """Print a line for each seed and the means; 1 where the margin is less than was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--least", type=float, default=15.0, help="points of accuracy")
    parser.add_argument("--fit", type=int, default=60, help="clouds of each class to fit the probe")
    parser.add_argument("--score", type=int, default=30, help="clouds of each class to score it")
    arguments = parser.parse_args()
    pairs = []
    print("seed  embedded  random weights")
    for seed in range(arguments.seeds):
        clouds = _clouds(seed, arguments.fit, arguments.score)
        pair = _probe(clouds, EMBEDDED, seed), _probe(clouds, None, seed)
        print(f"{seed:4d} {pair[0]:8.1f} % {pair[1]:13.1f} %")
        pairs.append(pair)
    ours, random = (statistics.fmean(column) for column in zip(*pairs, strict=True))
    print(f"mean {ours:8.1f} % {random:13.1f} %   margin {ours - random:.1f}")
    return int(ours - random < arguments.least)


def _clouds(seed: int, fit: int, score: int) -> ProbeClouds:
    data = load_run_spec(preset="quickstart").data
    assert isinstance(data, ShapesData)
    sizes = {"clouds_per_class": fit, "test_clouds_per_class": score}
    shapes = load_data(data.model_copy(update={"seed": seed, **sizes}))
    return ProbeClouds(shapes.train, shapes.test, len(shapes.classes))


def _probe(clouds: ProbeClouds, weights: str | None, seed: int) -> float:
    """Accuracy in per cent on features of a network with these weights, or with random ones of a seed."""
    spec = load_run_spec(preset="pretrain-quickstart", overrides=[f"train.seed={seed}"])
    model = build_initialized_model(spec, Outputs(0))
    assert isinstance(model, MaskedAutoencoder)
    if weights is not None:
        change = {"init": "checkpoint", "weights": weights}
        load_base(model, spec.backbone.model_copy(update=change), seed)
    device = torch.device("cpu")

    def features(points: torch.Tensor) -> torch.Tensor:
        return probe_features(model, points, batch_size=64, device=device, dtype=torch.float32)

    return 100 * probe_accuracy(clouds, features, batch_size=64)


if __name__ == "__main__":
    sys.exit(main())
