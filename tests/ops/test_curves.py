"""The Z-order curve against its definition."""

import pytest
import torch

from pointlora_cli.ops.curves import z_order


def key(point):
    """Bit by bit: y, x, z from the highest of each triple."""
    x, y, z = (int(value) & 0xFFFF for value in point)
    return sum(
        ((y >> bit) & 1) << (3 * bit + 2) | ((x >> bit) & 1) << (3 * bit + 1) | ((z >> bit) & 1) << (3 * bit)
        for bit in range(16)
    )


def test_points_stand_in_the_order_of_their_interleaved_coordinates():
    cells = torch.randint(-40_000, 40_000, (2, 50, 3), generator=torch.Generator().manual_seed(0))
    order = z_order(cells.double(), cells=1)
    for cloud, indices in zip(cells.tolist(), order.tolist(), strict=True):
        assert indices == sorted(range(50), key=lambda index: key(cloud[index]))


def test_coordinates_are_cut_off_towards_zero_and_negative_ones_come_last():
    points = torch.tensor([[[-0.011, 0, 0], [0.011, 0, 0], [-0.009, 0, 0], [0.009, 0, 0]]])
    assert z_order(points).tolist() == [[2, 3, 1, 0]]  # cells -1, 1, 0 and 0, which keeps its order


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        z_order(torch.rand(5, 3))
