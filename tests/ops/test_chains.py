"""The chain that goes from each point to the nearest one left."""

import pytest
import torch

from pointlora_cli.ops.chains import nearest_chain


def by_definition(cloud):
    left, order = list(range(1, len(cloud))), [0]
    while left:
        nearest = min(left, key=lambda index: ((cloud[index] - cloud[order[-1]]) ** 2).sum().item())
        left.remove(nearest)
        order.append(nearest)
    return order


@pytest.mark.parametrize("count", [1, 2, 30])
def test_each_point_is_followed_by_the_nearest_one_left(count):
    clouds = torch.rand(4, count, 3, generator=torch.Generator().manual_seed(count))
    assert nearest_chain(clouds).tolist() == [by_definition(cloud) for cloud in clouds]


def test_ties_go_to_the_lowest_index_and_equal_points_are_all_visited():
    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 3)
    clouds = torch.stack([torch.cat([grid, grid]), torch.zeros(54, 3)])
    order = nearest_chain(clouds)
    assert order.tolist() == [by_definition(cloud) for cloud in clouds]
    assert order.sort(dim=1).values.equal(torch.arange(54).expand(2, -1))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must have shape \(B, N, 3\)"):
        nearest_chain(torch.rand(5, 3))
