"""Cells that stand in for the points of a very large cloud."""

import numpy as np
import pytest

from pointlora_cli.datasets.cells import occupied_cells

RANDOM = np.random.RandomState(0)
SPHERE = RANDOM.standard_normal((40_000, 3))
CLOUDS = {
    "surface": SPHERE / np.linalg.norm(SPHERE, axis=1, keepdims=True),
    "volume": RANDOM.rand(40_000, 3),
    "plane": RANDOM.rand(40_000, 3) * [1, 1, 0],
    "clusters": np.concatenate([RANDOM.rand(20_000, 3) * 1e-3 + 5, RANDOM.rand(20_000, 3)]),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_cells_are_few_enough_small_and_hold_their_points(name):
    points = CLOUDS[name].astype(np.float32)
    cells = occupied_cells(points, 2000)
    assert 1500 <= len(cells.means) <= 2000
    assert cells.cell.shape == (len(points),)
    assert set(cells.cell) == set(range(len(cells.means)))
    assert np.abs(points - cells.means[cells.cell]).max() <= cells.size * 1.001


def test_order_of_the_points_is_no_matter():
    points = CLOUDS["surface"].astype(np.float32)
    order = np.random.RandomState(1).permutation(len(points))
    one, other = occupied_cells(points, 500), occupied_cells(points[order], 500)
    np.testing.assert_allclose(other.means, one.means, atol=1e-6)
    np.testing.assert_array_equal(other.cell, one.cell[order])


@pytest.mark.parametrize("most", [1, 2, 7])
def test_few_cells(most):
    assert len(occupied_cells(CLOUDS["volume"].astype(np.float32), most).means) <= most


def test_a_cloud_whose_points_coincide_is_divided_no_further():
    points = np.repeat(np.eye(3, dtype=np.float32), 1000, axis=0)
    cells = occupied_cells(points, 100)
    assert len(cells.means) == 3
    np.testing.assert_allclose(cells.means[cells.cell], points, atol=1e-6)
