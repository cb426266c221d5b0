"""The kernel for farthest-point sampling gives the reference's indices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreted_kernels import sampled

from pointlora_cli.ops import sampling

pytest.importorskip("triton", reason="Triton's interpreter runs the kernels here; it is for Linux")

GOLDEN = Path(__file__).parents[1] / "golden" / "fps_knn.npz"


def reference(points, count, first, skip):
    return sampling._by_full_passes(torch.from_numpy(points), count, torch.from_numpy(first), skip).numpy()


def agree(process, points, count, *, first=None, skip=False):
    points = np.ascontiguousarray(points, dtype=np.float32)
    first = np.zeros(len(points), dtype=np.int64) if first is None else first
    ours = process.submit(sampled, points, count, first, skip).result()
    np.testing.assert_array_equal(ours, reference(points, count, first, skip))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("cloud", ["n1024", "n2048", "n8192", "dup1024", "line1024", "core2048"])
def test_the_official_indices(process, cloud, skip):
    with np.load(GOLDEN) as file:
        points = file[f"{cloud}__points"][None]
        theirs = file[f"{cloud}__fps_idx{'_skip_near_origin' if skip else ''}"][:40]
    ours = process.submit(sampled, points, len(theirs), np.zeros(1, dtype=np.int64), skip).result()
    np.testing.assert_array_equal(ours[0], theirs)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 300),
    share=st.floats(0, 1),
    decimals=st.sampled_from([0, 1, 2, 6]),
    flat=st.sampled_from([(1, 1, 1), (1, 1, 0), (1, 0.5, 0.2)]),
    skip=st.booleans(),
)
def test_random_clouds(process, seed, size, share, decimals, flat, skip):
    random = np.random.default_rng(seed)
    across = random.standard_normal((2, size, 1 if flat == (1, 0.5, 0.2) else 3))  # the last: on a line
    points = (across * random.uniform(0.02, 1) * flat).round(decimals)
    agree(
        process, points, max(1, round(share * min(size, 20))), first=random.integers(size, size=2), skip=skip
    )


@pytest.mark.parametrize("skip", [False, True])
def test_clouds_that_registers_do_not_hold(process, skip):
    points = np.random.default_rng(0).standard_normal((2, 8193, 3)).round(1) * 0.2
    points[:, 4096:] = points[:, :4097]  # every point is there twice, in another block
    agree(process, points, 24, first=np.array([3, 8192]), skip=skip)


@pytest.mark.parametrize(
    "scale", [0, 1e-22, 3e5, 1e30], ids=["all equal", "denormal", "beyond the start", "infinite"]
)
@pytest.mark.parametrize("size", [5, 200])
def test_extreme_distances(process, size, scale):
    agree(process, np.random.default_rng(1).uniform(-1, 1, (1, size, 3)) * scale, 5)


def test_all_near_the_origin_repeats_the_lowest_index(process):
    points = np.full((1, 130, 3), 0.01, dtype=np.float32)
    first = np.array([7])
    assert process.submit(sampled, points, 3, first, True).result().tolist() == [[7, 0, 0]]


def test_a_cloud_that_is_not_finite_gives_indices_of_its_points(process):
    points = np.random.default_rng(2).standard_normal((3, 30, 3)).astype(np.float32)
    points[0, 9], points[1], points[2, 0, 1] = np.nan, np.nan, np.inf
    chosen = process.submit(sampled, points, 30, np.zeros(3, dtype=np.int64)).result()
    assert chosen.min() >= 0
    assert chosen.max() < 30
