"""Our sampling, neighbours and learning rates are the official ones."""

import numpy as np
import pytest
import torch
from golden_cases import ARRAY_FILES

from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.neighbors import nearest_neighbors
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.training import ScheduleSpec
from pointlora_cli.training.schedule import build_schedule


def _found(suffix):
    """(file, name) of every entry whose name ends or begins so."""
    cases = []
    for path in ARRAY_FILES:
        with np.load(path) as file:
            cases += [
                pytest.param(path, name, id=f"{path.stem}-{name}")
                for name in file
                if name.endswith(suffix) or name.startswith(suffix)
            ]
    return cases


@pytest.fixture
def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("path", "name"), _found("__points"))
class TestGeometry:
    def test_sampling(self, arrays, name, dtype):
        cloud = name.removesuffix("__points")
        points = torch.from_numpy(arrays[name])[None].to(dtype)
        for skip, entry in ((False, "fps_idx"), (True, "fps_idx_skip_near_origin")):
            theirs = arrays[f"{cloud}__{entry}"]
            ours = farthest_point_sampling(points, len(theirs), skip_near_origin=skip)
            np.testing.assert_array_equal(ours[0].numpy(), theirs)

    def test_neighbors(self, arrays, name, dtype):
        cloud = name.removesuffix("__points")
        points = torch.from_numpy(arrays[name])[None].to(dtype)
        theirs, distances = arrays[f"{cloud}__knn_idx"], arrays[f"{cloud}__knn_sqdist"]
        centers = torch.from_numpy(arrays[f"{cloud}__fps_idx"][: len(theirs)].astype(np.int64))[None]
        k = theirs.shape[1]
        indices, squared = nearest_neighbors(gather(points, centers), points, k)
        np.testing.assert_array_equal(indices[0].numpy(), theirs)
        np.testing.assert_allclose(squared[0].numpy(), distances[:, :k], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("path", "name"), _found("value_at_t_base"))
def test_schedule(arrays, name):
    base = name.removeprefix("value_at_t_base")
    spec = ScheduleSpec(length=300, warmup_epochs=10, warmup_lr=1e-6, min_lr=1e-6, lag=1)
    schedule = build_schedule(spec, base_lr=float(base), epochs=301)
    values = [schedule.at(time) for time in range(len(arrays[name]))]
    np.testing.assert_allclose(values, arrays[name], rtol=1e-12)
    used = arrays[f"used_in_epoch_base{base}"]
    np.testing.assert_allclose([schedule.in_epoch(epoch) for epoch in range(len(used))], used, rtol=1e-12)
