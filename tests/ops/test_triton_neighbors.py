"""The kernel for nearest neighbours gives the reference's indices and distances."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreted_kernels import searched

from pointlora_cli.ops.neighbors import nearest_neighbors

pytest.importorskip("triton", reason="Triton's interpreter runs the kernels here; it is for Linux")

GOLDEN = Path(__file__).parents[1] / "golden" / "fps_knn.npz"


def agree(process, queries, points, k):
    queries, points = (np.ascontiguousarray(array, dtype=np.float32) for array in (queries, points))
    ours = process.submit(searched, queries, points, k).result()
    theirs = nearest_neighbors(torch.from_numpy(queries), torch.from_numpy(points), k)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, expected.numpy())


@pytest.mark.parametrize("cloud", ["n1024", "n2048", "n8192", "dup1024", "line1024", "core2048"])
def test_the_official_indices(process, cloud):
    with np.load(GOLDEN) as file:
        points, theirs = file[f"{cloud}__points"], file[f"{cloud}__knn_idx"][:4, :32]
        queries = points[file[f"{cloud}__fps_idx"][: len(theirs)]]
    indices, _ = process.submit(searched, queries[None], points[None], theirs.shape[1]).result()
    np.testing.assert_array_equal(indices[0], theirs)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(st.integers(1, 25), st.integers(1, 200)),
    share=st.floats(0, 1),
    decimals=st.sampled_from([0, 1, 2, 6]),
    is_line=st.booleans(),
)
def test_random_clouds(process, seed, sizes, share, decimals, is_line):
    random = np.random.default_rng(seed)
    groups, size = sizes
    axes = 1 if is_line else 3
    points = (random.standard_normal((2, size, axes)) * (1, 0.5, 0.2)).round(decimals)
    queries = (random.standard_normal((2, groups, axes)) * (1, 0.5, 0.2)).round(decimals)
    agree(process, queries, points, max(1, round(share * min(size, 16))))


@pytest.mark.parametrize("size", [4000, 8192])
def test_large_clouds(process, size):
    points = np.random.default_rng(0).standard_normal((1, size, 3)).round(1)
    agree(process, points[:, :3], points, 20)


def test_all_points_of_a_cloud(process):
    points = np.random.default_rng(1).standard_normal((2, 20, 3)).round(1)
    agree(process, points, points, 20)


@pytest.mark.parametrize("scale", [0, 1e-22, 1e30], ids=["all equal", "denormal", "infinite"])
def test_extreme_distances(process, scale):
    points = np.random.default_rng(1).uniform(-1, 1, (1, 20, 3)) * scale
    agree(process, points, points, 20)


def test_points_that_are_not_finite_give_indices_of_points(process):
    points = np.random.default_rng(2).standard_normal((1, 20, 3)).astype(np.float32)
    points[0, 9] = np.nan
    indices, _ = process.submit(searched, points, points, 20).result()
    assert indices.min() >= 0
    assert indices.max() < 20
