"""Nearest neighbours and gathering."""

import pytest
import torch

from pointlora_cli.ops import neighbors
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.neighbors import nearest_neighbors, squared_distances


def by_definition(queries, points, k):
    """All distances, stably sorted."""
    distances = ((queries[:, :, None] - points[:, None]) ** 2).sum(-1)
    values, indices = distances.sort(dim=-1, stable=True)
    return indices[..., :k], values[..., :k]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 7, 50])
def test_agrees_with_the_definition(dtype, k):
    queries, points = torch.rand(3, 9, 3, dtype=dtype), torch.rand(3, 50, 3, dtype=dtype)
    indices, distances = nearest_neighbors(queries, points, k)
    expected, squared = by_definition(queries, points, k)
    assert torch.equal(indices, expected)
    torch.testing.assert_close(distances, squared)


@pytest.mark.parametrize("k", [1, 5, 12, 13, 26, 27])
def test_ties_go_to_the_lowest_index(k):
    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 3)[None]  # exact in binary: many ties
    indices, _ = nearest_neighbors(grid, grid, k)
    assert torch.equal(indices, by_definition(grid, grid, k)[0])


def test_the_way_of_the_gpu_gives_the_same():
    points = torch.cat([torch.rand(1, 60, 3), torch.rand(1, 4, 3).repeat(1, 10, 1)], dim=1)
    distances = squared_distances(points, points)
    _, expected = neighbors._smallest(distances, 16)
    assert torch.equal(neighbors._smallest_by_key(distances, 16)[1], expected)


def test_fewer_neighbors_are_a_prefix_of_more():
    points = torch.rand(2, 100, 3)
    many, few = nearest_neighbors(points, points, 32)[0], nearest_neighbors(points, points, 8)[0]
    assert torch.equal(many[..., :8], few)


def test_blocks_do_not_change_the_answer(monkeypatch):
    queries, points = torch.rand(7, 5, 3), torch.rand(7, 30, 3)
    whole = nearest_neighbors(queries, points, 4)
    monkeypatch.setattr(neighbors, "_CPU_BYTES", 1)
    assert all(torch.equal(a, b) for a, b in zip(whole, nearest_neighbors(queries, points, 4), strict=True))


@pytest.mark.parametrize(
    ("queries", "points", "k"),
    [
        (torch.rand(1, 4, 3), torch.rand(2, 9, 3), 2),
        (torch.rand(1, 4, 3), torch.rand(1, 9, 3), 10),
        (torch.rand(1, 4, 3), torch.rand(1, 9, 3), 0),
        (torch.rand(4, 3), torch.rand(1, 9, 3), 2),
    ],
)
def test_bad_input_is_refused(queries, points, k):
    with pytest.raises(ValueError, match=r"must|hold"):
        nearest_neighbors(queries, points, k)


def test_gather_picks_rows_and_passes_gradients():
    values = torch.rand(2, 6, 4, requires_grad=True)
    indices = torch.tensor([[[0, 5], [2, 2]], [[1, 1], [3, 4]]])
    picked = gather(values, indices)
    assert picked.shape == (2, 2, 2, 4)
    assert torch.equal(picked[1, 1, 0], values[1, 3])
    picked.sum().backward()
    assert values.grad[0, 2].tolist() == [2.0] * 4
    assert values.grad[0, 1].tolist() == [0.0] * 4


def test_gather_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="cannot pick"):
        gather(torch.rand(2, 6, 4), torch.zeros(3, 1, dtype=torch.int64))
