"""The few-shot protocol's numbers, and which folds count as finished."""

from __future__ import annotations

import numpy as np
import pytest

from pointlora_cli.console.fewshot_tables import mean_and_deviation
from pointlora_cli.errors import UsageError
from pointlora_cli.services.fewshot import records_folder, setting_name
from pointlora_cli.services.spread import spread
from pointlora_cli.specs.loading import load_run_spec


def fewshot_spec(*overrides):
    return load_run_spec(preset="modelnet40-fewshot", overrides=overrides)


def test_mean_and_both_deviations_are_numpy_s():
    accuracies = [0.93, 0.98, 0.96, 0.99]
    found = spread(accuracies)
    assert found.mean == pytest.approx(np.mean(accuracies))
    assert found.population == pytest.approx(np.std(accuracies))
    assert found.sample == pytest.approx(np.std(accuracies, ddof=1))
    assert mean_and_deviation(found.mean, found.population) == "96.5 ± 2.3"


def test_one_fold_has_no_deviation_as_a_sample():
    assert (spread([0.5]).population, spread([0.5]).sample) == (0, None)


def test_folds_and_folders_of_runs_share_their_records_and_nothing_else_does():
    first = records_folder(fewshot_spec())
    assert records_folder(fewshot_spec("data.fold=7")) == first
    assert records_folder(fewshot_spec("output.dir=elsewhere")).name == first.name
    others = (
        "data.shot=20",
        "data.way=10",
        "train.seed=1",
        "optimizer.lr=0.001",
        "data.root=x",
        "method.rank=4",
    )
    names = {first.name, *(records_folder(fewshot_spec(change)).name for change in others)}
    assert len(names) == 1 + len(others)


def test_a_setting_is_named_as_in_the_papers():
    assert setting_name(fewshot_spec("data.way=10", "data.shot=20")) == "10w20s"
    with pytest.raises(UsageError, match="'shapes'"):
        setting_name(load_run_spec(preset="quickstart"))
